"""The files that ``[mqtt]`` names: password, CA, certificate and key."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.config.wording import Mistake
from edge.errors import ConfigError


def credential(path: Path) -> Path:
    """A relative name is looked up in systemd's ``$CREDENTIALS_DIRECTORY`` first."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder or path.is_absolute():
        return path
    inside = Path(folder) / path
    try:
        return inside if stat.S_ISREG(inside.stat().st_mode) else path
    except PermissionError:
        return inside  # there, but not for us: name it, not another place
    except (OSError, ValueError):
        return path


def read_password(path: Path | None) -> str | None:
    """The password in ``[mqtt].password_file``; None without a file, "" from an empty one.

    One newline at the end, as editors leave it, does not belong to the password.

    Raises
    ------
    ConfigError
        The file is not there, is not text, or others may read it.
    """
    if path is None:
        return None
    place = credential(path)
    wrong = _wrong(place, secret=True)
    if wrong:
        raise ConfigError(f"password file {wrong}")
    try:
        text = place.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"password file {place}: cannot be read: {why}",
            hint="must be a text file of the service's user, mode 0600",
        ) from error
    return text.removesuffix("\n").removesuffix("\r")


def file_mistakes(tables: Mapping[str, Any]) -> list[Mistake]:
    """Files that ``[mqtt]`` names and that are not there, or that others may read.

    Looks at the file's own tables, so that it runs even when other keys are wrong.
    """
    mqtt = tables.get("mqtt")
    if not isinstance(mqtt, dict):
        return []
    mistakes = []
    for key in ("password_file", "ca", "cert", "key"):
        name = mqtt.get(key)
        if not isinstance(name, str):
            continue
        path = credential(Path(name)) if key == "password_file" else Path(name)
        if wrong := _wrong(path, secret=key in ("password_file", "key")):
            mistakes.append(Mistake(("mqtt", key), wrong))
    return mistakes


def _wrong(path: Path, *, secret: bool) -> str:
    """What speaks against using a file, or nothing."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return f"{str(path)!r}: {why}; name a file that the service's user may read"
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        return f"{path}: is not a file"
    if secret and mode & 0o077 and not _is_credential(path):
        return f"{path}: mode {mode:04o}, need 0600; run `chmod 600 {path}`"
    return ""


def _is_credential(path: Path) -> bool:
    """Systemd guards its credentials itself, by an ACL that shows up as group bits."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.is_absolute() and path.is_relative_to(folder)
