"""Training of the face detector."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converter.tflite.weights import read_convolutions
from converter.training import losses
from converter.training.architectures import build_face_detector
from converter.training.blocks import for_training
from converter.training.detector_samples import Sources, draw_batch
from converter.training.labelled import labels_for, portraits, with_doubts
from converter.training.loop import Average, Batch, optimizer, prepare, run
from converter.training.metrics import Judged, judge_picture, summary
from converter.training.pictures import Picture, letterbox, load_pictures, to_tensor
from converter.training.pretrained import start_trunk
from converter.training.settings import DetectorTraining
from converter.training.split import split_boxes, split_crops
from converter.training.state import write_json
from converter.training.targets import decode

CURVE_PRECISION = 0.90
"""Precision at which the learning curve tells recall."""

BOX_WEIGHT = 2.0
"""Weight of the box loss beside the heat map's; at the end of a training both then pull about
equally.
"""


def train(
    settings: DetectorTraining,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Callable[[str], None] = print,
) -> Path:
    """Train until the minutes are over; write ``model.keras``, ``metrics.json``,
    ``curve.jsonl``, ``state.npz`` and ``judged.json``, what was found in each held-back picture,
    to ``out``.

    Parameters
    ----------
    settings
        The recipe's ``[training]`` table.
    data
        The folder that holds ``boxes/``.
    out
        Folder to write to, made if missing.
    resume
        Go on from ``state.npz`` if it is there.
    progress
        Takes one line an epoch.

    Returns
    -------
    Path
        The inference graph, batch 1, with the averaged weights of the best epoch by average
        precision on the validation pictures, each letterboxed and seen in a single pass.
    """
    prepare(out, settings.seed, settings.threads)
    split = split_boxes(
        data, fraction=settings.picture_fraction, seed=settings.seed, fold=settings.fold
    )
    held_back = load_pictures(data, split.validation)
    sources = _sources(settings, data, split.train, out)
    progress(
        f"{len(sources.photos)} pictures and {len(sources.portraits)} tidy crops to train on, "
        f"{len(held_back)} pictures to judge on"
    )
    learner = DetectorLearner(settings)
    if settings.start_from_labeller and settings.labeller is not None:
        images = draw_batch(sources, settings, np.random.default_rng(settings.seed))[0]
        start_trunk(learner.model, read_convolutions(data / settings.labeller), images)
    shipped = build_face_detector(settings.height, settings.width, batch=1)
    infer = tf.function(lambda x: shipped(x, training=False))

    def judge(weights: list[NDArray[np.float32]]) -> tuple[float, dict[str, Any], dict[str, Any]]:
        shipped.set_weights(weights)
        judged = judge_pictures(infer, held_back, settings)
        figures = summary(judged, CURVE_PRECISION)
        return (
            figures["ap"],
            figures,
            {"train_pictures": len(sources.photos), "train_crops": len(sources.portraits)}
            | report(judged, settings.target_precision),
        )

    file = run(
        settings,
        learner,
        lambda rng: draw_batch(sources, settings, rng),
        judge,
        shipped,
        out,
        resume=resume,
        progress=progress,
    )
    shipped.set_weights(keras.saving.load_model(file).get_weights())
    _record(out, settings, held_back, judge_pictures(infer, held_back, settings))
    return file


def _record(
    out: Path, settings: DetectorTraining, pictures: Sequence[Picture], judged: list[Judged]
) -> None:
    """Write what the best weights find in each picture, and the figures anew: whoever resumes a
    training that is over, with another ``target_precision``, wants its threshold. The other
    settings stay those that the weights were trained with.
    """
    rows = [
        {
            "file": picture.path.name,
            "faces": found.faces,
            "scores": [round(score, 4) for score in found.scores.tolist()],
            "hit": found.hit.tolist(),
        }
        for picture, found in zip(pictures, judged, strict=True)
    ]
    write_json(out / "judged.json", rows)
    file = out / "metrics.json"
    metrics = json.loads(file.read_text(encoding="utf-8"))
    metrics.setdefault("settings", {})["target_precision"] = settings.target_precision
    write_json(file, metrics | report(judged, settings.target_precision))


def _sources(settings: DetectorTraining, data: Path, photos: Sequence[Path], out: Path) -> Sources:
    pictures = load_pictures(data, photos)
    labels = labels_for(settings.labeller, data, out)
    if labels is None:
        return Sources(pictures)
    crops = split_crops(data, fraction=settings.crop_fraction, seed=settings.seed)
    sources = Sources(with_doubts(pictures, labels), portraits(crops.train, labels))
    labels.save()
    return sources


class DetectorLearner:
    """The network in training, its optimizer and the average of its weights."""

    def __init__(self, settings: DetectorTraining) -> None:
        self.model = for_training(build_face_detector(None, None))
        # The loss wants the logit: the logarithm of a sigmoid that has rounded to 0 or 1 has no
        # gradient.
        outputs = [self.model.get_layer(name).output for name in ("logit", "offset", "size")]
        self._heads = keras.Model(self.model.input, outputs)
        self._optimizer = optimizer(self.model, settings.learning_rate, settings.weight_decay)
        self.average = Average(self.model, settings.average)
        self._graph = tf.function(self._step, reduce_retracing=True)

    @property
    def variables(self) -> list[Any]:
        """Everything a restart needs."""
        return [*self.model.weights, *self._optimizer.variables, *self.average.variables]

    def step(self, batch: Batch, learning_rate: float) -> dict[str, float]:
        """Learn from one batch of `draw_batch`."""
        self._optimizer.learning_rate.assign(learning_rate)
        values = self._graph(*(tf.constant(part) for part in batch))
        return {
            name: float(value)
            for name, value in zip(("loss", "loss_heat", "loss_box"), values, strict=True)
        }

    def _step(
        self, image: tf.Tensor, heat: tf.Tensor, keep: tf.Tensor, box: tf.Tensor, weight: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            logit, offset, size = self._heads(image, training=True)
            heat_loss = losses.focal(logit[..., 0], heat, keep)
            box_loss = losses.box_loss(tf.concat([offset, size], axis=-1), box, weight)
            loss = heat_loss + BOX_WEIGHT * box_loss
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self._optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        self.average.update()
        return loss, heat_loss, box_loss


def judge_pictures(
    infer: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    pictures: Sequence[Picture],
    settings: DetectorTraining,
) -> list[Judged]:
    """Run the shipped graph over whole pictures, one pass each, and match what it finds."""
    judged = []
    for picture in pictures:
        boxes, scores = detect(infer, picture.image, settings.height, settings.width)
        judged.append(judge_picture(boxes, scores, picture.boxes))
    return judged


def detect(
    infer: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    image: NDArray[np.uint8],
    height: int,
    width: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes [n, 4] in the picture's pixels and scores [n] of one BGR picture, best first."""
    canvas, scale, left, top = letterbox(image, height, width)
    outputs = {
        name: value.numpy()[0]
        for name, value in infer(tf.constant(to_tensor(canvas[None]))).items()
    }
    boxes, scores = decode(outputs["score"][..., 0], outputs["offset"], outputs["size"])
    return (boxes - np.array([left, top, left, top], np.float32)) / np.float32(scale), scores


def report(judged: list[Judged], precision: float) -> dict[str, Any]:
    """Figures for ``metrics.json``: at the threshold to ship, read off where precision is as
    wanted, and at others.
    """
    return {
        "validation_pictures": len(judged),
        "validation_faces": sum(p.faces for p in judged),
        "shipped": summary(judged, precision),
        "at_precision": {str(p): summary(judged, p) for p in (0.88, 0.90, 0.92, 0.94, 0.95, 0.97)},
    }
