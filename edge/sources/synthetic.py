"""``synthetic:`` sources: pictures computed from their number, for tests, demos and benchmarks.

``synthetic://blobs``: bright discs, bluish (masked) or reddish, that wander over a dark noisy
ground; ``synthetic://noise``; ``synthetic://gradient``; ``synthetic://black``. The same URI and
sequence number always give the same bytes. Options behind ``?``:

===============  =============  =============================================================
option           values         meaning
===============  =============  =============================================================
``width``        8 … 4096       in pixels, 640 unless said; wins over the camera's key
``height``       8 … 4096       in pixels, 480 unless said; wins over the camera's key
``fps``          0.01 … 1000    frames per second, 15 unless said; wins over the camera's key
``frames``       0 … 10^9       how many there are; 0 (the default) for no end
``seed``         0 … 2^32 - 1   other seeds, other pictures; 0 unless said
``pace``         real, fast     ``real`` (the default): ``fps`` frames a second; ``fast``: as
                                fast as they are taken
``live``         0, 1           1: behaves as a camera, frames that nobody takes in time are
                                lost; 0 (the default): waits for its reader, as a file
``faces``        0 … 200        blobs only: how many discs there are, 1 unless said
``masked``       0 … faces      blobs only: how many of them are bluish, 0 unless said
``mask_from``    0 … 10^9       blobs only: the frame from which all discs are bluish
``mask_to``      0 … 10^9       blobs only: the frame from which they no longer are
===============  =============  =============================================================
"""

from __future__ import annotations

import difflib
import time
from typing import Protocol

from edge.errors import SourceUnavailable, UnsupportedSource
from edge.records import Frame, Image
from edge.sources.frames import Moment, Pace
from edge.sources.scenes import Black, Blobs, Cast, Gradient, Ground
from edge.sources.uri import Options, SourceUri

_SCENES = ("blobs", "noise", "gradient", "black")
_MANY = 1_000_000_000


class Scene(Protocol):
    """Gives picture number ``sequence``, (height, width, 3) uint8."""

    def picture(self, sequence: int) -> Image:
        """The same number always gives the same picture."""


class SyntheticSource:
    """A ``Source`` of computed pictures.

    Parameters
    ----------
    uri, camera, width, height, fps
        As in ``open_source``.

    Attributes
    ----------
    live
        As the option of this name says.

    Raises
    ------
    UnsupportedSource
        There is no such scene, or an option is unknown or wrong.
    """

    def __init__(
        self,
        uri: SourceUri,
        *,
        camera: str,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
    ) -> None:
        options = Options(uri, camera)
        columns = options.integer("width", width or 640, 8, 4096)
        rows = options.integer("height", height or 480, 8, 4096)
        self._frame_ns = round(1e9 / options.number("fps", fps or 15.0, 0.01, 1000.0))
        self._frames = options.integer("frames", 0, 0, _MANY) or None
        seed = options.integer("seed", 0, 0, 2**32 - 1)
        self.live = options.choice("live", ("0", "1")) == "1"
        self._fast = options.choice("pace", ("real", "fast")) == "fast"
        if self.live and self._fast:
            raise UnsupportedSource(
                f"camera {camera!r}: options live=1 and pace=fast contradict each other"
            )
        self._what = f"camera {camera!r}: synthetic://{uri.authority}"
        self._scene = _scene(uri.authority, columns, rows, seed, options, self._what)
        options.finish()
        self._camera = camera
        self._is_open = False
        self._forget()

    @property
    def due_ns(self) -> int:
        """Monotonic time of the next frame; 0 when it may come at any time."""
        return self._pace.due_ns

    def open(self) -> None:
        """Begin with frame 0."""
        self._forget()
        self._is_open = True

    def read(self) -> Frame | None:
        """The next frame, or None at the end.

        Raises
        ------
        SourceUnavailable
            The source is not open.
        """
        if not self._is_open:
            raise SourceUnavailable(f"{self._what}: is not open")
        captured = Moment.now()
        sequence = self._sequence_at(captured.monotonic_ns)
        if self._frames is not None and sequence >= self._frames:
            self._pace = Pace()
            return None
        self._next = sequence + 1
        if self.live:
            self._pace.due_ns = self._began_ns + self._next * self._frame_ns
        elif not self._fast:
            self._pace.release(captured.monotonic_ns, self._frame_ns / 1e9)
        image = self._scene.picture(sequence)
        return Frame(
            image,
            self._camera,
            sequence,
            captured.monotonic_ns,
            time.monotonic_ns(),
            captured.utc,
        )

    def close(self) -> None:
        """Stop. Harmless when not open."""
        self._is_open = False
        self._forget()

    def _forget(self) -> None:
        """Be as if nothing had been read yet."""
        self._pace = Pace()
        self._next = 0
        self._began_ns = 0

    def _sequence_at(self, now_ns: int) -> int:
        """Number of the frame to give now; of a live source, those that went by are lost."""
        if not self.live:
            return self._next
        if self._next == 0:
            self._began_ns = now_ns
        return max(self._next, (now_ns - self._began_ns) // self._frame_ns)


def _scene(name: str, width: int, height: int, seed: int, options: Options, what: str) -> Scene:
    if name == "noise":
        return Ground(width, height, seed, 255, grey=False)
    if name == "gradient":
        return Gradient(width, height)
    if name == "black":
        return Black(width, height)
    if name != "blobs":
        nearest = difflib.get_close_matches(name, _SCENES, n=1)
        meant = f"did you mean {nearest[0]}? " if nearest else ""
        raise UnsupportedSource(
            f"{what}: there is no such scene", hint=f"{meant}there are {', '.join(_SCENES)}"
        )
    faces = options.integer("faces", 1, 0, 200)
    cast = Cast(
        faces,
        options.integer("masked", 0, 0, faces),
        options.integer("mask_from", _MANY, 0, _MANY),
        options.integer("mask_to", _MANY, 0, _MANY),
    )
    try:
        return Blobs(width, height, seed, cast)
    except ValueError as error:
        raise UnsupportedSource(f"{what}: {error}", hint="take fewer faces") from error
