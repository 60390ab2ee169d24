"""Drawn masks: where they are and what colour they have."""

from __future__ import annotations

import numpy as np
import pytest

from edge.records import Image
from tools.conditions import masks

BOX = (50.0, 40.0, 100.0, 120.0)


def face() -> Image:
    """A face of skin colour, without features."""
    return np.full((220, 200, 3), (140, 170, 215), np.uint8)


def at(image: Image, across: float, down: float) -> list[int]:
    """The colour at shares of the face's box."""
    x, y, width, height = BOX
    color: list[int] = image[int(y + down * height), int(x + across * width)].tolist()
    return color


@pytest.mark.parametrize("color", masks.COLOURS)
def test_a_mask_has_its_colour_and_covers_mouth_and_nose(color: str) -> None:
    """Mouth and nose have the mask's colour, brow and wall are as they were."""
    drawn = masks.coloured(face(), BOX, masks.COLOURS[color], pleats=False)
    for across, down in ((0.5, 0.6), (0.5, 0.8), (0.3, 0.7)):
        assert at(drawn, across, down) == pytest.approx(masks.COLOURS[color], abs=25)
    for across, down in ((0.5, 0.3), (0.1, 0.2), (1.3, 0.7)):
        assert at(drawn, across, down) == at(face(), across, down)


def test_a_mask_below_the_chin_leaves_the_face_bare() -> None:
    """Mouth and nose are as they were, and there is cloth under the box."""
    drawn = masks.below_chin(face(), BOX)
    for down in (0.5, 0.6, 0.75, 0.85):
        assert at(drawn, 0.5, down) == at(face(), 0.5, down)
    assert at(drawn, 0.5, 1.15) == pytest.approx(masks.COLOURS["blue"], abs=25)


def test_a_skin_toned_mask_takes_the_colour_of_the_face() -> None:
    """Between the pleats it hardly differs from the skin; the pleats show."""
    drawn = masks.skin_toned(face(), BOX)
    assert at(drawn, 0.5, 0.58) == pytest.approx(at(face(), 0.5, 0.58), abs=6)
    rows = drawn[int(BOX[1] + 0.6 * BOX[3]) : int(BOX[1] + 0.9 * BOX[3]), 100, 0]
    assert np.ptp(rows) > 12


def test_turning_the_hue_leaves_the_upper_half_alone() -> None:
    """A blue crop is blue above and another colour below."""
    crop = np.full((100, 80, 3), (200, 80, 40), np.uint8)
    turned = masks.hue_turned(crop, 180)
    assert (turned[:45] == crop[:45]).all()
    blue, _, red = turned[80, 40].tolist()
    assert red > blue
