"""The files that ``[mqtt]`` names: password, CA, certificate and key."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.config.models import Config
from edge.config.wording import Mistake
from edge.errors import ConfigError


def credential(path: Path) -> Path:
    """A relative name is looked up in systemd's ``$CREDENTIALS_DIRECTORY`` first."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and not path.is_absolute() and (Path(folder) / path).is_file():
        return Path(folder) / path
    return path


def read_password(config: Config) -> str | None:
    """The broker's password, None when none is configured; an empty file is an empty password.

    One newline at the end, as editors leave it, does not belong to the password.

    Raises
    ------
    ConfigError
        The file has gone since the configuration was read, or is not text.
    """
    if config.mqtt.password_file is None:
        return None
    path = credential(config.mqtt.password_file)
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"mqtt.password_file: {path}: cannot be read: {error}") from error
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
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            text = getattr(error, "strerror", None) or str(error)
            mistakes.append(Mistake(("mqtt", key), f"{str(path)!r}: {text}"))
            continue
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            mistakes.append(Mistake(("mqtt", key), f"{path}: is not a file"))
        elif key in ("password_file", "key") and mode & 0o077 and not _is_credential(path):
            text = f"{path}: mode {mode:04o}, need 0600; run `chmod 600 {path}`"
            mistakes.append(Mistake(("mqtt", key), text))
    return mistakes


def _is_credential(path: Path) -> bool:
    """Systemd guards its credentials itself, by an ACL that shows up as group bits."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.is_absolute() and path.is_relative_to(folder)
