"""The position of each frame, told once and the same to all who ask."""

from __future__ import annotations

from edge.line.position import Position, Positioner
from edge.line.settings import LineSettings
from edge.records import Header


class Locator:
    """Where the strip was at each frame. Used by the owner of the camera's rule.

    A frame has no place, and is counted, when it is not of the size that ``mm_per_px`` holds for,
    or when nobody knows where the strip was.

    Parameters
    ----------
    settings
        The line's.
    positioner
        Says where the strip was.
    """

    def __init__(self, settings: LineSettings, positioner: Positioner) -> None:
        self._size = settings.size_px
        self._positioner = positioner
        self._header: Header | None = None
        self._position: Position | None = None
        self.other_size = 0
        """Frames of another size."""
        self.unplaced = 0
        """Frames of the right size without a position."""

    def at(self, header: Header) -> Position | None:
        """The strip's position when a frame was taken, None when its place is not known."""
        if header is not self._header:
            self._header = header
            self._position = None
            if (header.width, header.height) != self._size:
                self.other_size += 1
            else:
                self._position = self._positioner.at(header.captured_ns)
                self.unplaced += self._position is None
        return self._position
