"""A picture of a camera, as it was sent and decoded, and its header."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from edge.records.arrays import Image, frozen_array, utc


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one camera.

    Parameters
    ----------
    image
        (H, W, 3) uint8, BGR as OpenCV has it; made read-only.
    camera
        The camera's id.
    sequence
        Counts from 0 for each opened source; a gap means frames the source itself lost.
    captured_ns, ready_ns
        Monotonic time when the driver handed the frame over, and when it was decoded.
    captured_at
        UTC wall-clock time that belongs to ``captured_ns``.
    """

    image: Image
    camera: str
    sequence: int
    captured_ns: int
    ready_ns: int
    captured_at: datetime

    def __post_init__(self) -> None:
        frozen_array(self, "image", np.uint8, (None, None, 3))
        if self.image.shape[0] < 1 or self.image.shape[1] < 1:
            raise ValueError("Frame.image: has no pixels")
        utc(self, self.captured_at)

    @property
    def height(self) -> int:
        """Rows, in pixels."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return int(self.image.shape[1])

    @property
    def header(self) -> Header:
        """All but the pixels."""
        return Header(
            self.camera,
            self.sequence,
            self.captured_ns,
            self.ready_ns,
            self.captured_at,
            self.width,
            self.height,
        )


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFrame:
    """One picture of one camera as it was sent: who judges it decodes it, nobody else does.

    Parameters
    ----------
    decode
        Gives the image, (H, W, 3) uint8, BGR; raises ``FrameCorrupt``.
    camera, sequence, captured_ns, captured_at
        As in :class:`Frame`.
    ready_ns
        Monotonic time when it was handed over, not decoded.
    """

    decode: Callable[[], Image]
    camera: str
    sequence: int
    captured_ns: int
    ready_ns: int
    captured_at: datetime

    def __post_init__(self) -> None:
        utc(self, self.captured_at)

    def decoded(self) -> Frame:
        """The same frame with its image.

        Raises
        ------
        FrameCorrupt
            It cannot be decoded.
        """
        image = self.decode()
        return Frame(
            image,
            self.camera,
            self.sequence,
            self.captured_ns,
            time.monotonic_ns(),
            self.captured_at,
        )


@dataclass(frozen=True, slots=True)
class Header:
    """A frame without its pixels; ``width`` and ``height`` are the image's, in pixels."""

    camera: str
    sequence: int
    captured_ns: int
    ready_ns: int
    captured_at: datetime
    width: int
    height: int
