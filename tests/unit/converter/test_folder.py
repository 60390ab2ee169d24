"""A folder is replaced as a whole: at every moment the old one or the new one is complete."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import converter.folder
from converter.folder import FolderError, check_target, replacing
from edge.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]


def _bundle(folder: Path, text: str) -> None:
    (folder / "a").write_text(text)
    (folder / "b").write_text(text)


def _read(folder: Path) -> str:
    """The folder's text, when both files hold the same and nothing else is there."""
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(texts) == {"a", "b"}
    assert texts["a"] == texts["b"]
    return texts["a"]


@pytest.fixture(params=["exchange", "two renames"])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle's folder that holds "old", where names can be exchanged and where they cannot."""
    if request.param == "two renames":
        monkeypatch.setattr(converter.folder, "_exchange", lambda first, second: False)
    folder = tmp_path / "bundle"
    folder.mkdir()
    _bundle(folder, "old")
    return folder


def test_new_takes_the_place_of_old(target: Path) -> None:
    """After the block the folder is the new one, and nothing else is left beside it."""
    with replacing(target) as new:
        _bundle(new, "new")
        assert _read(target) == "old"
    assert _read(target) == "new"
    assert list(target.parent.iterdir()) == [target]


def test_bundles_folder_may_be_replaced(tmp_path: Path) -> None:
    """An absent folder, an empty one and one with the files of a bundle may be replaced."""
    check_target(tmp_path / "absent")
    check_target(tmp_path)
    for name in ("recipe.toml", "manifest.json", "golden.npz", "CARD.md", "model.int8.tflite"):
        (tmp_path / name).write_text("")
    check_target(tmp_path)


def test_foreign_folder_is_never_replaced(tmp_path: Path) -> None:
    """A file, and a folder that holds anything else than a bundle, are refused by name."""
    (tmp_path / "manifest.json").write_text("")
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(UsageError, match=r"holds .thesis\.txt., which is no part of a bundle"):
        check_target(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        check_target(tmp_path / "thesis.txt")


def test_folder_that_was_not_there(tmp_path: Path) -> None:
    """A first bundle is made together with the folders above it."""
    with replacing(tmp_path / "models" / "bundle") as new:
        _bundle(new, "new")
    assert _read(tmp_path / "models" / "bundle") == "new"


def test_exception_leaves_the_old(target: Path) -> None:
    """When the block raises, the old folder is untouched and the new one gone."""
    with pytest.raises(RuntimeError), replacing(target) as new:  # noqa: PT012
        _bundle(new, "new")
        raise RuntimeError
    assert _read(target) == "old"
    assert list(target.parent.iterdir()) == [target]


def test_second_writer_is_refused(target: Path) -> None:
    """Two processes cannot write the same folder at a time; the first goes on undisturbed."""
    with replacing(target) as new:
        _bundle(new, "new")
        with pytest.raises(FolderError, match="another process is writing it"), replacing(target):
            pass
    assert _read(target) == "new"


def test_rest_of_a_killed_process_is_removed(target: Path) -> None:
    """What a killed process left half-written does not come into the next bundle."""
    left = target.with_name(".bundle.new")
    (left / "deep").mkdir(parents=True)
    (left / "half").write_text("half")
    with replacing(target) as new:
        assert list(new.iterdir()) == []
        _bundle(new, "new")
    assert _read(target) == "new"


def test_killed_between_two_renames(target: Path) -> None:
    """An old folder that was moved away and never replaced comes back first."""
    target.rename(target.with_name(".bundle.old"))
    with pytest.raises(RuntimeError), replacing(target):
        raise RuntimeError
    assert _read(target) == "old"


def test_killed_after_two_renames(target: Path) -> None:
    """An old folder that was already replaced is only removed."""
    old = target.with_name(".bundle.old")
    old.mkdir()
    _bundle(old, "older")
    with pytest.raises(RuntimeError), replacing(target):
        raise RuntimeError
    assert _read(target) == "old"
    assert not old.exists()


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A place where nothing can be written is named, with what the system said."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            FolderError, match=r"file.*: cannot be written: (File exists|Not a)"
        ) as caught,
        replacing(tmp_path / "file" / "bundle"),
    ):
        pass
    assert caught.value.exit_code == 1


def test_full_disk(target: Path) -> None:
    """No space left is one clear error, and the old folder is intact."""
    with pytest.raises(FolderError, match="No space left on device"), replacing(target):
        Path("/dev/full").write_text("x" * 10)
    assert _read(target) == "old"


KILLED = """
import os, shutil, sys
from pathlib import Path
import converter.folder as folder

target, last, exchange = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "exchange"
calls = 0

def killed(function):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == last:
            os._exit(9)
        return function(*arguments, **options)
    return call

if not exchange:
    folder._exchange = lambda first, second: False
folder._exchange = killed(folder._exchange)
Path.rename, Path.mkdir = killed(Path.rename), killed(Path.mkdir)
os.fsync, os.unlink, os.rmdir = killed(os.fsync), killed(os.unlink), killed(os.rmdir)
with folder.replacing(target) as new:
    for name in ("a", "b"):
        (new / name).write_text("new")
"""
"""Replaces a folder and dies just before the n-th call that changes the disk."""


@pytest.mark.parametrize("way", ["exchange", "two renames"])
def test_killed_before_each_step(tmp_path: Path, way: str) -> None:
    """Killed at any step, the folder is whole: at once, or after the next one has begun."""
    target = tmp_path / "bundle"
    target.mkdir()
    _bundle(target, "old")
    seen = set()
    for last in range(1, 100):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, target, str(last), way],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
        if way == "exchange":
            assert target.exists()
        with pytest.raises(RuntimeError), replacing(target):
            raise RuntimeError
        seen.add((killed.returncode, _read(target)))
        if killed.returncode == 0:
            break
        _bundle(target, "old")
    assert seen == {(9, "old"), (9, "new"), (0, "new")}
    assert list(tmp_path.iterdir()) == [target]
