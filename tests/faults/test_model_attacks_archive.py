"""Archives with entries that do not belong there are refused (F30)."""

from __future__ import annotations

import contextlib
import json
import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.keras_model.errors import KerasModelError
from converter.keras_model.source import read_source
from tests.helpers.keras_files import (
    network,
    node,
    refused,
    saved_model,
    write_archive,
    write_saved_model,
    write_weights,
)


def _entries(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of duplicates
        archive.writestr("config.json", json.dumps(network()))
        archive.writestr("model.weights.h5", write_weights(path.with_suffix(".w")).read_bytes())
        for name, content in entries:
            archive.writestr(name, content)
    return path


def _link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


ENTRIES: dict[str, tuple[str | zipfile.ZipInfo, str]] = {
    "above": ("../canary", "'../canary' lies outside of the archive"),
    "far above": ("assets/../../canary", "lies outside of the archive"),
    "backslash": ("..\\canary", "lies outside of the archive"),
    "drive": ("C:canary", "lies outside of the archive"),
    "absolute": ("/tmp/canary", "'/tmp/canary' lies outside of the archive"),
    "twice": ("config.json", "has the entry 'config.json' 2 times"),
    "weights twice": ("model.weights.h5", "has the entry 'model.weights.h5' 2 times"),
    "link": (_link("metadata.json"), "'metadata.json' is a link or a special file"),
    "zero byte": ("metadata.json\0.py", "does not belong"),
    "asset": ("assets/vocabulary.txt", "does not belong into a .keras archive"),
    "pickle": ("x/data.pkl", "is a PyTorch file"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_odd_entries_are_refused(name: str, tmp_path: Path) -> None:
    """F30: entries outside of the archive, there twice or links are refused by name."""
    entry, said = ENTRIES[name]
    inner = tmp_path / "inner"
    inner.mkdir()
    if isinstance(entry, str) and "\0" in entry:  # zipfile cuts such a name when it writes it
        path = _entries(inner / "m.keras", (entry.replace("\0", "#"), b"x"))
        path.write_bytes(path.read_bytes().replace(b"metadata.json#", b"metadata.json\0"))
    else:
        path = _entries(inner / "m.keras", (entry, b"x"))
    assert said in refused(path)
    assert not (tmp_path / "canary").exists()
    assert sorted(file.name for file in inner.iterdir()) == ["m.keras", "m.w", "work"]
    assert not list((inner / "work").iterdir())


def test_odd_entries_do_harm_without_the_scan(tmp_path: Path) -> None:
    """F30: written by its name, ``../x`` leaves the folder; of duplicates readers see either."""
    (tmp_path / "inner").mkdir()
    path = _entries(tmp_path / "inner" / "m.keras", ("../canary", b"x"), ("config.json", b"evil"))
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            (tmp_path / "inner" / entry.filename).write_bytes(archive.read(entry))
        assert archive.read("config.json") == b"evil"
        assert archive.read(archive.infolist()[0]) == json.dumps(network()).encode()
    assert (tmp_path / "canary").exists()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_archives_and_graphs_pass_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """F30: archives and graphs with flipped bytes never end in another error."""
    folder = tmp_path_factory.mktemp("flipped")
    archive = write_archive(folder / "m.keras", network())
    graph = write_saved_model(folder / "m", saved_model({"f": [node("If", "x", "f")]}))
    for path, source in ((archive, archive), (graph / "saved_model.pb", graph)):
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        (folder / "work").mkdir(exist_ok=True)
        with contextlib.suppress(KerasModelError):
            read_source(source, None, folder / "work")
