"""``modelcheck.json``: which models have passed on this machine; JSON, never a pickle."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
from contextlib import suppress
from pathlib import Path

from edge import __version__
from edge.contract.bundle import Bundle
from edge.engines import runtime_name
from edge.errors import BundleNotFound

_LOG = logging.getLogger(__name__)

_KEPT = 32
_MAX_BYTES = 2**16
_FIELDS = frozenset(
    {"model", "manifest", "golden", "variant", "runtime", "opencv", "program", "machine"}
)


def key_of(bundle: Bundle, variant: str) -> dict[str, str]:
    """All that the result hangs on."""
    return {
        "model": bundle.variant(variant).sha256,
        "manifest": _sha256(bundle.path / "manifest.json"),
        "golden": _sha256(bundle.golden_path),
        "variant": variant,
        "runtime": runtime_name(),
        "opencv": _version_of("opencv-python-headless", "opencv-python"),
        "program": __version__,
        "machine": _machine(),
    }


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleNotFound(
            f"{path}: cannot be read: {error.strerror}", hint="install the bundle again"
        ) from error


def _version_of(*packages: str) -> str:
    for package in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(package)
    return ""


def _machine() -> str:
    """The architecture and what this processor can do: kernels are chosen by it."""
    abilities = b""
    with suppress(OSError), Path("/proc/cpuinfo").open("rb") as file:
        for line in file:
            if line.startswith((b"flags", b"Features")):
                abilities = line
                break
    return f"{platform.machine()} {hashlib.sha256(abilities).hexdigest()[:12]}"


def read_passed(path: Path) -> list[dict[str, str]]:
    """What has passed; a broken file is as good as none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
        data = json.loads(content) if len(content) <= _MAX_BYTES else None
        if isinstance(data, dict) and set(data) == {"version", "passed"} and data["version"] == 1:
            entries = data["passed"]
            if isinstance(entries, list) and all(_is_entry(entry) for entry in entries):
                return entries
        _LOG.warning("%s: ignored: not a list of passed checks", path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, RecursionError) as error:
        _LOG.warning("%s: ignored: %s", path, error)
    return []


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and set(entry) == _FIELDS
        and all(isinstance(value, str) for value in entry.values())
    )


def write_passed(path: Path, passed: dict[str, str]) -> None:
    """Add one; at every moment the file is the whole old or the whole new one."""
    entries = [entry for entry in read_passed(path) if entry != passed][1 - _KEPT :]
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # of a process that was killed
    try:
        # Exclusive: never through a link that somebody has put there.
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"version": 1, "passed": [*entries, passed]}, file, indent=1)
            file.flush()
            os.fsync(handle)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # not every file system syncs folders; the file is written
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
