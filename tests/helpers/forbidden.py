"""Folders that may not be looked into, also for root, whom the file system lets in everywhere."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest


def forbid(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let ``Path.stat`` refuse everything within ``folder``, as without the x permission on it."""
    real = Path.stat

    def stat(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if folder in self.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
