"""A line camera over the drawn strip, and the encoder beside it: both on one clock."""

from __future__ import annotations

import time

from edge.demo.coil import Coil
from edge.demo.motion import Motion
from edge.errors import SourceUnavailable
from edge.records import EncoderSample, Frame
from edge.sources.frames import Moment, Pace


class Passage:
    """A motion that has begun, or not yet: what camera and encoder share.

    Parameters
    ----------
    motion
        Of the strip.

    Attributes
    ----------
    began_ns
        Moment of the monotonic clock at which the strip started; None before.
    """

    def __init__(self, motion: Motion) -> None:
        self.motion = motion
        self.began_ns: int | None = None

    def seconds(self, mono_ns: int) -> float:
        """Since the strip started; 0 before."""
        began_ns = self.began_ns  # another thread may begin anew
        return 0.0 if began_ns is None else max(mono_ns - began_ns, 0) / 1e9

    def mm(self, mono_ns: int) -> float:
        """Strip that had passed at a moment of the monotonic clock."""
        return self.motion.mm(self.seconds(mono_ns))


class StripSource:
    """A live ``Source``: the strip runs past the camera from the moment on that it is opened.

    Frame ``k`` is due ``k / fps`` after that. What it shows is where the strip was at its
    ``captured_ns``, however late it was taken; frames that nobody took in time are lost. When the
    whole strip has left the picture the source ends.

    Parameters
    ----------
    coil
        The strip; ``position_mm`` 0 is its head at the picture's left edge.
    motion
        Of the strip; ``open`` starts it, each time from the beginning.
    camera
        The camera's id.
    width_px, height_px
        Of the picture.
    fps
        Frames a second, above 0.

    Attributes
    ----------
    run
        The motion and its beginning, for the encoder.

    Raises
    ------
    ValueError
        The rate is not above 0.
    """

    live = True

    def __init__(
        self,
        coil: Coil,
        motion: Motion,
        camera: str,
        *,
        width_px: int = 1600,
        height_px: int = 256,
        fps: float = 10.0,
    ) -> None:
        if not 0 < fps <= 1000:
            raise ValueError(f"StripSource: fps {fps} must be above 0 and at most 1000")
        self._coil = coil
        self.run = Passage(motion)
        self._camera = camera
        self._size = (width_px, height_px)
        self._end_mm = coil.length_mm + width_px * coil.mm_per_px
        self._frame_ns = round(1e9 / fps)
        self._pace = Pace()
        self._next = 0
        self._began_ns: int | None = None

    @property
    def due_ns(self) -> int:
        """Monotonic time of the next frame; 0 when it may come at any time."""
        return self._pace.due_ns

    def open(self) -> None:
        """Start the strip, from its head."""
        self._pace = Pace()
        self._next = 0
        self._began_ns = self.run.began_ns = time.monotonic_ns()

    def read(self) -> Frame | None:
        """The strip as it lies now, or None when it has run out.

        Raises
        ------
        SourceUnavailable
            The source is not open.
        """
        if self._began_ns is None:
            raise SourceUnavailable(f"camera {self._camera!r}: the strip is not open")
        captured = Moment.now()
        position_mm = self.run.mm(captured.monotonic_ns)
        if position_mm > self._end_mm:
            self._pace = Pace()
            return None
        passed_ns = captured.monotonic_ns - self._began_ns
        sequence = max(self._next, passed_ns // self._frame_ns)
        self._next = sequence + 1
        self._pace.due_ns = self._began_ns + self._next * self._frame_ns
        image = self._coil.window(position_mm, *self._size)
        return Frame(
            image,
            self._camera,
            sequence,
            captured.monotonic_ns,
            time.monotonic_ns(),
            captured.utc,
        )

    def close(self) -> None:
        """Stop looking; the strip runs on. Harmless when not open."""
        self._began_ns = None
        self._pace = Pace()


class StripEncoder:
    """An ``Encoder`` on the strip: reads 0 until the camera's ``open`` has started it.

    Parameters
    ----------
    run
        Of the camera over the same strip.
    mm_per_count
        Strip between two counts, above 0.

    Raises
    ------
    ValueError
        It is not.
    """

    def __init__(self, run: Passage, mm_per_count: float) -> None:
        if not 0 < mm_per_count < 1e6:
            raise ValueError(f"StripEncoder: mm_per_count {mm_per_count} must be above 0")
        self._run = run
        self._mm_per_count = mm_per_count

    def open(self) -> None:
        """Nothing to acquire."""

    def read(self) -> EncoderSample:
        """The counter now."""
        now_ns = time.monotonic_ns()
        count = self._run.motion.count(self._run.seconds(now_ns), self._mm_per_count)
        return EncoderSample(count, now_ns)

    def close(self) -> None:
        """Nothing to release."""
