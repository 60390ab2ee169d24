"""What a lot writes down as it goes, so that it can be told again after a restart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.line.geometry import Defect
from edge.records import VerdictName

Anchor = tuple[int, float, str]
"""An encoder's count, the position on the lot that belongs to it, and the boot it counted in."""


@dataclass(frozen=True, slots=True)
class Started:
    """A lot began; ``anchor`` as in :class:`Seen`."""

    name: str
    at: datetime
    anchor: Anchor | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A stretch of the lot was judged, and what was on it; places count from the lot's start.

    ``error_mm`` bounds the error of the position, ``anchor`` says how to find the place again
    after a restart, of an encoder that goes on counting.
    """

    start_mm: float
    end_mm: float
    defects: tuple[Defect, ...] = ()
    error_mm: float = 0.0
    anchor: Anchor | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The place on the strip was lost; ``number`` counts from the start of the service."""

    number: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The service was started anew while the lot ran; ``counted``: its encoder counted on."""

    at: datetime
    counted: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """A section got its verdict."""

    index: int
    verdict: VerdictName
    late: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The lot is over, so long was it."""

    at: datetime
    length_mm: float


Note = Started | Seen | Lost | Resumed | Settled | Ended


def write(note: Note) -> str:
    """A note as the body of an entry."""
    match note:
        case Started(name, at, anchor):
            body: dict[str, Any] = {"started": name, "at": at.isoformat(), **_anchored(anchor)}
        case Seen():
            body = {"seen": [round(note.start_mm, 3), round(note.end_mm, 3)]}
            if note.defects:
                body["defects"] = [_row(defect) for defect in note.defects]
            body["error"] = round(note.error_mm, 3)
            body |= _anchored(note.anchor)
        case Lost(number):
            body = {"lost": number}
        case Resumed(at, counted):
            body = {"resumed": at.isoformat(), "counted": counted}
        case Settled(index, verdict, late):
            body = {"settled": index, "verdict": verdict, "late": late}
        case Ended(at, length_mm):
            body = {"ended": at.isoformat(), "length": round(length_mm, 3)}
    return json.dumps(body, separators=(",", ":"))


def read(body: str) -> Note:
    """The note in an entry.

    Raises
    ------
    ValueError
        It is none of ours.
    """
    try:
        return _note(json.loads(body))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{body[:80]!r} is no note") from error


def _note(body: dict[str, Any]) -> Note:
    if "started" in body:
        return Started(str(body["started"]), datetime.fromisoformat(body["at"]), _anchor(body))
    if "seen" in body:
        start_mm, end_mm = body["seen"]
        return Seen(
            float(start_mm),
            float(end_mm),
            tuple(Defect(*row) for row in body.get("defects", ())),
            float(body["error"]),
            _anchor(body),
        )
    if "lost" in body:
        return Lost(int(body["lost"]))
    if "resumed" in body:
        return Resumed(datetime.fromisoformat(body["resumed"]), bool(body["counted"]))
    if "settled" in body:
        return Settled(int(body["settled"]), body["verdict"], bool(body["late"]))
    return Ended(datetime.fromisoformat(body["ended"]), float(body["length"]))


def _anchored(anchor: Anchor | None) -> dict[str, Any]:
    return {} if anchor is None else {"anchor": [anchor[0], round(anchor[1], 3), anchor[2]]}


def _anchor(body: dict[str, Any]) -> Anchor | None:
    if "anchor" not in body:
        return None
    count, mm, boot = body["anchor"]
    return int(count), float(mm), str(boot)


def _row(defect: Defect) -> list[str | float | int]:
    places = (defect.x0_mm, defect.x1_mm, defect.y0_mm, defect.y1_mm, defect.area_mm2)
    return [
        defect.label,
        *(round(value, 3) for value in places),
        round(defect.score, 4),
        defect.first,
        defect.last,
    ]
