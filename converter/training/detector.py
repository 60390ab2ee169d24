"""Training of the face detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converter.training import losses
from converter.training.architectures import build_face_detector
from converter.training.detector_samples import batches
from converter.training.loop import Average, Budget, append_line, limit_threads, load_state, save_state, write_json
from converter.training.metrics import Judged, judge, summary
from converter.training.pictures import Picture, letterbox, load_pictures, to_tensor
from converter.training.settings import DetectorTraining
from converter.training.split import split_boxes
from converter.training.targets import decode

CURVE_PRECISION = 0.90
"""Precision at which the learning curve tells recall."""


def train(
    settings: DetectorTraining,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Callable[[str], None] = print,
) -> Path:
    """Train until the minutes are over; write ``model.keras``, ``metrics.json``, ``curve.jsonl`` and ``state.npz`` to ``out``.

    Parameters
    ----------
    data
        The folder that holds ``boxes/``.
    resume
        Go on from ``state.npz`` if it is there; the minutes already spent count.

    Returns
    -------
    Path
        The inference graph, batch 1, with the averaged weights of the best epoch by validation AP.
    """
    limit_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(settings.seed)
    split = split_boxes(data, fraction=settings.picture_fraction, seed=settings.seed)
    pictures, held_back = load_pictures(data, split.train), load_pictures(data, split.validation)
    progress(f"{len(pictures)} pictures to train on, {len(held_back)} to judge on")

    trainer = Trainer(settings)
    shipped = build_face_detector(settings.height, settings.width, batch=1)
    state, curve, best_file = out / "state.npz", out / "curve.jsonl", out / "model.keras"
    facts: dict[str, Any] = {"epoch": 0, "spent_s": 0.0, "best": None}
    if resume and state.exists():
        facts = load_state(state, trainer.variables)
    else:
        curve.unlink(missing_ok=True)
    budget = Budget(settings.minutes, settings.learning_rate, settings.warmup, facts["spent_s"])
    source = batches(pictures, settings, settings.seed + facts["epoch"])
    while not budget.over:
        total = np.zeros(3)
        steps = 0
        while steps < settings.epoch_steps and not budget.over:
            total += trainer.step(next(source), budget.learning_rate())
            steps += 1
        facts["epoch"] += 1
        shipped.set_weights(trainer.average.values())
        judged = judge_pictures(shipped, held_back, settings)
        figures = summary(judged, CURVE_PRECISION)
        loss, heat, box = (round(float(v), 4) for v in total / max(steps, 1))
        line = {
            "epoch": facts["epoch"],
            "steps": trainer.steps,
            "minutes": round(budget.spent_s / 60, 2),
            "loss": loss,
            "loss_heat": heat,
            "loss_box": box,
            **figures,
        }
        append_line(curve, line)
        progress(" ".join(f"{key} {value}" for key, value in line.items()))
        if facts["best"] is None or float(figures["ap"]) >= facts["best"]["ap"]:  # type: ignore[arg-type]
            facts["best"] = {"epoch": facts["epoch"], **summary(judged, settings.target_precision)}
            shipped.save(best_file)
            write_json(out / "metrics.json", report(settings, facts, len(pictures), judged))
        facts["spent_s"] = budget.spent_s
        save_state(state, trainer.variables, facts)
    source.close()  # type: ignore[attr-defined]
    return best_file


class Trainer:
    """The network in training, its optimizer and the average of its weights."""

    def __init__(self, settings: DetectorTraining) -> None:
        self.model = build_face_detector(None, None)
        # The loss wants the logit: the logarithm of a sigmoid that has rounded to 0 or 1 has no gradient.
        outputs = [self.model.get_layer(name).output for name in ("logit", "offset", "size")]
        self._heads = keras.Model(self.model.input, outputs)
        self._optimizer = keras.optimizers.AdamW(
            settings.learning_rate, weight_decay=settings.weight_decay, clipnorm=None, global_clipnorm=10.0
        )
        self._optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        self._optimizer.build(self.model.trainable_variables)
        self.average = Average(self.model, settings.average)
        self._graph = tf.function(self._step, reduce_retracing=True)

    @property
    def variables(self) -> list[Any]:
        """Everything a restart needs."""
        return [*self.model.weights, *self._optimizer.variables, *self.average.variables]

    @property
    def steps(self) -> int:
        return int(self._optimizer.iterations)

    def step(self, batch: Sequence[NDArray[np.float32]], learning_rate: float) -> NDArray[np.float64]:
        """Learn from one batch; returns total, heat map and box loss."""
        self._optimizer.learning_rate.assign(learning_rate)
        return np.array([float(v) for v in self._graph(*(tf.constant(a) for a in batch))])

    def _step(self, image: tf.Tensor, heat: tf.Tensor, keep: tf.Tensor, box: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            logit, offset, size = self._heads(image, training=True)
            heat_loss = losses.focal(logit[..., 0], heat, keep)
            box_loss = losses.box_loss(tf.concat([offset, size], axis=-1), box, weight)
            loss = heat_loss + 2.0 * box_loss
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self._optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        self.average.update()
        return loss, heat_loss, box_loss


def judge_pictures(model: keras.Model, pictures: Sequence[Picture], settings: DetectorTraining) -> list[Judged]:
    """Run the shipped graph over whole pictures, one pass each, and match what it finds."""
    infer = tf.function(lambda x: model(x, training=False))
    judged = []
    for picture in pictures:
        canvas, scale, left, top = letterbox(picture.image, settings.height, settings.width)
        outputs = {name: value.numpy()[0] for name, value in infer(tf.constant(to_tensor(canvas[None]))).items()}
        boxes, scores = decode(outputs["score"][..., 0], outputs["offset"], outputs["size"])
        back = (boxes - np.array([left, top, left, top], np.float32)) / np.float32(scale)
        judged.append(judge(back, scores, picture.boxes))
    return judged


def report(settings: DetectorTraining, facts: dict[str, Any], train_pictures: int, judged: list[Judged]) -> dict[str, Any]:
    """Content of ``metrics.json``: the best epoch's figures at the shipped threshold and along the precision axis."""
    return {
        "kind": settings.kind,
        "settings": settings.model_dump(mode="json"),
        "train_pictures": train_pictures,
        "validation_pictures": len(judged),
        "validation_faces": sum(p.faces for p in judged),
        "best": facts["best"],
        "at_precision": {str(p): summary(judged, p) for p in (0.88, 0.90, 0.92, 0.94, 0.95, 0.97)},
    }
