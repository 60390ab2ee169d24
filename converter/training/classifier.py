"""Training of the mask classifier."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converter.training.architectures import build_mask_classifier
from converter.training.blocks import for_training
from converter.training.classifier_samples import (
    LABELS,
    SMALLEST,
    Sample,
    Samples,
    box_samples,
    crop_samples,
    cut,
    draw_batch,
    portrait_samples,
    stranger_samples,
)
from converter.training.labelled import labels_for, portraits, with_doubts
from converter.training.loop import Average, Batch, optimizer, prepare, run
from converter.training.pictures import load_pictures, to_tensor
from converter.training.settings import ClassifierTraining
from converter.training.split import split_boxes, split_crops
from converter.training.state import write_json

STRANGERS = 3000
"""Regions without a face that training draws from."""


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
    photos = split_boxes(
        data, fraction=settings.picture_fraction, seed=settings.seed, fold=settings.fold
    )
    samples = _samples(settings, data, crops.train, photos.train, out)
    held_back = {
        "crops": crop_samples(crops.validation),
        "boxes": box_samples(load_pictures(data, photos.validation), settings.margin),
    }
    counts: dict[str, Any] = {
        "train_crops": sum(map(len, samples.crops)),
        "train_boxes": sum(map(len, samples.boxes)),
        "labels": list(LABELS),
    }
    progress(
        f"{counts['train_crops']} crops and {counts['train_boxes']} boxes to train on, "
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
        return (
            float(np.mean(list(accuracy.values()))),
            {"accuracy": accuracy},
            counts | {"validation": figures},
        )

    file = run(
        settings,
        ClassifierLearner(settings),
        lambda rng: draw_batch(samples, settings, rng),
        judge,
        shipped,
        out,
        resume=resume,
        progress=progress,
    )
    judged = np.concatenate([ready[name] for name in ready])
    calibrate(file, judged, np.concatenate([truth[name] for name in truth]), progress)
    return file


def _samples(
    settings: ClassifierTraining,
    data: Path,
    crops: Sequence[Path],
    photos: Sequence[Path],
    out: Path,
) -> Samples:
    pictures = load_pictures(data, photos)
    labels = labels_for(settings.labeller, data, out)
    if labels is None:
        tidy = crop_samples(crops)
    else:
        pictures = with_doubts(pictures, labels)
        tidy = portrait_samples(portraits(crops, labels), settings.margin)
        labels.save()
    return Samples(
        _by_label(tidy),
        _by_label(box_samples(pictures, settings.margin, smallest=SMALLEST)),
        stranger_samples(pictures, STRANGERS, settings.seed),
    )


def calibrate(
    file: Path,
    images: NDArray[np.float32],
    truth: NDArray[np.int64],
    progress: Callable[[str], None],
) -> None:
    """Make the scores of a trained file probabilities: divide its logits by the temperature that
    fits the held-back faces best (Guo et al. 2017, "On Calibration of Modern Neural Networks",
    section 4.2), which changes no decision.

    ``metrics.json`` beside the file gets the ``temperature``; a file that has one stays as it is.
    """
    metrics = json.loads(file.with_name("metrics.json").read_text(encoding="utf-8"))
    if "temperature" in metrics:
        return
    model = keras.saving.load_model(file)
    parts = [model.predict_on_batch(images[i : i + 256]) for i in range(0, len(images), 256)]
    probability = np.concatenate(parts).astype(np.float64)
    temperature = best_temperature(np.log(np.clip(probability, 1e-9, 1.0)), truth)
    last = model.get_layer("probability")
    last.set_weights([weight / temperature for weight in last.get_weights()])
    model.save(file)
    write_json(file.with_name("metrics.json"), metrics | {"temperature": round(temperature, 4)})
    progress(f"temperature {temperature:.3f}")


def best_temperature(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The temperature of least cross-entropy, for ``logits`` [n, labels] and indices [n]."""
    candidates = np.geomspace(0.2, 5.0, 400)
    scaled = logits[None] / candidates[:, None, None]
    scaled = scaled - scaled.max(axis=2, keepdims=True)
    own = scaled[:, np.arange(len(truth)), truth]
    loss = (np.log(np.exp(scaled).sum(axis=2)) - own).mean(axis=1)
    return float(candidates[int(loss.argmin())])


class ClassifierLearner:
    """The network in training, its optimizer and the average of its weights."""

    def __init__(self, settings: ClassifierTraining) -> None:
        self.model = for_training(build_mask_classifier(settings.size))
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
