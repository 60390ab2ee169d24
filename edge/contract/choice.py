"""``choice.json`` of a station's state directory: the variant that was measured as the best here.

One object, bundle name → variant. ``linesight bench --write`` writes it, and the service reads it
where ``[models].variant`` is ``auto``. It never goes into a manifest: a bundle is the same
everywhere, what suits a machine is not.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge.contract.errors import ModelError

_LOG = logging.getLogger(__name__)

_NAME = "choice.json"


def read_choice(state_dir: Path) -> dict[str, str]:
    """What was measured as the best variant on this device, bundle name → variant.

    Only a preference: an absent or broken file is no error, a broken one is logged.
    """
    path = state_dir / _NAME
    try:
        entries = _entries(path)
    except (OSError, ValueError) as error:
        _LOG.warning("%s: ignored: %s", path, error)
        return {}
    return {name: variant for name, variant in entries.items() if isinstance(variant, str)}


def write_choice(state_dir: Path, chosen: Mapping[str, str]) -> Path:
    """Add these choices to what is there for other bundles; the file's path.

    At every moment, also of a power failure, the file is the whole old or the whole new one. Who
    writes at the same time waits, and nobody's entry is lost.

    Parameters
    ----------
    state_dir
        The station's; it must be there.
    chosen
        Bundle name → variant.

    Raises
    ------
    ModelError
        The file that is there is broken; it stays as it is.
    OSError
        The folder or the file cannot be read or written; the file stays as it is.
    """
    path = state_dir / _NAME
    with _locked(state_dir) as folder:
        _write_beside(path, chosen).replace(path)
        with suppress(OSError):  # not every file system syncs folders; the file is written
            os.fsync(folder)
    return path


def check_choice(state_dir: Path) -> None:
    """Do everything that :func:`write_choice` does but the last step, and leave nothing behind.

    A measurement takes a while: whether it can be kept is asked before it begins.

    Raises
    ------
    ModelError, OSError
        As :func:`write_choice`.
    """
    with _locked(state_dir):
        _write_beside(state_dir / _NAME, {}).unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold the folder's lock, which the kernel gives back when the process dies."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _entries(path: Path) -> dict[str, Any]:
    """Everything that the file says, also what this version has no use for."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(data, dict):
        raise ValueError("not an object of bundle names and variants")
    return data


def _write_beside(path: Path, chosen: Mapping[str, str]) -> Path:
    """The file as it will be, on the disk under another name; for who holds the folder's lock."""
    try:
        entries = {**_entries(path), **chosen}
    except ValueError as error:
        raise ModelError(
            f"{path}: broken, so nothing was added to it: {error}",
            hint="repair it, or remove it: it only holds what was measured",
        ) from error
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)  # of a process that was killed
        # Exclusive: root must not write through a link that the service's user has put there.
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(entries, file, indent=2)
            file.write("\n")
            file.flush()
            # Whoever measured, perhaps root with a strict umask: the service must read it.
            os.fchmod(handle, 0o644)
            os.fsync(handle)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new
