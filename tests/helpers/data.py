"""The shared real pictures and clips, which are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_dir(*parts: str) -> Path:
    """A file or folder of the shared data, below the folder that ``LINESIGHT_DATA`` names.

    Without it the test is skipped with the reason, or, with ``LINESIGHT_REQUIRE_DATA=1``, fails.
    """
    root = os.environ.get("LINESIGHT_DATA")
    if root is None:
        return _absent("LINESIGHT_DATA is not set: it names the folder with the shared real data")
    path = Path(root, *parts)
    if not path.exists():
        return _absent(f"LINESIGHT_DATA: {path} does not exist")
    return path


def _absent(reason: str) -> Path:
    if os.environ.get("LINESIGHT_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
