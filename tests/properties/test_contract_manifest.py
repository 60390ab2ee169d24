"""What loading a manifest promises for every file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.contract.errors import ManifestError
from edge.contract.manifest import Manifest, load_manifest
from tests.helpers.bundles import BLOB_DETECTOR

TEXT = (BLOB_DETECTOR / "manifest.json").read_text(encoding="utf-8")

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["float32", "int8", "image", "score", "center", "model.int8.tflite"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=5,
)


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON document."""
    keys: Any = node.keys() if isinstance(node, dict) else range(len(node))
    found = [(node, key) for key in keys]
    for key in keys:
        if isinstance(node[key], dict | list):
            found += _places(node[key])
    return found


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The text of a good manifest with up to three values replaced, removed, added or copied."""
    data = json.loads(TEXT)
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(_places(data)))
        match draw(st.sampled_from(["replace", "remove", "add", "copy"])):
            case "replace":
                container[key] = draw(values)
            case "remove":
                del container[key]
            case "add" if isinstance(container, dict):
                container[draw(st.text(max_size=6))] = draw(values)
            case _:
                other, where = draw(st.sampled_from(_places(data)))
                container[key] = json.loads(json.dumps(other[where]))
        if not data:
            break
    return json.dumps(data).encode("utf-8", "replace")


def _load(path: Path) -> Manifest | None:
    refusal = ""
    try:
        return load_manifest(path)
    except ManifestError as error:
        refusal = error.message
    assert refusal.isprintable()
    return None


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated())
def test_a_mutated_manifest_is_loaded_or_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever is changed in it, a manifest gives a ManifestError of one line, or is one that
    comes back as it was written.
    """
    file = tmp_path / "manifest.json"
    file.write_bytes(content)
    manifest = _load(file)
    if manifest is not None:
        assert Manifest.model_validate_json(manifest.to_json()) == manifest


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(TEXT.encode()) - 1), st.binary(min_size=0, max_size=3))
def test_flipped_bytes_are_loaded_or_refused(tmp_path: Path, place: int, change: bytes) -> None:
    """Bytes overwritten or cut out anywhere never raise anything but ManifestError."""
    raw = TEXT.encode()
    file = tmp_path / "manifest.json"
    file.write_bytes(raw[:place] + change + raw[place + max(1, len(change)) :])
    _load(file)
