"""What was counted, as JSON and as the tables of `docs/reference-conditions.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tools.conditions.conditions import OBJECT
from tools.conditions.shots import Condition
from tools.conditions.tally import Share, Tally

_FACES = ("condition", "pictures", "faces", "found", "mask state right", "reference finds")
_OBJECTS = ("object", "pictures", "a face is found", "without mask at raise_at", "reference finds")


@dataclass(frozen=True, slots=True)
class Row:
    """A condition, with what the station and, where it was there, the reference made of it."""

    condition: Condition
    station: Tally
    reference: Tally | None

    @property
    def is_object(self) -> bool:
        """Whether nothing in its pictures is a face."""
        return self.condition.group == OBJECT


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Group → condition → figures."""
    report: dict[str, Any] = {}
    for row in rows:
        station = row.station
        figures: dict[str, Any] = {"pictures": station.pictures}
        if row.is_object:
            figures["occupied"] = _figures(station.occupied)
            figures["alarming"] = _figures(station.alarming)
        else:
            figures["found"] = _figures(station.found)
            if station.right.of:
                figures["right"] = _figures(station.right)
        if row.reference is not None:
            share = row.reference.occupied if row.is_object else row.reference.found
            figures["reference"] = _figures(share)
        report.setdefault(row.condition.group, {})[row.condition.name] = figures
    return report


def as_text(rows: Sequence[Row], *, markdown: bool) -> Iterator[str]:
    """Two tables, of the conditions with faces and of those without, line by line."""
    faces = [_face_cells(row) for row in rows if not row.is_object]
    objects = [_object_cells(row) for row in rows if row.is_object]
    for number, (head, body) in enumerate(((_FACES, faces), (_OBJECTS, objects))):
        if number:
            yield ""
        yield from _table([head, *body], markdown=markdown)


def _face_cells(row: Row) -> tuple[str, ...]:
    found = row.station.found
    reference = row.reference.found if row.reference is not None else None
    return (
        row.condition.key,
        str(row.station.pictures),
        str(found.of),
        _cell(found),
        _cell(row.station.right),
        _cell(reference),
    )


def _object_cells(row: Row) -> tuple[str, ...]:
    station = row.station
    reference = row.reference.occupied if row.reference is not None else None
    return (
        row.condition.name,
        str(station.pictures),
        _cell(station.occupied),
        _cell(station.alarming),
        _cell(reference),
    )


def _cell(share: Share | None) -> str:
    """Percent with its interval."""
    if share is None or not share.of:
        return "–"
    low, high = share.interval
    return f"{100 * share.value:.0f} % ({100 * low:.0f}–{100 * high:.0f})"


def _figures(share: Share) -> Mapping[str, Any]:
    low, high = share.interval
    return {"share": share.value, "n": share.of, "low": low, "high": high}


def _table(rows: Sequence[Sequence[str]], *, markdown: bool) -> Iterator[str]:
    if markdown:
        for number, row in enumerate(rows):
            yield f"| {' | '.join(row)} |"
            if not number:
                yield "|" + "---|" * len(row)
        return
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
