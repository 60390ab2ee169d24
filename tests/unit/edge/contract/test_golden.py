"""Golden vectors: made, stored, read and enforced."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.contract.bundle import Bundle, load_bundle
from edge.contract.errors import BundleNotFound, GoldenMismatch, ModelError
from edge.contract.golden import check_golden, golden_inputs, read_golden, write_golden
from edge.contract.preprocess import Preprocessor
from tests.helpers.bundles import BLOB_DETECTOR, TINT_CLASSIFIER, copy_bundle, edit_manifest

Array = npt.NDArray[Any]
Run = Callable[[Array], Mapping[str, Array]]
SHAPE = (1, 24, 32, 3)


def test_the_inputs_depend_on_the_seed_alone() -> None:
    """The same seed gives the same pictures, another seed others."""
    first, again, other = (golden_inputs(SHAPE, seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not any((a == b).all() for a, b in zip(first, other, strict=True))


def test_the_inputs_are_bgr_pictures_and_one_of_them_must_be_resized() -> None:
    """Three have the model's size; the fourth has odd sides and another aspect."""
    images = golden_inputs(SHAPE, 1)
    assert [image.shape for image in images] == [(24, 32, 3)] * 3 + [(37, 41, 3)]
    assert all(image.dtype == np.uint8 for image in images)
    assert all(np.ptp(image) > 100 for image in images)


def test_the_kinds_repeat_with_other_numbers() -> None:
    """More than four pictures are all different."""
    images = golden_inputs(SHAPE, 1, 9)
    assert len({image.tobytes() for image in images}) == 9


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 1, 7, 1), (1, 300, 2, 3)])
def test_any_model_size_has_inputs(shape: tuple[int, ...]) -> None:
    """Tiny and odd inputs have golden pictures too."""
    assert [image.shape[:2] for image in golden_inputs(shape, 3)][:3] == [shape[1:3]] * 3


def test_noise_for_a_large_input_compresses(tmp_path: Path) -> None:
    """The pictures of a detector at 384×512 stay below half a megabyte in the bundle."""
    write_golden(tmp_path / "golden.npz", golden_inputs((1, 384, 512, 3), 1), {})
    assert (tmp_path / "golden.npz").stat().st_size < 500_000


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Images and outputs come back under their variant, image and name, bit for bit."""
    images = golden_inputs(SHAPE, 1, 2)
    outputs: dict[str, list[Mapping[str, Array]]] = {
        "int8": [{"a": np.full((1, 2), i, np.int8), "b": np.ones((1, 1))} for i in (3, 4)]
    }
    file = tmp_path / "golden.npz"
    write_golden(file, images, outputs)
    golden = read_golden(file)
    assert all((a == b).all() for a, b in zip(golden.images, images, strict=True))
    assert [run["a"].tolist() for run in golden.outputs["int8"]] == [[[3, 3]], [[4, 4]]]
    before = file.read_bytes()
    write_golden(file, images, outputs)
    assert file.read_bytes() == before


def test_the_keys_are_those_of_the_format(tmp_path: Path) -> None:
    """``input/<i>`` and ``<variant>/<output>/<i>``."""
    file = tmp_path / "golden.npz"
    write_golden(file, golden_inputs(SHAPE, 1, 1), {"int8": [{"score": np.zeros((1, 1))}]})
    with np.load(file) as stored:
        assert sorted(stored.files) == ["input/0", "int8/score/0"]


def _as_stored(bundle: Bundle, variant: str, change: Callable[[str, Array], Array]) -> Run:
    """An engine that answers each golden tensor with its stored outputs, changed."""
    golden = read_golden(bundle.golden_path)
    preprocessor = Preprocessor(bundle.manifest.input, bundle.input_tensor(variant))
    known = {
        preprocessor.prepare([image])[0].tobytes(): run
        for image, run in zip(golden.images, golden.outputs[variant], strict=True)
    }
    return lambda tensor: {
        name: change(name, array.copy()) for name, array in known[tensor.tobytes()].items()
    }


def _at(name: str, value: Callable[[Any], Any]) -> Callable[[str, Array], Array]:
    def change(output: str, array: Array) -> Array:
        if output == name:
            array.flat[array.size // 2] = value(array.flat[array.size // 2])
        return array

    return change


def test_equal_outputs_pass() -> None:
    """The same outputs pass with no difference, for each of the images."""
    bundle = load_bundle(BLOB_DETECTOR)
    report = check_golden(bundle, "int8", _as_stored(bundle, "int8", lambda _, array: array))
    assert report.images == 4
    assert report.differences == {"score": 0.0, "offset": 0.0, "size": 0.0}


def test_one_step_passes_and_two_do_not() -> None:
    """An integer output may be one step off; the error names output, image and difference."""
    bundle = load_bundle(BLOB_DETECTOR)
    report = check_golden(bundle, "int8", _as_stored(bundle, "int8", _at("score", lambda v: v + 1)))
    assert report.differences["score"] == 1
    with pytest.raises(
        GoldenMismatch, match="output score, golden image 0: differs by 2 steps, allowed 1"
    ):
        check_golden(bundle, "int8", _as_stored(bundle, "int8", _at("score", lambda v: v + 2)))


def test_floats_are_compared_with_the_largest_of_the_tensor() -> None:
    """A float may be off by the tolerance times the largest expected value, small or not itself."""
    bundle = load_bundle(TINT_CLASSIFIER)
    largest = 1.0  # softmax
    near = _as_stored(bundle, "float32", _at("scores", lambda v: v + 4e-4 * largest))
    assert 3e-4 < check_golden(bundle, "float32", near).differences["scores"] < 9e-4
    far = _as_stored(bundle, "float32", _at("scores", lambda v: v + 2e-3 * largest))
    with pytest.raises(GoldenMismatch, match=r"of the largest value, allowed 0\.001"):
        check_golden(bundle, "float32", far)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_never_pass(value: float, tmp_path: Path) -> None:
    """No tolerance lets a number that is none through."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    edit_manifest(folder, lambda d: d["variants"]["float32"].update(golden_tolerance=1e30))
    bundle = load_bundle(folder)
    run = _as_stored(bundle, "float32", _at("scores", lambda _: value))
    with pytest.raises(GoldenMismatch, match="differs by inf"):
        check_golden(bundle, "float32", run)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _, a: a[:, :1], r"is int8 \(1, 1\), expected int8 \(1, 2\)"),
        (lambda _, a: a.astype(np.float32), r"is float32 \(1, 2\), expected int8 \(1, 2\)"),
    ],
)
def test_another_shape_or_dtype_is_a_mismatch(
    change: Callable[[str, Array], Array], reason: str
) -> None:
    """Outputs that cannot be compared are told apart from those that differ."""
    bundle = load_bundle(TINT_CLASSIFIER)
    with pytest.raises(GoldenMismatch, match=reason):
        check_golden(bundle, "int8", _as_stored(bundle, "int8", change))


def test_a_missing_output_is_a_mismatch() -> None:
    """An engine that leaves an output out does not pass."""
    with pytest.raises(GoldenMismatch, match=r"output scores.*does not give it"):
        check_golden(load_bundle(TINT_CLASSIFIER), "int8", lambda _: {})


@pytest.mark.parametrize(
    "change",
    [
        {"color": "BGR"},
        {"normalize": {"mean": [127.5] * 3, "std": [128.5] * 3}},
        {"resize": {"mode": "letterbox", "pad": 120, "interpolation": "linear"}},
        {"resize": {"mode": "letterbox", "pad": 127, "interpolation": "nearest"}},
        {"resize": {"mode": "stretch", "pad": 127, "interpolation": "area"}},
    ],
)
def test_other_preprocessing_reaches_the_model_as_another_tensor(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """Swapped channels, another mean, pad or interpolation: the golden images, which are stored
    before preprocessing, give other tensors than the converter's.
    """
    folder = copy_bundle(tmp_path, BLOB_DETECTOR)
    bundle = load_bundle(folder)
    run = _as_stored(bundle, "float32", lambda _, array: array)
    check_golden(bundle, "float32", run)
    edit_manifest(folder, lambda data: data["input"].update(change))
    with pytest.raises(KeyError):
        check_golden(load_bundle(folder), "float32", run)


def _npz(path: Path, **arrays: Array) -> None:
    save: Callable[..., None] = np.savez
    save(path, **arrays)


IMAGE = np.zeros((2, 2, 3), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, "holds no images"),
        ({"input/0": IMAGE, "input/2": IMAGE}, "key 'input/2'"),
        ({"input/0": IMAGE, "int8/a/1": IMAGE}, "key 'int8/a/1'"),
        ({"input/0": IMAGE, "int8/a/-1": IMAGE}, "key 'int8/a/-1'"),
        ({"input/0": IMAGE, "strange": IMAGE}, "key 'strange'"),
        ({"input/0": IMAGE, "input/a/0": IMAGE}, "key 'input/a/0'"),
        ({"input/0": IMAGE, "int8/0": IMAGE}, "key 'int8/0'"),
        ({"input/0": IMAGE[..., 0]}, "input/0 is no BGR image"),
        ({"input/0": IMAGE.astype(np.float32)}, "input/0 is no BGR image"),
        ({"input/0": np.array([{}], dtype=object)}, "cannot be read"),
    ],
)
def test_strange_contents_are_refused(
    tmp_path: Path, arrays: dict[str, Array], reason: str
) -> None:
    """Gaps, unknown keys, other arrays and Python objects are errors that name the key."""
    _npz(tmp_path / "golden.npz", **arrays)
    with pytest.raises(ModelError, match=reason):
        read_golden(tmp_path / "golden.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + b"\0" * 50])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, text and broken archives are one clear error."""
    (tmp_path / "golden.npz").write_bytes(content)
    with pytest.raises(ModelError, match=r"golden\.npz: cannot be read"):
        read_golden(tmp_path / "golden.npz")


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    """Cut anywhere, the file is a ModelError and nothing else."""
    whole = (TINT_CLASSIFIER / "golden.npz").read_bytes()
    file = tmp_path / "golden.npz"
    for end in range(0, len(whole), 397):
        file.write_bytes(whole[:end])
        with pytest.raises(ModelError):
            read_golden(file)


def test_flipped_bytes_are_refused_or_harmless(tmp_path: Path) -> None:
    """A damaged byte anywhere gives a ModelError or arrays, never another exception."""
    whole = (TINT_CLASSIFIER / "golden.npz").read_bytes()
    file = tmp_path / "golden.npz"
    refused = 0
    for place in range(0, len(whole), 61):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        try:
            read_golden(file)
        except ModelError:
            refused += 1
    assert refused > 100


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A small archive that unpacks to more than 256 MiB is refused by its directory."""
    file = tmp_path / "golden.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        zeros = bytes(2**20)
        with archive.open("input/0.npy", "w") as member:
            for _ in range(257):
                member.write(zeros)
    assert file.stat().st_size < 2**20
    with pytest.raises(ModelError, match="more than 256 MiB"):
        read_golden(file)


def test_no_golden_vectors_are_named(tmp_path: Path) -> None:
    """A bundle without the file, or without this variant in it, says so."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    write_golden(folder / "golden.npz", golden_inputs((1, 32, 32, 3), 1), {})
    with pytest.raises(ModelError, match="nothing for variant int8"):
        check_golden(load_bundle(folder), "int8", lambda _: {})
    (folder / "golden.npz").unlink()
    with pytest.raises(BundleNotFound, match=r"golden\.npz: no golden vectors"):
        check_golden(load_bundle(folder), "int8", lambda _: {})
