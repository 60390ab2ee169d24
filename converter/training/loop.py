"""The course both trainings follow: steps until the clock says stop, a judgement each epoch,
the best weights kept.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converter.training.settings import SPLIT, Training
from converter.training.state import append_line, load_state, save_state, write_json
from edge.errors import ConfigError

Batch = tuple[NDArray[np.float32], ...]


class Learner(Protocol):
    """A network in training."""

    average: Average

    @property
    def variables(self) -> list[Any]:
        """Everything a restart needs, in a fixed order."""

    def step(self, batch: Batch, learning_rate: float) -> dict[str, float]:
        """Learn from one batch and return the losses by name."""


Judge = Callable[[list[NDArray[np.float32]]], tuple[float, dict[str, Any], dict[str, Any]]]
"""Averaged weights → quality (greater is better), figures for the learning curve, content for
``metrics.json``.
"""


def run(
    settings: Training,
    learner: Learner,
    draw: Callable[[np.random.Generator], Batch],
    judge: Judge,
    shipped: keras.Model,
    out: Path,
    *,
    resume: bool,
    progress: Callable[[str], None],
) -> Path:
    """Train until the minutes are over, or until the figure ``val_loss`` has not fallen for
    ``patience`` epochs, and return ``model.keras``: ``shipped`` with the best epoch's averaged
    weights.

    Each epoch ends with a line in ``curve.jsonl`` and with ``state.npz``, from which ``resume``
    goes on; minutes already spent then count.

    Raises
    ------
    ConfigError
        The training to go on with held other pictures back.
    """
    state, curve, best_file = out / "state.npz", out / "curve.jsonl", out / "model.keras"
    facts: dict[str, Any] = {"epoch": 0, "steps": 0, "spent_s": 0.0, "best": None}
    facts |= {"lowest": math.inf, "since": 0}
    facts["split"] = {key: getattr(settings, key) for key in SPLIT}
    if resume and state.exists():
        facts |= load_state(state, learner.variables)
        _same_split(state, facts["split"], settings)
    else:
        curve.unlink(missing_ok=True)
    patience = settings.patience or math.inf
    budget = Budget(settings.minutes, settings.learning_rate, settings.warmup, facts["spent_s"])
    with closing(drawn(draw, settings.seed + facts["epoch"])) as source:
        while not (budget.over or facts["since"] >= patience):
            sums: dict[str, float] = {}
            steps = 0
            while steps < settings.epoch_steps and not budget.over:
                for name, value in learner.step(next(source), budget.learning_rate()).items():
                    sums[name] = sums.get(name, 0.0) + value
                steps += 1
            weights = learner.average.values()
            quality, figures, metrics = judge(weights)
            facts |= {
                "epoch": facts["epoch"] + 1,
                "steps": facts["steps"] + steps,
                "spent_s": budget.spent_s,
            }
            line = {
                "epoch": facts["epoch"],
                "steps": facts["steps"],
                "minutes": round(budget.spent_s / 60, 2),
            }
            line |= {name: round(total / max(steps, 1), 4) for name, total in sums.items()}
            append_line(curve, line | figures)
            progress(" ".join(f"{key} {value}" for key, value in (line | figures).items()))
            loss = figures.get("val_loss", math.inf)
            lower = loss < facts["lowest"]
            facts |= {"lowest": loss, "since": 0} if lower else {"since": facts["since"] + 1}
            if facts["best"] is None or quality >= facts["best"]:
                facts["best"] = quality
                shipped.set_weights(weights)
                shipped.save(best_file)
                head = {
                    "kind": settings.kind,
                    "settings": settings.model_dump(mode="json"),
                    "epoch": facts["epoch"],
                }
                write_json(out / "metrics.json", head | metrics)
            save_state(state, learner.variables, facts)
    return best_file


def _same_split(state: Path, split: Mapping[str, Any], settings: Training) -> None:
    """Refuse to go on where pictures that would judge from now on have been learned from."""
    for key in SPLIT:
        here = getattr(settings, key)
        there = split.get(key, here)
        if there != here:
            raise ConfigError(
                f"{state}: was trained with training.{key} {there}, now it is {here}: "
                "the held-back pictures would not be unseen",
                hint="resume with the recipe that began this training, or train anew elsewhere",
            )


class Budget:
    """Counts the minutes spent, over restarts, and tells the learning rate: linear warm-up,
    then half a cosine to zero.
    """

    def __init__(self, minutes: float, peak: float, warmup: float, spent_s: float = 0.0) -> None:
        self._total_s = minutes * 60
        self._peak, self._warmup = peak, warmup
        self._begin = time.monotonic() - spent_s

    @property
    def spent_s(self) -> float:
        """Seconds trained so far."""
        return time.monotonic() - self._begin

    @property
    def over(self) -> bool:
        """Whether the minutes have run out."""
        return self.spent_s >= self._total_s

    def learning_rate(self) -> float:
        """Learning rate of the step to come."""
        return cosine(self.spent_s / self._total_s, self._peak, self._warmup)


def cosine(done: float, peak: float, warmup: float) -> float:
    """Learning rate after the share ``done`` of the budget (Loshchilov and Hutter 2017, without
    restarts).
    """
    if done < warmup:
        return peak * max(done / warmup, 0.01)
    return peak * max(
        0.5 * (1 + math.cos(math.pi * min((done - warmup) / (1 - warmup), 1.0))), 1e-3
    )


class Average:
    """Exponential moving average of all weights, the statistics of the normalizations included;
    counters are whole numbers and stay as they are.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self._now = [w.value for w in model.weights]
        self._means = {
            k: tf.Variable(value, trainable=False)
            for k, value in enumerate(self._now)
            if value.dtype.is_floating
        }
        self._decay = decay
        self._steps = tf.Variable(0.0, trainable=False)

    def update(self) -> None:
        """One step; callable inside a graph. Early on the average forgets faster, or it would
        remember the random start.
        """
        self._steps.assign_add(1.0)
        decay = tf.minimum(self._decay, (1.0 + self._steps) / (10.0 + self._steps))
        for k, mean in self._means.items():
            mean.assign_sub((1.0 - decay) * (mean - self._now[k]))

    def values(self) -> list[NDArray[np.float32]]:
        """The averaged weights, in the order of ``model.get_weights()``."""
        return [self._means.get(k, value).numpy() for k, value in enumerate(self._now)]

    @property
    def variables(self) -> list[tf.Variable]:
        """What a restart needs."""
        return [self._steps, *self._means.values()]


def optimizer(
    model: keras.Model, learning_rate: float, weight_decay: float
) -> keras.optimizers.Optimizer:
    """AdamW that decays kernels only and clips the rare exploding gradient."""
    adam = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, global_clipnorm=10.0)
    adam.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    adam.build(model.trainable_variables)
    return adam


def drawn(draw: Callable[[np.random.Generator], Batch], seed: int) -> Generator[Batch, None, None]:
    """Endless batches, made by a thread of their own while the network learns from the last
    ones; close it to end the thread.
    """
    ready: queue.Queue[Batch | Exception] = queue.Queue(maxsize=4)
    stop = threading.Event()

    def offer(item: Batch | Exception) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def work() -> None:
        rng = np.random.default_rng(seed)
        try:
            while not stop.is_set():
                offer(draw(rng))
        except Exception as error:  # noqa: BLE001 - the consumer raises it
            offer(error)

    thread = threading.Thread(target=work, name="samples", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stop.set()
        thread.join(timeout=5)


def prepare(out: Path, seed: int, threads: int) -> None:
    """Make the folder, seed everything, and bound TensorFlow's threads unless TensorFlow has
    already started here.
    """
    out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return
