"""What all sources share: the moment of a capture, the pace of a file, and which image will do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from edge.errors import FrameCorrupt
from edge.records import Image

MAX_PIXELS = 1 << 24
"""Pictures with more pixels (16 M) are refused before they are decoded."""

_MIN_SIDE_PX = 2


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks."""

    monotonic_ns: int
    utc: datetime

    @classmethod
    def now(cls) -> Moment:
        """The present instant."""
        return cls(time.monotonic_ns(), datetime.now(UTC))


class Pace:
    """When the next frame of a paced source is due.

    A reader that comes a little late is made up for with the next frame; one that stays away for
    longer than a frame's time shifts all that follows, so that nothing is played in a burst.

    Attributes
    ----------
    due_ns
        Monotonic time of the next frame, 0 when it may come at any time.
    """

    def __init__(self) -> None:
        self.due_ns = 0

    def release(self, now_ns: int, delay_s: float) -> None:
        """A frame was released at ``now_ns``; the next is to follow ``delay_s`` after it."""
        scheduled_ns = self.due_ns or now_ns
        self.due_ns = max(scheduled_ns + round(delay_s * 1e9), now_ns)


def checked_image(image: object, what: str) -> Image:
    """The image that a driver gave, if it is one.

    Parameters
    ----------
    image
        Should be (H, W, 3) uint8, BGR.
    what
        Names the camera and the thing read, for the error.

    Raises
    ------
    FrameCorrupt
        It is nothing, a single pixel or column, or has another depth or number of channels.
    """
    if not isinstance(image, np.ndarray) or image.size == 0:
        raise FrameCorrupt(f"{what}: holds no picture")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise FrameCorrupt(
            f"{what}: is {image.dtype} of shape {image.shape}, not 8-bit colour with 3 channels"
        )
    if min(image.shape[:2]) < _MIN_SIDE_PX:
        raise FrameCorrupt(f"{what}: is only {image.shape[1]} × {image.shape[0]} pixels")
    return image
