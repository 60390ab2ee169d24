"""``manifest.json`` and its schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge.contract.manifest as module
from edge.contract.errors import BundleNotFound, ManifestError
from edge.contract.manifest import Manifest, json_schema, load_manifest
from tests.helpers.bundles import BLOB_DETECTOR, TINT_CLASSIFIER, copy_bundle, edit_manifest
from tests.helpers.colours import colour_manifest
from tests.helpers.maps import classifier_manifest

Json = dict[str, Any]


@pytest.mark.parametrize("bundle", [BLOB_DETECTOR, TINT_CLASSIFIER])
def test_a_manifest_comes_back_as_it_was_written(bundle: Path) -> None:
    """Reading and writing a manifest gives the same bytes, and no null in them."""
    file = bundle / "manifest.json"
    text = load_manifest(file).to_json()
    assert text == file.read_text(encoding="utf-8")
    assert "null" not in text


def test_the_schema_in_the_tree_is_current() -> None:
    """``manifest.schema.json`` is what the models say; ``make schemas`` writes it anew."""
    file = Path(module.__file__).with_name("manifest.schema.json")
    assert file.read_text(encoding="utf-8") == json_schema(), "stale: run `make schemas`"


def _variant(data: Json) -> Json:
    return dict.__getitem__(data["variants"], "int8")


FAULTS: list[tuple[Callable[[Json], object], str]] = [
    (lambda d: d.update(colour="RGB"), "colour: Extra inputs"),
    (lambda d: d.update({"a\nb\x1b[2J": 1}), r"a\?b\?\[2J: Extra inputs"),
    (lambda d: d.pop("labels"), "labels: Field required"),
    (lambda d: d.update(schema=2), "schema: Input should be 1"),
    (lambda d: d.update(name="Face Detector"), "name: String should match"),
    (lambda d: d.update(labels=[]), "labels: "),
    (lambda d: d.update(labels=["face", "face"]), "the same label stands there twice"),
    (
        lambda d: d.update(labels=["face", "hand"]),
        r"shape \(1, 24, 32, 1\), expected \(1, 24, 32, 2",
    ),
    (lambda d: d.update(task="classification"), "decode.kind center does not fit task class"),
    (lambda d: d["decode"].update(stride=8), r"expected \(1, 12, 16, "),
    (lambda d: d["decode"].update(threshold=1.5), "decode.center.threshold: "),
    (lambda d: d["decode"].update(threshold="0.5"), "decode.center.threshold: "),
    (lambda d: d["outputs"].pop("size"), "needs the roles"),
    (lambda d: d["input"].update(shape=[1, 96, 128, 1]), "color RGB has 3 channels, shape 1"),
    (lambda d: d["input"].update(shape=[1, 96, 64, 3]), "inputs: shape is not input.shape"),
    (lambda d: d["input"]["normalize"].update(std=[1.0, 0.0, 1.0]), "normalize.std.1: "),
    (lambda d: d["input"]["normalize"].update(mean=[1.0]), "normalize.mean needs 3 values"),
    (lambda d: d.update(variants={}), "variants: "),
    (lambda d: d["variants"].update(int4=_variant(d)), "variants.int4"),
    (lambda d: _variant(d).update(file="../model.tflite"), "variants.int8.file: "),
    (lambda d: _variant(d).update(file="model.float32.tflite"), "must be model.int8.tflite"),
    (lambda d: _variant(d).update(sha256="AB"), "variants.int8.sha256: "),
    (lambda d: _variant(d)["inputs"]["image"].pop("scale"), "scale and zero_point go together"),
    (lambda d: _variant(d)["inputs"]["image"].update(dtype="float32"), "contradict each other"),
    (lambda d: _variant(d)["outputs"].pop("score"), "not the names that outputs lists"),
    (lambda d: _variant(d).update(golden_tolerance=float("nan")), "golden_tolerance: "),
]


@pytest.mark.parametrize(("spoil", "reason"), FAULTS)
def test_a_wrong_manifest_is_refused_by_key(
    tmp_path: Path, spoil: Callable[[Json], object], reason: str
) -> None:
    """Every way to contradict the schema or itself is one line that names file and key."""
    folder = copy_bundle(tmp_path, BLOB_DETECTOR)
    edit_manifest(folder, spoil)
    with pytest.raises(ManifestError, match=reason) as caught:
        load_manifest(folder / "manifest.json")
    assert str(folder / "manifest.json") in caught.value.message
    assert "\n" not in str(caught.value)


def _write(folder: Path, manifest: Manifest, spoil: Callable[[Json], object]) -> Path:
    file = folder / "manifest.json"
    data = json.loads(manifest.to_json())
    spoil(data)
    file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return file


def _binary(data: Json) -> None:
    """Turn a classifier's manifest into one with a single score."""
    data["outputs"] = {"scores": "binary_score"}
    for variant in data["variants"].values():
        variant["outputs"]["scores"]["shape"] = [1, 1]


def test_a_segmentation_has_a_map_for_each_label(tmp_path: Path) -> None:
    """A segmentation's manifest comes back as written; the stride divides its maps."""
    for stride in (1, 4):
        manifest = colour_manifest((18, 35), stride=stride)
        file = _write(tmp_path, manifest, lambda data: None)
        assert load_manifest(file) == manifest
        assert manifest.variants["int8"].outputs["masks"].shape == (
            1,
            18 // stride,
            35 // stride,
            3,
        )


def test_two_labels_may_share_one_score(tmp_path: Path) -> None:
    """A classifier of two labels may give the score of the second alone."""
    manifest = load_manifest(_write(tmp_path, classifier_manifest(), _binary))
    assert manifest.outputs == {"scores": "binary_score"}


SEGMENTATION_FAULTS: list[tuple[Callable[[Json], object], str]] = [
    (lambda d: d["decode"].update(min_area=-1), "decode.segmentation.min_area: "),
    (lambda d: d["decode"].update(min_area=1.5), "decode.segmentation.min_area: "),
    (lambda d: d["decode"].pop("min_area"), "decode.segmentation.min_area: Field required"),
    (lambda d: d["decode"].update(threshold=1.5), "decode.segmentation.threshold: "),
    (lambda d: d["decode"].update(stride=0), "decode.segmentation.stride: "),
    (lambda d: d["decode"].update(stride=2), r"expected \(1, 8, 16, 3\) for role class_masks"),
    (lambda d: d["labels"].append("scratch"), r"expected \(1, 16, 32, 4\)"),
    (lambda d: d.update(task="detection"), "decode.kind segmentation does not fit task detection"),
    (lambda d: d.update(outputs={"masks": "class_scores"}), "needs the roles .'class_masks'."),
]


@pytest.mark.parametrize(("spoil", "reason"), SEGMENTATION_FAULTS)
def test_a_wrong_segmentation_is_refused_by_key(
    tmp_path: Path, spoil: Callable[[Json], object], reason: str
) -> None:
    """Every way for a segmentation to contradict itself is named."""
    with pytest.raises(ManifestError, match=reason):
        load_manifest(_write(tmp_path, colour_manifest(), spoil))


def test_one_score_is_for_two_labels(tmp_path: Path) -> None:
    """A binary score with three labels, with another shape or beside class scores is refused."""

    def with_labels(data: Json) -> None:
        _binary(data)
        data["labels"].append("mask_incorrect")

    def with_shape(data: Json) -> None:
        data["outputs"] = {"scores": "binary_score"}

    def with_both(data: Json) -> None:
        data["outputs"] = {"scores": "class_scores", "probability": "binary_score"}

    faults: list[tuple[Callable[[Json], object], str]] = [
        (with_labels, "a binary_score is that of the second of exactly two labels"),
        (with_shape, r"shape \(1, 2\), expected \(1, 1\) for role binary_score"),
        (with_both, r"needs the roles \['class_scores'\] or \['binary_score'\], found"),
    ]
    for spoil, reason in faults:
        with pytest.raises(ManifestError, match=reason):
            load_manifest(_write(tmp_path, classifier_manifest(), spoil))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty, truncated, binary or endlessly nested file is a ManifestError."""
    file = tmp_path / "manifest.json"
    file.write_bytes(content)
    with pytest.raises(ManifestError):
        load_manifest(file)


def test_a_missing_manifest_is_no_bundle(tmp_path: Path) -> None:
    """A folder without a manifest, and a file in place of the folder, are no bundle."""
    with pytest.raises(BundleNotFound):
        load_manifest(tmp_path / "manifest.json")
    (tmp_path / "file").write_text(json.dumps({}), encoding="utf-8")
    with pytest.raises(BundleNotFound):
        load_manifest(tmp_path / "file" / "manifest.json")
