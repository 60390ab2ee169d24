"""Training of a network that marks the defects of a surface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converter.training.blocks import for_training
from converter.training.loop import Average, Batch, optimizer, prepare, run
from converter.training.plots import ROWS, draw_overlays, plot_curve
from converter.training.segmenters import build_segmenter
from converter.training.settings import SegmenterTraining
from converter.training.strips import Drawing, draw_batch, lay, to_input, to_masks
from converter.training.surfaces import Surface, Surfaces, load_surfaces

GATE_WEIGHT = 0.3
"""Of the loss of the gate, where a network has one."""

GATE_REACH = 5
"""Columns of the gate over which a defect counts as near."""

THRESHOLD = 0.5

FEW_PX = 40.0
"""Pixels of the input that cost half as much as any number of them, where none is true."""


def train(
    settings: SegmenterTraining,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Callable[[str], None] = print,
) -> Path:
    """Train until the minutes are over, or until ``patience`` epochs lowered the loss on the
    held-back side no more; write ``model.keras``, ``metrics.json``, ``curve.jsonl``, ``state.npz``
    and, to look at, ``curve.png`` and ``overlays.png`` to ``out``.

    Parameters
    ----------
    settings
        The recipe's ``[training]`` table.
    data
        The folder that ``sources`` and ``clean`` are in.
    out
        Folder to write to, made if missing.
    resume
        Go on from ``state.npz`` if it is there.
    progress
        Takes one line an epoch.

    Returns
    -------
    Path
        The inference graph, one strip a call, with the averaged weights of the best epoch: the
        mean Dice, less the share of clean surfaces that are flagged, decides.

    Raises
    ------
    DataError
        The data is absent or not as `linesight eval` reads it.
    """
    prepare(out, settings.seed, settings.threads)
    learned, held_back = load_surfaces(settings, data)
    drawing = Drawing.of(learned, len(settings.labels))
    counts: dict[str, Any] = {
        "train": _counts(learned, settings),
        "validation": _counts(held_back, settings),
    }
    progress(f"train {counts['train']}, validation {counts['validation']}")
    shipped = build_segmenter(
        settings.network, settings.height, settings.width, len(settings.labels), 1
    )
    judge = SegmenterJudge(settings, shipped, held_back, counts)
    file = run(
        settings,
        SegmenterLearner(settings),
        lambda rng: draw_batch(drawing, settings, rng),
        judge,
        shipped,
        out,
        resume=resume,
        progress=progress,
    )
    plot_curve(out / "curve.jsonl", out / "curve.png")
    shipped.set_weights(keras.saving.load_model(file).get_weights())
    judge.draw(out / "overlays.png")
    return file


def _counts(side: Surfaces, settings: SegmenterTraining) -> dict[str, int]:
    held = [one.held(len(settings.labels)) for one in side.labelled]
    by_label = {
        label: sum(k in numbers for numbers in held) for k, label in enumerate(settings.labels)
    }
    clean = {name: len(surfaces) for name, surfaces in side.clean.items()}
    return {"pictures": len(held), **by_label, **clean, "quadrants": len(side.quadrants)}


class SegmenterJudge:
    """Judges weights on the held-back side, tile by tile as they lie in strips."""

    def __init__(
        self,
        settings: SegmenterTraining,
        shipped: keras.Model,
        held_back: Surfaces,
        counts: dict[str, Any],
    ) -> None:
        self._settings = settings
        self._shipped = shipped
        self._counts = counts
        self._infer = tf.function(lambda x: shipped(x, training=False))
        self._labelled = self._laid(held_back.labelled)
        clean = held_back.clean | {"quadrants": held_back.quadrants}
        self._clean = {name: self._laid(one) for name, one in clean.items() if one}

    def _laid(
        self, surfaces: tuple[Surface, ...]
    ) -> tuple[int, NDArray[np.uint8], NDArray[np.uint8]]:
        return len(surfaces), *lay(surfaces, self._settings)

    def __call__(
        self, weights: list[NDArray[np.float32]]
    ) -> tuple[float, dict[str, Any], dict[str, Any]]:
        """Quality, figures for the curve, content of ``metrics.json``."""
        self._shipped.set_weights(weights)
        areas, loss = self._judged(*self._labelled)
        figures: dict[str, Any] = {"val_loss": round(loss, 4)}
        figures |= figures_of(areas, self._settings)
        figures["false_alarms"] = {
            name: round(float((self._judged(*laid)[0][:, 1] > 0).any(axis=1).mean()), 4)
            for name, laid in self._clean.items()
        }
        flagged = list(figures["false_alarms"].values())
        quality = figures["dice"]["mean"] - (float(np.mean(flagged)) if flagged else 0.0)
        return quality, figures, self._counts | {"shipped": figures}

    def _judged(
        self, count: int, images: NDArray[np.uint8], index: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], float]:
        """True, reported and common pixels of each tile, [count, 3, labels], and the mean loss.

        Strip by strip: the scores of thousands of frames would not fit into memory.
        """
        areas, losses = [], []
        for image, bits in zip(images, index, strict=True):
            scores = self._scores(image[np.newaxis])
            truth = to_masks(bits[np.newaxis], len(self._settings.labels))
            losses.append(cross_entropy(truth, scores))
            true, found = self._tiles(truth) > 0, self._reported(scores)
            parts = [part.sum(axis=(1, 2)) for part in (true, found, true & found)]
            areas.append(np.stack(parts, axis=1))
        return np.concatenate(areas)[:count], float(np.mean(losses))

    def draw(self, out: Path) -> None:
        """Held-back strips with truth and prediction, as a PNG; the network as it is now."""
        _, images, index = self._labelled
        spread = np.linspace(0, len(images) - 1, min(len(images), ROWS)).astype(int)
        truth = to_masks(index[spread], len(self._settings.labels)) > 0
        draw_overlays(images[spread], truth, self._scores(images[spread]) >= THRESHOLD, out)

    def _scores(self, strips: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [self._infer(tf.constant(to_input(strip[np.newaxis]))).numpy() for strip in strips]
        return np.concatenate(parts)

    def _tiles(self, maps: NDArray[Any]) -> NDArray[Any]:
        """[strips, height, width, labels] → [strips · tiles, height, width / tiles, labels]."""
        settings = self._settings
        strips, height, width, labels = maps.shape
        tiles = maps.reshape(strips, height, settings.tiles, width // settings.tiles, labels)
        return tiles.swapaxes(1, 2).reshape(-1, height, width // settings.tiles, labels)

    def _reported(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Marked pixels of the tiles, those of labels that cover too little taken away."""
        marked = self._tiles(scores) >= THRESHOLD
        covered = marked.sum(axis=(1, 2), keepdims=True) >= self._settings.min_area
        return np.asarray(marked & covered, np.bool_)


def cross_entropy(truth: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    """Mean over all pixels and labels."""
    sure = np.clip(np.where(truth > 0, scores, 1.0 - scores), 1e-6, 1.0)
    return float(-np.log(sure).mean())


def figures_of(areas: NDArray[np.int64], settings: SegmenterTraining) -> dict[str, Any]:
    """Dice and verdicts by label, from the true, reported and common pixels of each tile, [n, 3,
    labels].

    A verdict is [TN, FP, FN, TP]: a label is there when it covers ``min_area`` pixels.
    """
    true_px, found_px, both_px = areas.astype(np.float64).swapaxes(0, 1)
    dice: dict[str, float] = {}
    verdict: dict[str, Any] = {}
    for k, label in enumerate(settings.labels):
        held = true_px[:, k] > 0
        if held.any():
            each = 2 * both_px[held, k] / (true_px[held, k] + found_px[held, k])
            dice[label] = round(float(each.mean()), 4)
        there, said = true_px[:, k] >= max(settings.min_area, 1), found_px[:, k] > 0
        cells = [~there & ~said, ~there & said, there & ~said, there & said]
        counts = [int(cell.sum()) for cell in cells]
        accuracy = (counts[0] + counts[3]) / len(there)
        verdict[label] = {"counts": counts, "accuracy": round(accuracy, 4)}
    with_defect = (true_px >= max(settings.min_area, 1)).any(axis=1)
    missed = with_defect & ~(found_px > 0).any(axis=1)
    return {
        "dice": dice | {"mean": round(float(np.mean(list(dice.values()))), 4) if dice else 0.0},
        "verdict": verdict,
        "missed": round(float(missed.sum() / max(with_defect.sum(), 1)), 4),
    }


class SegmenterLearner:
    """The network in training, its optimizer and the average of its weights."""

    def __init__(self, settings: SegmenterTraining) -> None:
        self._settings = settings
        labels = len(settings.labels)
        self.model = for_training(
            build_segmenter(settings.network, settings.height, settings.width, labels)
        )
        names = [layer.name for layer in self.model.layers]
        ends = [name for name in ("logits", "gate") if name in names]
        self._ends = keras.Model(
            self.model.input, [self.model.get_layer(name).output for name in ends]
        )
        self.average = Average(self.model, settings.average)
        self._optimizer = optimizer(self.model, settings.learning_rate, settings.weight_decay)
        self._graph = tf.function(self._step)

    @property
    def variables(self) -> list[Any]:
        """Everything a restart needs."""
        return [*self.model.weights, *self._optimizer.variables, *self.average.variables]

    def step(self, batch: Batch, learning_rate: float) -> dict[str, float]:
        """Learn from images [n, height, width, 1] and masks [n, height, width, labels]."""
        self._optimizer.learning_rate.assign(learning_rate)
        losses = self._graph(*(tf.constant(part) for part in batch))
        return {name: float(value) for name, value in losses.items()}

    def _step(self, image: tf.Tensor, truth: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            ends = self._ends(image, training=True)
            logits, *gates = ends if isinstance(ends, list | tuple) else [ends]
            losses = {"bce": binary(truth, logits)}
            if self._settings.loss == "bce_dice":
                losses["dice"] = soft_dice(truth, tf.sigmoid(logits), self._settings.tiles)
            for gate in gates:
                losses["gate"] = GATE_WEIGHT * binary(near_defect(truth, gate.shape[2]), gate)
            loss = tf.add_n(list(losses.values()))
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self._optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        self.average.update()
        return losses | {"loss": loss}


def binary(truth: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy, the mean over everything."""
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, logits))


def soft_dice(truth: tf.Tensor, scores: tf.Tensor, tiles: int) -> tf.Tensor:
    """1 minus the Dice of the scores (Milletari et al. 2016), the mean over tiles and labels that
    are there, plus how much of those is found that are not; both [batch, height, width, labels].

    Where nothing is true, Dice has no use: there ``FEW_PX`` found pixels cost a half. A false alarm
    is a few hundred pixels of ten thousand, which the cross-entropy hardly sees.
    """
    _, height, width, labels = truth.shape
    shape = (-1, height, tiles, width // tiles, labels)
    true, found = tf.reshape(truth, shape), tf.reshape(scores, shape)
    both, true_px, found_px = (
        tf.reduce_sum(part, axis=(1, 3)) for part in (true * found, true, found)
    )
    loss = 1.0 - (2.0 * both + 1.0) / (true_px + found_px + 1.0)
    there = tf.cast(true_px > 0, tf.float32)
    alarm = found_px / (found_px + FEW_PX)
    return sum(
        tf.reduce_sum(part * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)
        for part, weight in ((loss, there), (alarm, 1.0 - there))
    )


def near_defect(truth: tf.Tensor, columns: int) -> tf.Tensor:
    """Masks [batch, height, width, labels] → [batch, 1, columns, 1]: 1 where a defect is near."""
    any_defect = tf.reduce_max(truth, axis=(1, 3))  # [batch, width]
    cells = tf.reduce_max(tf.reshape(any_defect, (-1, columns, truth.shape[2] // columns)), axis=2)
    wide = tf.nn.max_pool1d(cells[..., tf.newaxis], GATE_REACH, 1, "SAME")
    return wide[:, tf.newaxis]
