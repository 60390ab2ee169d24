"""The files of lots that are over, for people."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edge.records import LotReport

KEPT = 500
"""Lots whose files are kept; then the oldest leave."""


class Archive:
    """A folder with the reports of the last lots: a page to print, map, list, and all as JSON.

    Parameters
    ----------
    folder
        Made when the first lot is kept.
    kept
        How many lots.
    """

    def __init__(self, folder: Path, *, kept: int = KEPT) -> None:
        self._folder = folder
        self._kept = kept

    def keep(self, report: LotReport) -> list[Path]:
        """Write a lot's files, each as a whole or not at all; the paths.

        Raises
        ------
        OSError
            The disk does not take them.
        """
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        # Two lots may have one name, and a name may hold what no file name may.
        stem = f"{re.sub(r'[^A-Za-z0-9._-]', '_', report.name)}.{report.id.rpartition('-')[2]}"
        files = []
        for ending, content in report.pages.items():
            file = self._folder / f"{stem}.{ending}"
            fresh = file.with_name(f".{file.name}.new")
            with fresh.open("w", encoding="utf-8", newline="") as written:
                written.write(content)
                written.flush()
                os.fsync(written.fileno())
            fresh.replace(file)
            files.append(file)
        self._forget()
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return files

    def _forget(self) -> None:
        """Delete the files of the lots beyond those that are kept, the oldest first."""
        lots: dict[str, float] = {}
        for file in self._folder.iterdir():
            if not file.name.startswith("."):
                lots[file.stem] = max(lots.get(file.stem, 0.0), file.stat().st_mtime)
        old = set(sorted(lots, key=lambda one: lots[one])[: max(0, len(lots) - self._kept)])
        for file in self._folder.iterdir():
            if file.stem in old:
                file.unlink(missing_ok=True)
