"""Finding, loading and reading bundles."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.contract.bundle import (
    SYSTEM_MODELS,
    choose_variant,
    find_bundle,
    load_bundle,
    search_path,
)
from edge.contract.errors import BundleNotFound, HashMismatch, ManifestError, ModelError
from edge.contract.manifest import Manifest
from tests.helpers.bundles import BLOB_DETECTOR, TINT_CLASSIFIER, copy_bundle, edit_manifest
from tests.helpers.forbidden import forbid


def test_the_bytes_are_those_of_the_hash() -> None:
    """A variant is read as the file has it, and the file is what the manifest describes."""
    bundle = load_bundle(BLOB_DETECTOR)
    content = bundle.read_variant("int8")
    assert hashlib.sha256(content).hexdigest() == bundle.variant("int8").sha256


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """A changed file of the same length is refused by name, with both hashes."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    file = folder / "model.int8.tflite"
    content = bytearray(file.read_bytes())
    content[500] ^= 1
    file.write_bytes(content)
    got = hashlib.sha256(content).hexdigest()[:4]
    bundle = load_bundle(folder)
    wanted = bundle.variant("int8").sha256[:4]
    with pytest.raises(HashMismatch) as caught:
        bundle.read_variant("int8")
    assert caught.value.message == f"{file}: sha256 mismatch: expected {wanted}… got {got}…"
    assert caught.value.exit_code == 78
    assert bundle.read_variant("float32")


@pytest.mark.parametrize(
    ("content", "length"),
    [(b"", r"\(0 of \d+ bytes\)"), (b"x" * 100_000, r"\(more than the \d+ bytes promised\)")],
)
def test_another_length_is_said(tmp_path: Path, content: bytes, length: str) -> None:
    """An empty, truncated or longer file is a mismatch that says so."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    (folder / "model.int8.tflite").write_bytes(content)
    with pytest.raises(HashMismatch, match=length):
        load_bundle(folder).read_variant("int8")


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    """A manifest without its model file is an error with the file's path."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    (folder / "model.int8.tflite").unlink()
    with pytest.raises(BundleNotFound, match=r"model\.int8\.tflite: cannot be read: No such file"):
        load_bundle(folder).read_variant("int8")


def test_an_absent_variant_lists_those_there_are() -> None:
    """Asking for a variant that was not converted names the others."""
    with pytest.raises(ModelError, match="no variant 'float16', only float32, int8"):
        load_bundle(BLOB_DETECTOR).read_variant("float16")


def _update(facts: dict[str, str], data: dict[str, Any]) -> None:
    data.update(facts)


def test_the_first_place_wins(tmp_path: Path) -> None:
    """The order of the search is the order of the places."""
    first, second = tmp_path / "first", tmp_path / "second"
    for place, facts in ((first, {"version": "7"}), (second, {"version": "8"})):
        place.mkdir()
        edit_manifest(copy_bundle(place, BLOB_DETECTOR), partial(_update, facts))
    assert find_bundle("blob_detector", [tmp_path, first, second]).manifest.version == "7"
    assert find_bundle("blob_detector", [second, first]).path == second / "blob_detector"


def test_a_broken_bundle_is_not_skipped(tmp_path: Path) -> None:
    """A damaged manifest in an earlier place is an error, though a later place has a good one."""
    folder = copy_bundle(tmp_path, BLOB_DETECTOR)
    (folder / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(ManifestError):
        find_bundle("blob_detector", [tmp_path, BLOB_DETECTOR.parent])


@pytest.mark.parametrize("name", ["face_detector", "", "..", "../blob_detector", "a/b", "/"])
def test_what_is_not_found_names_all_places(tmp_path: Path, name: str) -> None:
    """The error lists every place that was looked at; names that are paths are not followed."""
    places = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(BundleNotFound) as caught:
        find_bundle(name, places)
    assert all(str(place) in caught.value.message for place in places)
    assert repr(name) in caught.value.message


def test_a_folder_that_may_not_be_looked_into_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later folder is not taken in the place of one that is closed to us."""
    shutil.copytree(BLOB_DETECTOR, tmp_path / "open" / "m")
    forbid(monkeypatch, tmp_path / "closed")
    with pytest.raises(ModelError, match=r"closed/m/manifest\.json: cannot be read: Permission"):
        find_bundle("m", [tmp_path / "closed", tmp_path / "open"])
    assert find_bundle("m", [tmp_path / "nope", tmp_path / "open"]).path.name == "m"


def test_the_search_path_has_four_places(tmp_path: Path) -> None:
    """The command line, the configuration, the system and what came with the program, in order."""
    path = search_path(tmp_path / "option", tmp_path / "configured")
    assert path[:3] == [tmp_path / "option", tmp_path / "configured", SYSTEM_MODELS]
    assert path[3].name == "models"
    assert search_path() == path[2:]


def _manifest(*variants: str) -> Manifest:
    data = json.loads((BLOB_DETECTOR / "manifest.json").read_text(encoding="utf-8"))
    facts = data["variants"]["float32"]
    data["variants"] = {name: {**facts, "file": f"model.{name}.tflite"} for name in variants}
    return Manifest.model_validate_json(json.dumps(data))


@pytest.mark.parametrize(
    ("there", "machine", "choice", "expected"),
    [
        (("float32", "int8"), "x86_64", None, "float32"),
        (("float32", "int8"), "aarch64", None, "int8"),
        (("float32", "int8"), "riscv64", None, "float32"),
        (("float16", "int8"), "x86_64", None, "int8"),
        (("float16", "float32"), "aarch64", None, "float32"),
        (("int16x8", "dynamic"), "x86_64", None, "dynamic"),
        (("float32", "int8"), "x86_64", {"blob_detector": "int8"}, "int8"),
        (("float32", "int8"), "x86_64", {"other": "int8"}, "float32"),
        (("float32", "int8"), "x86_64", {"blob_detector": "float16"}, "float32"),
    ],
)
def test_auto_takes_the_devices_choice_or_what_suits_the_cpu(
    there: tuple[str, ...], machine: str, choice: dict[str, str] | None, expected: str
) -> None:
    """What was measured here comes first if the bundle has it, then the CPU's, then an order."""
    assert choose_variant(_manifest(*there), "auto", choice, machine=machine) == expected


def test_a_wanted_variant_wins_over_the_choice() -> None:
    """The configuration is obeyed, whatever was measured."""
    assert choose_variant(_manifest("float32", "int8"), "int8", {"blob_detector": "float32"}) == (
        "int8"
    )


def test_a_wanted_variant_that_is_absent_is_an_error() -> None:
    """Nothing else is taken in its place; the message lists what there is."""
    with pytest.raises(ModelError, match="no variant 'int8', only float32, float16"):
        choose_variant(_manifest("float32", "float16"), "int8")
