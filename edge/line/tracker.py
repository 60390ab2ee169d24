"""Who is who on a strip that runs: by place on the strip, not in the picture."""

from __future__ import annotations

from dataclasses import dataclass

from edge.line.geometry import Defect
from edge.line.locator import Locator
from edge.line.settings import LineSettings
from edge.records import Box, Observation, Segmentation, Track


@dataclass(slots=True)
class _Followed:
    """A defect that may still be in the picture: all that was seen of it, and its box."""

    defect: Defect
    box: Box
    missed: int = 0


class StripTracker:
    """Follows defects over overlapping frames, so that one scratch is one track.

    A region belongs to the oldest track of its label that it touches on the strip and that no
    other region of the frame belongs to. A track ends when the strip that shows it has left the
    picture, so a defect that is not found in every frame is one track all the same. A frame whose
    place is not known shows other defects than the one before.

    Parameters
    ----------
    settings
        The line's.
    locator
        Says where the strip was.
    """

    def __init__(self, settings: LineSettings, locator: Locator) -> None:
        self._settings = settings
        self._locator = locator
        self._live: dict[int, _Followed] = {}
        self._left: dict[int, _Followed] = {}
        self._newest = 0

    def defect(self, track: int) -> Defect | None:
        """What was seen so far of a track that lives, or that ended with the last frame; None when
        its place was never known.
        """
        followed = self._live.get(track) or self._left.get(track)
        return None if followed is None else followed.defect

    def update(self, observation: Observation) -> tuple[Track, ...]:
        """See :class:`edge.protocols.Tracker`.

        Raises
        ------
        TypeError
            The result is no segmentation.
        """
        result, header = observation.result, observation.header
        if not isinstance(result, Segmentation):
            raise TypeError("a StripTracker follows the regions of a Segmentation")
        position = self._locator.at(header)
        if position is None:
            self._left, self._live = self._live, {}
            first = self._newest + 1
            self._newest += len(result.regions)
            return tuple(
                Track(first + row, region.box, row) for row, region in enumerate(result.regions)
            )
        geometry, gap_mm = self._settings.geometry, self._settings.gap_mm
        rows: dict[int, int] = {}
        for row, region in enumerate(result.regions):
            part = geometry.place(region, position.mm, header.width, header.sequence)
            track = next(
                (
                    key
                    for key, one in self._live.items()
                    if key not in rows and one.defect.touches(part, gap_mm)
                ),
                None,
            )
            if track is None:
                track = self._newest = self._newest + 1
                self._live[track] = _Followed(part, region.box)
            else:
                known = self._live[track]
                self._live[track] = _Followed(known.defect.joined(part), region.box)
            rows[track] = row
        start_mm, _ = geometry.stretch(position.mm, header.width)
        self._left = {
            key: one
            for key, one in self._live.items()
            if key not in rows and one.defect.x1_mm < start_mm - gap_mm
        }
        for key in self._left:
            del self._live[key]
        for key, one in self._live.items():
            if key not in rows:
                one.missed += 1
                moved = geometry.box(one.defect, position.mm, header.width)
                one.box = _within(moved, header.width, header.height)
        return tuple(
            Track(key, one.box, rows.get(key), one.missed)
            for key, one in sorted(self._live.items())
        )


def _within(box: Box, width: int, height: int) -> Box:
    """What of a box lies in the picture."""
    left, right = (min(max(x, 0.0), width) for x in (box.x, box.x + box.width))
    top, bottom = (min(max(y, 0.0), height) for y in (box.y, box.y + box.height))
    return Box(left, top, right - left, bottom - top)
