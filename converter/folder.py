"""Put a finished folder in the place of an old one, so that a crash leaves the old one or the new.

The new folder is written beside the old one as ``.<name>.new``, all of it reaches the disk, then
the two exchange their names in one system call (Linux ``renameat2`` with ``RENAME_EXCHANGE``): at
no moment is there no bundle. A file system that cannot do that (some network mounts) gets two
renames with ``.<name>.old`` between them; killed just there, the old folder is complete under that
name, and the next :func:`replacing` brings it back before it does anything else.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edge.errors import LineSightError, UsageError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_OURS = frozenset({"recipe.toml", "manifest.json", "golden.npz", "CARD.md"})
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class FolderError(LineSightError, OSError):
    """The folder cannot be written; what was there before is untouched."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new, empty folder that takes the place of ``target`` when the block ends.

    When the block raises, the new folder is removed and ``target`` stays as it was.

    Raises
    ------
    FolderError
        The disk is full, the parent is not writable, or another process writes the same folder.
    """
    target = target.resolve()  # a link stays a link, to the new folder
    new = target.with_name(f".{target.name}.new")
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _recover(target)
            if new.is_symlink():
                new.unlink()
            new.mkdir(exist_ok=True)
            stack.enter_context(_locked(new, target))
            stack.callback(shutil.rmtree, new, ignore_errors=True)
            for left in new.iterdir():  # by a process that was killed
                _remove(left)
            yield new
            if target.exists():
                # Until the old folder is gone, nobody may take it for a new one left by a crash.
                stack.enter_context(_locked(target, target))
            _flush(new)
            _swap(new, target)
        except OSError as error:
            if isinstance(error, LineSightError):
                raise
            raise FolderError(
                f"{error.filename or target}: cannot be written: {error.strerror}",
                hint=f"{target} is as it was before",
            ) from error


def check_target(out: Path) -> None:
    """``out`` is a bundle's folder, an empty one, or not there.

    Raises
    ------
    UsageError
        It is a file, the folder that somebody works in, or holds files that no bundle has: they
        would be lost.
    """
    if not out.exists():
        return
    if out.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UsageError(
            f"--out {out}: is the folder you are in, and is replaced as a whole",
            hint="name another folder with --out",
        )
    if not out.is_dir():
        raise UsageError(f"--out {out}: is a file", hint="name the bundle's folder")
    strangers = sorted(
        path.name
        for path in out.iterdir()
        if path.name not in _OURS and not path.match("model.*.tflite")
    )
    if strangers:
        raise UsageError(
            f"--out {out}: holds {strangers[0]!r}, which is no part of a bundle",
            hint="the folder is replaced as a whole: move it away, or name another folder",
        )


def _recover(target: Path) -> None:
    """Finish what a killed process began: bring the old folder back, or remove it."""
    old = target.with_name(f".{target.name}.old")
    if old.is_dir() and not target.exists():
        old.rename(target)
    elif old.is_dir():
        shutil.rmtree(old)


@contextmanager
def _locked(folder: Path, target: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel gives back when the process dies."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise FolderError(f"{target}: another process is writing it", hint="wait for it") from error
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _flush(folder: Path) -> None:
    """Everything in the folder, and its list of names, is on the disk afterwards."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(new: Path, target: Path) -> None:
    if not target.exists():
        new.rename(target)
    elif not _exchange(new, target):
        old = target.with_name(f".{target.name}.old")
        target.rename(old)
        new.rename(target)
        _sync(target.parent)
        shutil.rmtree(old, ignore_errors=True)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system syncs folders
            os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(first: Path, second: Path) -> bool:
    """Give each of two folders the other's name at once; False where that is not possible."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    names = (os.fsencode(first), os.fsencode(second))
    done = libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    code = 0 if done == 0 else ctypes.get_errno()
    if code in _CANNOT:
        return False
    if code:
        raise OSError(code, os.strerror(code), str(second))
    return True
