"""Our commands as processes, and models that the station can run without training."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers.bundles import BLOB_DETECTOR, TINT_CLASSIFIER

ROOT = Path(__file__).parents[2]


def linesight(
    *arguments: str | Path, timeout_s: float = 60.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m edge`` to its end; it sees no terminal."""
    return subprocess.run(
        [sys.executable, "-m", "edge", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def convert(
    *arguments: str | Path, cwd: Path = ROOT, timeout_s: float = 400.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m converter.cli`` to its end; it sees no terminal."""
    return subprocess.run(
        [sys.executable, "-m", "converter.cli", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def station_models(folder: Path) -> Path:
    """The two tiny bundles under the names that a face_mask station looks for."""
    models = folder / "models"
    shutil.copytree(BLOB_DETECTOR, models / "face_detector")
    shutil.copytree(TINT_CLASSIFIER, models / "mask_classifier")
    return models
