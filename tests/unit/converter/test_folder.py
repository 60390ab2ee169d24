"""A folder is replaced as a whole: at every moment the old one or the new one is complete."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import converter.folder
from converter.folder import FolderError, replacing

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


def test_read_only_parent(tmp_path: Path) -> None:
    """A place where nothing can be written is named, with what the system said."""
    with (
        pytest.raises(FolderError, match=r"cannot be written: Not a directory") as caught,
        replacing(tmp_path / "file" / "bundle"),
    ):
        (tmp_path / "file").write_text("")
    assert caught.value.exit_code == 1


def test_full_disk(target: Path) -> None:
    """No space left is one clear error, and the old folder is intact."""
    with pytest.raises(FolderError, match="No space left on device"), replacing(target):
        Path("/dev/full").write_text("x" * 10)
    assert _read(target) == "old"


def test_kill_at_any_moment(tmp_path: Path) -> None:
    """SIGKILL at many moments of many replacements never leaves a missing or mixed folder."""
    target = tmp_path / "bundle"
    target.mkdir()
    _bundle(target, "first")
    script = (
        "import sys; from pathlib import Path; from converter.folder import replacing\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    with replacing(Path(sys.argv[1])) as new:\n"
        "        (new / 'a').write_text(str(n)); (new / 'b').write_text(str(n))\n"
        "    print(n, flush=True)\n"
    )
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", script, target],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        while time.monotonic() - began < 0.02:
            _read_pair(target)
        process.kill()
        process.wait()
        process.stdout.close()
        _read(target)


def _read_pair(target: Path) -> None:
    """A reader that keeps the folder open sees two files of one bundle."""
    handle = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        names = sorted(os.listdir(handle))
        # Empty or partly removed only if the folder was replaced after it had been opened.
        assert names in (["a", "b"], ["a"], ["b"], [])
    finally:
        os.close(handle)
