"""Training of the mask classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converter.training.architectures import build_mask_classifier
from converter.training.classifier_samples import (
    LABELS,
    SMALLEST,
    Sample,
    box_samples,
    crop_samples,
    cut,
    draw_batch,
)
from converter.training.loop import Average, Batch, optimizer, prepare, run
from converter.training.pictures import load_pictures, to_tensor
from converter.training.settings import ClassifierTraining
from converter.training.split import split_boxes, split_crops


def train(
    settings: ClassifierTraining,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Callable[[str], None] = print,
) -> Path:
    """Train until the minutes are over; write ``model.keras``, ``metrics.json``,
    ``curve.jsonl`` and ``state.npz`` to ``out``.

    Parameters
    ----------
    settings
        The recipe's ``[training]`` table.
    data
        The folder that holds ``crops/`` and ``boxes/``.
    out
        Folder to write to, made if missing.
    resume
        Go on from ``state.npz`` if it is there.
    progress
        Takes one line an epoch.

    Returns
    -------
    Path
        The inference graph, any batch, with the averaged weights of the best epoch: the mean of
        the accuracies on validation crops and on true boxes of validation pictures decides.
    """
    prepare(out, settings.seed, settings.threads)
    crops = split_crops(data, fraction=settings.crop_fraction, seed=settings.seed)
    photos = split_boxes(data, fraction=settings.picture_fraction, seed=settings.seed)
    tidy = crop_samples(crops.train)
    boxes = box_samples(load_pictures(data, photos.train), settings.margin, smallest=SMALLEST)
    held_back = {
        "crops": crop_samples(crops.validation),
        "boxes": box_samples(load_pictures(data, photos.validation), settings.margin),
    }
    progress(
        f"{len(tidy)} crops and {len(boxes)} boxes to train on, "
        + ", ".join(f"{len(s)} {n}" for n, s in held_back.items())
    )

    shipped = build_mask_classifier(settings.size)
    ready = {
        name: to_tensor(np.stack([cut(s.image, s.region, settings.size) for s in held_back[name]]))
        for name in held_back
    }
    truth = {name: np.array([s.label for s in samples]) for name, samples in held_back.items()}
    infer = tf.function(lambda x: shipped(x, training=False))

    def judge(weights: list[NDArray[np.float32]]) -> tuple[float, dict[str, Any], dict[str, Any]]:
        shipped.set_weights(weights)
        found = {
            name: infer(tf.constant(images)).numpy().argmax(axis=1)
            for name, images in ready.items()
        }
        figures: dict[str, Any] = {name: figures_of(truth[name], found[name]) for name in found}
        accuracy = {name: figures[name]["accuracy"] for name in figures}
        counts = {"train_crops": len(tidy), "train_boxes": len(boxes), "labels": list(LABELS)}
        return (
            float(np.mean(list(accuracy.values()))),
            {"accuracy": accuracy},
            counts | {"validation": figures},
        )

    by_label, boxes_by_label = _by_label(tidy), _by_label(boxes)
    learner = ClassifierLearner(settings)
    return run(
        settings,
        learner,
        lambda rng: draw_batch(by_label, boxes_by_label, settings, rng),
        judge,
        shipped,
        out,
        resume=resume,
        progress=progress,
    )


class ClassifierLearner:
    """The network in training, its optimizer and the average of its weights."""

    def __init__(self, settings: ClassifierTraining) -> None:
        self.model = build_mask_classifier(settings.size)
        self.average = Average(self.model, settings.average)
        self._optimizer = optimizer(self.model, settings.learning_rate, settings.weight_decay)
        # Over two classes that exclude each other this is the reference system's binary cross-
        # entropy on one-hot labels.
        self._loss = keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
        self._graph = tf.function(self._step)

    @property
    def variables(self) -> list[Any]:
        """Everything a restart needs."""
        return [*self.model.weights, *self._optimizer.variables, *self.average.variables]

    def step(self, batch: Batch, learning_rate: float) -> dict[str, float]:
        """Learn from images [n, size, size, 3] and one-hot labels [n, 2]."""
        self._optimizer.learning_rate.assign(learning_rate)
        return {"loss": float(self._graph(*(tf.constant(part) for part in batch)))}

    def _step(self, image: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._loss(label, self.model(image, training=True))
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self._optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        self.average.update()
        return loss


def figures_of(truth: NDArray[np.int64], found: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy and confusion (row: truth, column: judgement) in the order of the labels."""
    confusion = np.zeros((len(LABELS), len(LABELS)), int)
    np.add.at(confusion, (truth, found), 1)
    return {
        "accuracy": round(float((truth == found).mean()), 4),
        "n": len(truth),
        "confusion": confusion.tolist(),
    }


def _by_label(samples: Sequence[Sample]) -> list[list[Sample]]:
    return [[sample for sample in samples if sample.label == label] for label in range(len(LABELS))]
