"""The camera model: what less light does to a picture."""

from __future__ import annotations

import numpy as np
import pytest

from edge.records import Image
from tools.conditions import light


def ramp() -> Image:
    """All grey values, from left to right."""
    row = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
    return np.repeat(row, 64, axis=0)


def noise(image: Image) -> float:
    """How much pixels of the same grey value differ, over the middle greys."""
    return float(image[:, 64:192].astype(np.float64).std(axis=0).mean())


def test_bright_light_changes_next_to_nothing() -> None:
    """At 1537 lux the mean of every grey stays within a step, its noise within three."""
    seen = light.at(ramp(), 1537, np.random.default_rng(0))
    middle = slice(16, 240)  # black and white can only err to one side
    shift = seen[:, middle].mean(axis=0) - ramp()[0, middle]
    assert np.abs(shift).max() < 1.5
    assert noise(seen) < 3


def test_less_light_is_noisier_and_27_lux_darker() -> None:
    """552 lux is as bright and noisier, 27 lux is dark and noisier still."""
    bright, dim, dark = (light.at(ramp(), lux, np.random.default_rng(0)) for lux in (1537, 552, 27))
    assert noise(bright) < noise(dim) < noise(dark)
    assert dim.mean() == pytest.approx(bright.mean(), rel=0.02)
    assert dark.mean() < 0.7 * bright.mean()


def test_the_same_seed_gives_the_same_picture() -> None:
    """Two runs agree to the last pixel; another seed gives another picture."""
    one, two, other = (light.at(ramp(), 27, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("lux", "share", "gain"),
    [(1537, 1.0, 1.0), (552, 0.7183, 1.392), (27, 0.0351, 8.0), (5000, 1.0, 1.0)],
)
def test_exposure_and_gain_stop_at_their_limits(lux: float, share: float, gain: float) -> None:
    """The exposure doubles at most, the gain is 8 at most, and neither makes up for no need."""
    assert light.exposed(lux) == pytest.approx((share, gain), abs=1e-3)
