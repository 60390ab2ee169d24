"""How the station's last run ended, kept in a file for the next one to tell."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

STOPPED = "stopped"
KILLED = "killed, stuck or without power"
"""What holds when a run could not say how it ended."""
_LONGEST = 200

_log = logging.getLogger(__name__)


class LastExit:
    """One line in a file. It informs and nothing depends on it: a disk that fails is logged only.

    Parameters
    ----------
    path
        The file; its folder exists when :meth:`begin` is called, and belongs to this process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begun = False

    def begin(self) -> str | None:
        """A run begins: how the last one ended; None when there was none."""
        before: str | None = None
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            lines = file.read(4 * _LONGEST).decode("utf-8", "replace").splitlines()
            before = lines[0][:_LONGEST] if lines else None
        self._begun = True
        self._write(KILLED)
        return before

    def end(self, how: str) -> None:
        """The run ends; does nothing if it never began."""
        if self._begun:
            self._write(how)

    def _write(self, how: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(self._path, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(" ".join(how.split())[:_LONGEST] + "\n")
        except OSError as error:
            _log.warning("%s: %s", self._path, error.strerror)
