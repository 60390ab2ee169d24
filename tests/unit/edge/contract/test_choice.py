"""What was measured as the best variant: read by the service, written without losing anything."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge.contract.choice import check_choice, read_choice, write_choice
from edge.contract.errors import ModelError

ROOT = Path(__file__).parents[4]

BROKEN = [b"", b"{", b"[1]", b'"int8"', b"\xff\xfe", b"[" * 100_000]


def test_the_choice_is_read(tmp_path: Path) -> None:
    """``choice.json`` maps bundles to variants; what is no variant is left out."""
    (tmp_path / "choice.json").write_text('{"a": "int8", "b": 3}', encoding="utf-8")
    assert read_choice(tmp_path) == {"a": "int8"}


def test_no_choice_is_no_error(tmp_path: Path) -> None:
    """A device that has measured nothing has no file."""
    assert read_choice(tmp_path) == {}


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: repr(content[:8]))
def test_a_broken_choice_is_logged_and_ignored(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A preference that cannot be read does not keep the service from starting."""
    (tmp_path / "choice.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_choice(tmp_path) == {}
    assert "choice.json" in caplog.text


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """The reader gives back what the writer was given, and nothing else lies in the folder."""
    path = write_choice(tmp_path, {"a": "int8", "b": "float32"})
    assert read_choice(tmp_path) == {"a": "int8", "b": "float32"}
    assert list(tmp_path.iterdir()) == [path]


def test_other_entries_stay(tmp_path: Path) -> None:
    """Choices for other bundles stay, also what this version does not understand."""
    (tmp_path / "choice.json").write_text('{"a": "int8", "b": {"later": [1]}, "c": "float16"}')
    write_choice(tmp_path, {"a": "float32", "d": "int8"})
    assert json.loads((tmp_path / "choice.json").read_text()) == {
        "a": "float32",
        "b": {"later": [1]},
        "c": "float16",
        "d": "int8",
    }


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: repr(content[:8]))
def test_a_broken_file_is_not_written_over(tmp_path: Path, content: bytes) -> None:
    """Somebody may want to repair it: it keeps its bytes, and the error names it."""
    path = tmp_path / "choice.json"
    path.write_bytes(content)
    for attempt in (lambda: write_choice(tmp_path, {"a": "int8"}), lambda: check_choice(tmp_path)):
        with pytest.raises(ModelError, match=r"choice\.json: broken"):
            attempt()
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_asking_changes_nothing(tmp_path: Path) -> None:
    """Whether it can be written is found out without a file that was not there before."""
    check_choice(tmp_path)
    assert list(tmp_path.iterdir()) == []
    write_choice(tmp_path, {"a": "int8"})
    before = (tmp_path / "choice.json").stat()
    check_choice(tmp_path)
    assert (tmp_path / "choice.json").stat().st_ino == before.st_ino
    assert [path.name for path in tmp_path.iterdir()] == ["choice.json"]


@pytest.mark.parametrize("ask", [False, True])
def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, ask: bool) -> None:
    """A mistyped state directory must not become a second one."""
    missing = tmp_path / "nope"
    with pytest.raises(FileNotFoundError, match="nope"):
        check_choice(missing) if ask else write_choice(missing, {"a": "int8"})
    assert not missing.exists()


def test_the_service_may_read_what_root_wrote(tmp_path: Path) -> None:
    """A strict umask of whoever measures does not keep the service's user from reading."""
    before = os.umask(0o077)
    try:
        path = write_choice(tmp_path, {"a": "int8"})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """A link at the new file's place does not let root write somewhere else."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state = tmp_path / "state"
    state.mkdir()
    (state / ".choice.json.new").symlink_to(victim)
    write_choice(state, {"a": "int8"})
    assert victim.read_text() == "precious"
    assert read_choice(state) == {"a": "int8"}


def test_a_link_planted_at_the_last_moment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes after the place was cleared is an error, and what it leads to stays."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".choice.json.new").symlink_to(victim)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
    with pytest.raises(FileExistsError):
        write_choice(tmp_path, {"a": "int8"})
    assert victim.read_text() == "precious"


def test_a_full_disk_leaves_the_old_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot reach the disk does not take the file's place, and nothing is left lying."""
    path = write_choice(tmp_path, {"a": "int8"})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_choice(tmp_path, {"b": "int8"})
    assert read_choice(tmp_path) == {"a": "int8"}
    assert list(tmp_path.iterdir()) == [path]


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Each of many writers finds its own entry in the end: they wait for each other."""
    names = [f"bundle_{number}" for number in range(32)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: write_choice(tmp_path, {name: "int8"}), names))
    assert read_choice(tmp_path) == dict.fromkeys(names, "int8")


KILLED = """
import os, sys
from pathlib import Path
from edge.contract import choice

last, calls = int(sys.argv[2]), 0

def killed(function):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == last:
            os._exit(9)
        return function(*arguments, **options)
    return call

os.fsync, os.fchmod, os.open = killed(os.fsync), killed(os.fchmod), killed(os.open)
Path.replace, Path.unlink = killed(Path.replace), killed(Path.unlink)
choice.write_choice(Path(sys.argv[1]), {"a": "float32"})
"""
"""Writes a choice and dies just before the n-th call that changes the disk."""


def test_killed_before_each_step(tmp_path: Path) -> None:
    """Killed at any step, the file is the whole old or the whole new one, and writable again."""
    old = {"a": "int8", "b": "float16"}
    seen = set()
    for last in range(1, 20):
        write_choice(tmp_path, old)
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, tmp_path, str(last)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
        found = json.loads((tmp_path / "choice.json").read_text())
        assert found["b"] == "float16"
        seen.add((killed.returncode, found["a"]))
        if killed.returncode == 0:
            break
    assert seen == {(9, "int8"), (9, "float32"), (0, "float32")}
    write_choice(tmp_path, old)
    assert [path.name for path in tmp_path.iterdir()] == ["choice.json"]
