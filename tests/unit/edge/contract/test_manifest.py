"""``manifest.json`` and its schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge.contract.manifest as module
from edge.contract.errors import BundleNotFound, ManifestError
from edge.contract.manifest import json_schema, load_manifest
from tests.helpers.bundles import BLOB_DETECTOR, TINT_CLASSIFIER, copy_bundle, edit_manifest

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
