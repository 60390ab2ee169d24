"""What a small camera makes of a scene when the light goes down.

A picture is taken for what the camera gives at ``FULL_LUX``, where it needs neither a long exposure
nor gain. With less light the exposure grows as far as the frame rate lets it, then the gain as far
as the sensor has it; what is missing then stays missing. Fewer electrons mean more shot noise, and
the gain lifts that and the read noise with the picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.records import Image

FULL_LUX = 1537.0
"""The brightest light of the reference's test. Its lamps are not known: only ratios are used."""

LONGEST = 2.0
"""The exposure grows from 1/60 s, which is short for a bright room, to the 1/30 s of a camera that
gives 30 frames a second."""

HIGHEST_GAIN = 8.0
"""18 dB: what small sensors have before their driver gives up colour and detail."""

FULL_WELL = 5000.0
"""Electrons of a white pixel at ``FULL_LUX``: pixels of 1.4 to 2 µm hold 5,000 to 10,000."""

READ_NOISE = 3.0
"""Electrons, standard deviation: 2 to 5 for small sensors."""

GAMMA = 2.2
"""Between light and pixel value; sRGB's curve is close to it."""


def exposed(lux: float) -> tuple[float, float]:
    """Share of the electrons that are collected, and the gain, relative to ``FULL_LUX``."""
    share = min(lux / FULL_LUX * LONGEST, 1.0)
    return share, min(1.0 / share, HIGHEST_GAIN)


def at(image: Image, lux: float, rng: np.random.Generator) -> Image:
    """The picture, (H, W, 3) uint8, as the camera gives it at so much light."""
    share, gain = exposed(lux)
    light = ((np.arange(256, dtype=np.float32) / 255) ** GAMMA * FULL_WELL * share)[image]
    # Poisson noise of many electrons is normal; where there are few, the read noise counts more.
    spread = np.sqrt(light + np.float32(READ_NOISE**2))
    read_out = light + spread * rng.standard_normal(image.shape, np.float32)
    level = np.clip(read_out * np.float32(gain / FULL_WELL), 0.0, 1.0)
    return np.asarray(np.rint(cv2.pow(level, 1 / GAMMA) * 255), np.uint8)
