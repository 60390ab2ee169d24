"""The two tiny bundles of ``tests/fixtures`` and ways to spoil copies of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.contract.golden import read_golden, write_golden

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

BLOB_DETECTOR = FIXTURES / "blob_detector"
"""Finds bright blobs of 12 to 24 model pixels on a dark ground; label ``face``."""

TINT_CLASSIFIER = FIXTURES / "tint_classifier"
"""Bluish crop: ``with_mask``; reddish crop: ``without_mask``."""


def copy_bundle(tmp_path: Path, which: Path) -> Path:
    """A writable copy of a bundle, ``tmp_path / which.name``."""
    return Path(shutil.copytree(which, tmp_path / which.name))


def edit_manifest(path: Path, fn: Callable[[dict[str, Any]], object]) -> None:
    """Let ``fn`` change the manifest of the bundle in the folder ``path``, in place."""
    file = path / "manifest.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    fn(data)
    file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def exchange_model(path: Path, variant: str, content: bytes) -> None:
    """Put another model file into the bundle in the folder ``path``, with a hash that fits."""
    (path / f"model.{variant}.tflite").write_bytes(content)
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit_manifest(path, lambda data: data["variants"][variant].update(facts))


def spoil_golden(path: Path, *variants: str) -> None:
    """Let golden vectors say that the first output of these variants was another one."""
    file = path / "golden.npz"
    golden = read_golden(file)
    outputs = {name: [dict(run) for run in runs] for name, runs in golden.outputs.items()}
    for variant in variants:
        output, array = next(iter(outputs[variant][0].items()))
        outputs[variant][0][output] = (array + 50).astype(array.dtype)
    write_golden(file, golden.images, outputs)
