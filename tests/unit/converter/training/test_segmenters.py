"""Networks, losses and figures of a segmenter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the convert extra")

import keras
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from converter.training import SegmenterTraining
from converter.training.segmenter import (
    FEW_PX,
    SegmenterLearner,
    cross_entropy,
    figures_of,
    near_defect,
    soft_dice,
)
from converter.training.segmenters import build_segmenter
from converter.training.settings import Network
from converter.training.strips import Drawing, draw_batch
from converter.training.surfaces import Surface, Surfaces

pytestmark = [
    pytest.mark.convert,
    pytest.mark.timeout(300),
    # Keras 3.15 copies variables with np.array, which numpy 2 deprecates for TensorFlow's tensors.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

PARAMETERS = {
    "small": 388_652,
    "unet": 600_612,
}
"""As they are trained: ``small`` for three labels, the plain U-Net for Severstal's four."""


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Compiling a graph takes longer than the few steps these tests run; weights begin alike."""
    tf.config.run_functions_eagerly(True)
    keras.utils.set_random_seed(7)
    yield
    tf.config.run_functions_eagerly(False)


def _settings(**changes: object) -> SegmenterTraining:
    values = {
        "labels": ("bright", "dark"),
        "sources": ("tiles",),
        "height": 64,
        "width": 128,
        "tiles": 2,
        "batch": 2,
        "min_area": 4,
    }
    return SegmenterTraining.model_validate(values | changes)


def _tiles(count: int) -> tuple[Surface, ...]:
    """Grey tiles with a bright square or a dark one."""
    rng = np.random.default_rng(3)
    tiles = []
    for k in range(count):
        image = rng.integers(110, 140, (40, 40)).astype(np.uint8)
        index = np.zeros((40, 40), np.uint8)
        top, left = rng.integers(2, 20, 2)
        spot = slice(top, top + 16), slice(left, left + 16)
        image[spot] = 240 if k % 2 else 15
        index[spot] = 1 if k % 2 else 2
        tiles.append(Surface(image, index))
    return tuple(tiles)


@pytest.mark.parametrize("network", get_args(Network))
def test_every_network_builds_trains_and_converts(network: Network) -> None:
    """An epoch of 16 tiles lowers no weight to NaN, and the file gives what Keras gives."""
    settings = _settings(network=network)
    drawing = Drawing.of(Surfaces(_tiles(16), {}), 2)
    learner = SegmenterLearner(settings)
    rng = np.random.default_rng(1)
    before = learner.average.values()
    for _ in range(16 // (settings.batch * settings.tiles)):
        losses = learner.step(draw_batch(drawing, settings, rng), 1e-3)
        assert np.isfinite(list(losses.values())).all()
    weights = learner.average.values()
    assert any(not np.array_equal(a, b) for a, b in zip(before, weights, strict=True))

    shipped = build_segmenter(network, 64, 128, 2, 1)
    shipped.set_weights(weights)
    image = rng.random((1, 64, 128, 1), np.float32)
    expected = shipped(image, training=False).numpy()
    assert expected.shape == (1, 64, 128, 2)
    interpreter = Interpreter(
        model_content=tf.lite.TFLiteConverter.from_keras_model(shipped).convert()
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("network", ["small", "unet"])
def test_the_networks_have_the_size_they_are_known_for(network: Network) -> None:
    """The plain U-Net is that of 600,612 parameters; the small one has two thirds of them."""
    labels = 3 if network == "small" else 4
    assert build_segmenter(network, 128, 800, labels).count_params() == PARAMETERS[network]


def test_the_small_network_learns_what_it_sees() -> None:
    """Some steps on bright and dark squares lower its loss."""
    settings = _settings(loss="bce_dice", average=0.0)
    drawing = Drawing.of(Surfaces(_tiles(16), {}), 2)
    learner = SegmenterLearner(settings)
    rng = np.random.default_rng(2)
    losses = [learner.step(draw_batch(drawing, settings, rng), 3e-3)["loss"] for _ in range(12)]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_the_gate_closes_what_the_map_says() -> None:
    """Where the gate says no, every score falls; where it says yes, none changes."""
    model = build_segmenter("small", 64, 128, 2, 1)
    gate, local = model.get_layer("gate"), model.get_layer("local")
    image = np.random.default_rng(0).random((1, 64, 128, 1), np.float32)
    kernel, bias = gate.get_weights()
    local.set_weights([np.zeros_like(local.get_weights()[0]), np.full(2, 2.0, np.float32)])
    scores = {}
    for said in (-9.0, 0.0, 9.0):
        gate.set_weights([np.zeros_like(kernel), np.full_like(bias, said)])
        scores[said] = model(image, training=False).numpy()
    np.testing.assert_array_equal(scores[0.0], scores[9.0])
    assert scores[9.0] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert scores[-9.0] == pytest.approx(1 / (1 + np.exp(7.0)), rel=1e-4)


def test_dice_loss_of_known_tiles() -> None:
    """A perfect tile costs nothing, a silent one all; where nothing is true, found pixels cost."""
    truth = np.zeros((1, 8, 16, 1), np.float32)
    truth[0, :, :8] = 1.0  # the left tile of two is full, the right one empty
    right = soft_dice(tf.constant(truth), tf.constant(truth), 2)
    assert float(right) == pytest.approx(0.0, abs=1e-6)
    silent = soft_dice(tf.constant(truth), tf.zeros_like(truth), 2)
    assert float(silent) == pytest.approx(1 - 1 / 65)
    everywhere = soft_dice(tf.constant(truth), tf.ones_like(truth), 2)
    assert float(everywhere) == pytest.approx(64 / (64 + FEW_PX))


def test_the_gate_learns_columns_near_a_defect() -> None:
    """A defect counts in its own columns and in two cells on each side, whatever its label."""
    truth = np.zeros((1, 4, 32, 2), np.float32)
    truth[0, 3, 17, 1] = 1.0
    assert near_defect(tf.constant(truth), 8).numpy().ravel().tolist() == [0, 0, 1, 1, 1, 1, 1, 0]


def test_cross_entropy_is_the_mean_over_everything() -> None:
    """Of a score of 0.5 it is ln 2, whatever is true."""
    truth = np.array([[0.0, 1.0]], np.float32)
    assert cross_entropy(truth, np.full((1, 2), 0.5, np.float32)) == pytest.approx(np.log(2))
    assert cross_entropy(truth, truth) == pytest.approx(0, abs=1e-5)


def test_figures_of_known_tiles() -> None:
    """Dice over the tiles that hold a label; verdicts as TN, FP, FN, TP; silence as missed."""
    half, missed, invented, nothing = (8, 8, 4), (16, 0, 0), (0, 8, 0), (0, 0, 0)
    bright, dark = (half, missed, nothing, nothing), (nothing, nothing, invented, nothing)
    areas = np.stack([np.array(bright), np.array(dark)], axis=2)
    figures = figures_of(areas, _settings())
    assert figures["dice"] == {"bright": 0.25, "mean": 0.25}
    assert figures["verdict"] == {
        "bright": {"counts": [2, 0, 1, 1], "accuracy": 0.75},
        "dark": {"counts": [3, 1, 0, 0], "accuracy": 0.75},
    }
    assert figures["missed"] == 0.5
