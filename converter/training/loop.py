"""What both trainings share: a learning rate told by the clock, averaged weights, and a state that survives a restart."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class Budget:
    """Counts the minutes spent, over restarts, and tells the learning rate: linear warm-up, then half a cosine to zero."""

    def __init__(self, minutes: float, peak: float, warmup: float, spent_s: float = 0.0) -> None:
        self._total_s = minutes * 60
        self._peak, self._warmup = peak, warmup
        self._begin = time.monotonic() - spent_s

    @property
    def spent_s(self) -> float:
        return time.monotonic() - self._begin

    @property
    def over(self) -> bool:
        return self.spent_s >= self._total_s

    def learning_rate(self) -> float:
        return cosine(self.spent_s / self._total_s, self._peak, self._warmup)


def cosine(done: float, peak: float, warmup: float) -> float:
    """Learning rate after the share ``done`` of the budget (Loshchilov and Hutter 2017, without restarts)."""
    if done < warmup:
        return peak * max(done / warmup, 0.01)
    return peak * max(0.5 * (1 + math.cos(math.pi * min((done - warmup) / (1 - warmup), 1.0))), 1e-3)


class Average:
    """Exponential moving average of all weights, the statistics of the normalizations included."""

    def __init__(self, model: keras.Model, decay: float) -> None:
        self._pairs = [(tf.Variable(w.value, trainable=False), w.value) for w in model.weights]
        self._decay = decay
        self._steps = tf.Variable(0.0, trainable=False)

    def update(self) -> None:
        """One step; callable inside a graph. Early on the average forgets faster, or it would remember the random start."""
        self._steps.assign_add(1.0)
        decay = tf.minimum(self._decay, (1.0 + self._steps) / (10.0 + self._steps))
        for mean, value in self._pairs:
            mean.assign_sub((1.0 - decay) * (mean - value))

    def values(self) -> list[np.ndarray]:
        return [mean.numpy() for mean, _ in self._pairs]

    @property
    def variables(self) -> list[tf.Variable]:
        return [self._steps, *(mean for mean, _ in self._pairs)]


def save_state(path: Path, variables: Sequence[Any], facts: dict[str, Any]) -> None:
    """Write all variables and a few facts, so that a killed training loses one epoch at most; replaces the file atomically."""
    temporary = path.with_suffix(".tmp.npz")
    arrays = {f"v{i}": np.asarray(v) for i, v in enumerate(variables)}
    np.savez(temporary, facts=np.array(json.dumps(facts)), **arrays)
    os.replace(temporary, path)


def load_state(path: Path, variables: Sequence[Any]) -> dict[str, Any]:
    """Put the variables back and return the facts."""
    with np.load(path) as state:
        if len(state.files) != len(variables) + 1:
            raise ValueError(f"{path} belongs to another network: {len(state.files) - 1} variables, not {len(variables)}")
        for i, variable in enumerate(variables):
            variable.assign(state[f"v{i}"])
        facts: dict[str, Any] = json.loads(str(state["facts"]))
    return facts


def limit_threads(threads: int) -> None:
    """Bound TensorFlow's threads; too late, and left alone, when TensorFlow has already started in this process."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one JSON line to the learning curve."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write readable JSON, atomically."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
