"""A closed lot for people: a list for a spreadsheet, a map, and one page to print."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from html import escape
from typing import Any

from edge.line.lot import Lot

COLOURS = ("#c0392b", "#1f618d", "#b9770e", "#196f3d", "#6c3483", "#515a5a")
"""Of the labels, by their name's place in the alphabet."""

_ROW_PX, _WIDE_PX, _METRES = 46.0, 1000.0, 50
"""A row of the map, its width, and how many metres it shows at most."""

_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1060px;color:#1b1b1b}
h1{font-size:1.5em;margin:0}h2{font-size:1.1em;margin:1.6em 0 .4em}
table{border-collapse:collapse}td,th{padding:.15em .8em .15em 0;text-align:right}
td:first-child,th:first-child{text-align:left}th{border-bottom:1px solid #999;font-weight:600}
.accept{color:#196f3d}.downgrade{color:#b9770e}.reject{color:#c0392b}.verdict{font-weight:700}
svg{width:100%;height:auto}@media print{body{margin:0}tr{page-break-inside:avoid}}
"""


def pages(lot: Lot) -> dict[str, str]:
    """The files of a report, content by the ending of the name."""
    return {
        "json": json.dumps(lot.data(), indent=1, ensure_ascii=False) + "\n",
        "csv": defect_csv(lot),
        "svg": defect_map(lot),
        "html": report_html(lot),
    }


def defect_csv(lot: Lot) -> str:
    """One row a defect, with a head; lines end as RFC 4180 says."""
    rows = lot.data()["defects"]
    text = io.StringIO()
    names = ("label", "x_mm", "y_mm", "len_mm", "wid_mm", "area_mm2", "score")
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def defect_map(lot: Lot) -> str:
    """Where the defects lie, as SVG: the strip in rows of equal length, head first.

    Defects are drawn to scale but never smaller than can be seen; stretches that no frame judged
    are grey.
    """
    length = max(lot.length_mm, 1.0)
    metres = max(1, min(_METRES, round(length / 1000.0)))
    row_mm = metres * 1000.0
    rows = max(1, -int(-length // row_mm))
    colours = _colours(lot)
    across = (_ROW_PX - 12) / lot.lanes.width_mm
    along = _WIDE_PX / row_mm
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-60 0 {_WIDE_PX + 70:g} '
        f'{rows * _ROW_PX:g}" role="img" aria-label="Defect map">'
    ]
    for row in range(rows):
        top = row * _ROW_PX
        shown = min(row_mm, length - row * row_mm) * along
        parts.append(
            f'<text x="-8" y="{top + 22:g}" font-size="12" text-anchor="end">'
            f"{row * metres} m</text>"
            f'<rect x="0" y="{top:g}" width="{shown:.1f}" height="{_ROW_PX - 12:g}" '
            'fill="#f4f4f4" stroke="#999"/>'
        )
    for low, high in lot.gaps:
        parts += _boxes(low, high, 0.0, lot.lanes.width_mm, row_mm, (along, across), "#bbb")
    for defect in lot.defects:
        parts += _boxes(
            defect.x0_mm,
            defect.x1_mm,
            defect.y0_mm,
            defect.y1_mm,
            row_mm,
            (along, across),
            colours[defect.label],
        )
    return "".join([*parts, "</svg>"])


def _boxes(
    x0: float,
    x1: float,
    y0: float,
    y1: float,
    row_mm: float,
    scale: tuple[float, float],
    colour: str,
) -> Iterable[str]:
    """A rectangle in millimetres as one for each row of the map that it reaches into."""
    along, across = scale
    for row in range(max(int(x0 // row_mm), 0), max(int(x1 // row_mm), 0) + 1):
        left = max(x0 - row * row_mm, 0.0) * along
        right = min(x1 - row * row_mm, row_mm) * along
        yield (
            f'<rect x="{left:.1f}" y="{row * _ROW_PX + y0 * across:.1f}" '
            f'width="{max(right - left, 2.0):.1f}" height="{max((y1 - y0) * across, 2.0):.1f}" '
            f'fill="{colour}"/>'
        )


def report_html(lot: Lot) -> str:
    """One page that needs nothing else: verdict, totals, map, repeats, list."""
    data = lot.data()
    colours = _colours(lot)
    grade = data["grade"]
    facts = [
        ("Length", f"{lot.length_mm / 1000:.2f} m"),
        ("Width", f"{lot.lanes.width_mm:g} mm in {lot.lanes.count} lanes"),
        ("Start, end (UTC)", f"{data['started_at']}, {data['ended_at']}"),
        ("Judged", f"{100 * lot.covered:.2f} % of the strip, {len(lot.gaps)} gaps"),
        ("Defects", str(len(lot.defects))),
        ("Sections", _sections(data)),
        ("Error of places", f"{lot.error_mm:.1f} mm at most"),
    ]
    if lot.losses:
        facts.append(("Place lost", f"{lot.losses} times: what ran then is not known"))
    if lot.restarts:
        facts.append(("Restarts of the service", str(lot.restarts)))
    if "worst_metre" in data:
        worst = data["worst_metre"]
        facts.append(("Worst metre", f"{worst['metre']} with {worst['defects']}"))
    totals = [
        (f'<span style="color:{colours[label]}">■</span> {escape(label)}', str(count))
        for label, count in lot.totals.items()
    ]
    repeats = [
        (
            escape(row["label"]),
            f"{row['period_mm']:.1f}",
            f"{row['diameter_mm']:.1f}",
            escape(row.get("roll", "-")),
            str(row["count"]),
            f"{row['y_mm']:.0f}",
        )
        for row in data["periodic"]
    ]
    listed = [
        (
            escape(one["label"]),
            *(f"{one[key]:.1f}" for key in ("x_mm", "y_mm", "len_mm", "wid_mm", "area_mm2")),
            f"{one['score']:.2f}",
        )
        for one in data["defects"]
    ]
    gaps = [(f"{low:.1f}", f"{high:.1f}") for low, high in data["gaps_mm"]]
    lanes = ("Metre", *(f"Lane {number + 1}" for number in range(lot.lanes.count)))
    by_metre = [(metre, *map(str, row)) for metre, row in data["density"].items()]
    head = ("Label", "x mm", "y mm", "Length", "Width", "Area mm²", "Score")
    sections = [
        f'<h1>Lot {escape(lot.name)}</h1><p class="verdict {grade["verdict"]}">'
        f"{grade['verdict']}: {escape(grade['reason'])}</p>",
        _table((), facts),
        "<h2>Defects by label</h2>" + _table(("Label", "Defects"), totals) if totals else "",
        "<h2>Map</h2>" + defect_map(lot),
        "<h2>Not judged</h2>" + _table(("From mm", "To mm"), gaps) if gaps else "",
        "<h2>Defects by metre and lane</h2>" + _table(lanes, by_metre) if by_metre else "",
        "<h2>At a constant distance</h2>"
        + _table(("Label", "Distance mm", "Diameter mm", "Roll", "Defects", "y mm"), repeats)
        if repeats
        else "",
        "<h2>List</h2>" + _table(head, listed) if listed else "",
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Lot '
        f"{escape(lot.name)}</title><style>{_STYLE}</style></head><body>"
        + "".join(sections)
        + "</body></html>"
    )


def _sections(data: dict[str, Any]) -> str:
    """``20 accept, 4 reject (1 late)``."""
    text = ", ".join(f"{count} {name}" for name, count in sorted(data["verdicts"].items()))
    late = f" ({data['late']} late)" if data["late"] else ""
    return (text or "-") + late


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    top = f"<tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"


def _colours(lot: Lot) -> dict[str, str]:
    return {label: COLOURS[place % len(COLOURS)] for place, label in enumerate(sorted(lot.totals))}
