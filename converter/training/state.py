"""Files a training leaves: its state for a restart, the learning curve, the metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import DataError


def save_state(path: Path, variables: Sequence[Any], facts: dict[str, Any]) -> None:
    """Write all variables and a few facts, so that a killed training loses one epoch at most;
    replaces the file atomically.
    """
    temporary = path.with_suffix(".tmp.npz")
    arrays = {f"v{i}": np.asarray(variable) for i, variable in enumerate(variables)}
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)
    temporary.replace(path)


def load_state(path: Path, variables: Sequence[Any]) -> dict[str, Any]:
    """Put the variables back and return the facts."""
    with np.load(path, allow_pickle=False) as state:
        if len(state.files) != len(variables) + 1:
            raise DataError(
                f"{path} belongs to another network: {len(variables)} variables expected",
                hint="resume with the recipe that began this training, or train anew",
            )
        for i, variable in enumerate(variables):
            variable.assign(state[f"v{i}"])
        facts: dict[str, Any] = json.loads(str(state["facts"]))
    return facts


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one JSON line to the learning curve."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def write_json(path: Path, record: dict[str, Any] | list[Any]) -> None:
    """Write readable JSON, atomically."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
