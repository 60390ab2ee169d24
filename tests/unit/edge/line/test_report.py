"""What is left of a coil for people."""

from __future__ import annotations

import csv
import io
import json
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from edge.line.coverage import Interval
from edge.line.geometry import Defect
from edge.line.grading import GradeRule, Lanes
from edge.line.lot import Lot
from edge.line.report import defect_csv, defect_map, report_html

START, END = datetime(2026, 1, 2, 3, 4, 5, 6789, UTC), datetime(2026, 1, 2, 3, 9, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def _lot(
    defects: Sequence[Defect],
    length_mm: float = 120_000.0,
    gaps: Sequence[Interval] = (),
    name: str = "coil <7>",
) -> Lot:
    rules = [GradeRule("downgrade", labels=("scratches",)), GradeRule("reject", per_metre=2)]
    rolls = {"work roll": 600.0}
    return Lot.closed(name, START, END, length_mm, Lanes(1000.0, 2), defects, gaps, rules, rolls)


def _at(x: float, y: float = 300.0, label: str = "scratches", length: float = 20.0) -> Defect:
    return Defect(label, x, x + length, y, y + 8, 90.0, 0.875, 3, 4)


def test_the_figures_of_a_lot() -> None:
    """Totals, place of the worst metre, density, share that was judged, grade; JSON all through."""
    lot = _lot(
        [_at(52_300, 700), _at(100), _at(52_100), _at(52_900, label="patches")],
        gaps=[(1000.0, 2200.0)],
    )
    data = json.loads(json.dumps(lot.data(), allow_nan=False))
    assert data["totals"] == {"scratches": 3, "patches": 1}
    assert data["grade"] == {
        "verdict": "reject",
        "reason": "3 defects in metre 52, allowed: 2",
        "metre": 52,
    }
    assert data["worst_metre"] == {"metre": 52, "defects": 3}
    assert data["density"] == {"0": [1, 0], "52": [2, 1]}
    assert data["covered"] == pytest.approx(0.99)
    assert (data["started_at"], data["ended_at"]) == (
        "2026-01-02T03:04:05.006Z",
        "2026-01-02T03:09:00.000Z",
    )
    assert [one["x_mm"] for one in data["defects"]] == [100.0, 52_100.0, 52_300.0, 52_900.0]
    assert data["defects"][0] == {
        "label": "scratches",
        "x_mm": 100.0,
        "y_mm": 300.0,
        "len_mm": 20.0,
        "wid_mm": 8.0,
        "area_mm2": 90.0,
        "score": 0.875,
        "frames": [3, 4],
    }


def test_a_lot_without_anything() -> None:
    """No defect, no length: accepted, and nothing is divided by zero."""
    lot = _lot([], length_mm=0.0)
    data = lot.data()
    assert data["grade"]["verdict"] == "accept"
    assert data["covered"] == 1.0
    assert "worst_metre" not in data
    assert "Defects</td><td>0" in report_html(lot)


def test_the_list_is_a_spreadsheet() -> None:
    """A row for each defect, by its place."""
    lot = _lot([_at(50.0), _at(10.0, label="patches")])
    rows = list(csv.DictReader(io.StringIO(defect_csv(lot))))
    assert [(row["label"], row["x_mm"], row["score"]) for row in rows] == [
        ("patches", "10.0", "0.875"),
        ("scratches", "50.0", "0.875"),
    ]


def test_the_map_shows_every_defect_in_its_row() -> None:
    """120 m are three rows of 50 m; a defect over the end of a row is drawn in both, gaps too."""
    lot = _lot([_at(10_000), _at(75_000, 900), _at(49_990, length=40)], gaps=[(99_000, 101_000)])
    drawn = ET.fromstring(defect_map(lot))
    boxes = [box.attrib for box in drawn.iter(f"{SVG}rect")]
    rows = [box for box in boxes if box["fill"] == "#f4f4f4"]
    assert [float(box["width"]) for box in rows] == [1000.0, 1000.0, 400.0]
    marks = [box for box in boxes if box["fill"] == "#c0392b"]
    assert len(marks) == 4
    assert {(float(box["x"]), int(float(box["y"]) // 46)) for box in marks} == {
        (200.0, 0),
        (500.0, 1),
        (999.8, 0),
        (0.0, 1),
    }
    assert len([box for box in boxes if box["fill"] == "#bbb"]) == 2


class _Page(HTMLParser):
    """What a page asks for from elsewhere, and what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [str(value) for name, value in attrs if name in ("src", "href")]
        self.asked += [tag] if tag in ("script", "link", "img", "iframe") else []

    def handle_data(self, data: str) -> None:
        self.text += data + "|"


def test_the_page_needs_nothing_else() -> None:
    """Verdict, reason, repeats and list stand in it; names cannot break it; nothing is fetched."""
    prints = [_at(1000 + k * 1885, 600, "patches") for k in range(6)]
    page = _Page()
    page.feed(report_html(_lot([*prints, _at(5)])))
    assert page.asked == []
    for said in (
        "Lot coil <7>",
        "downgrade: 1 scratches in metre 0",
        "work roll",
        "1885.0",
        "600.0",
    ):
        assert said in page.text
    assert page.text.count("patches") == 2 + len(prints)


def test_a_coil_of_a_thousand_defects_is_reported_in_two_seconds() -> None:
    """From the defects to the finished page."""
    rng = np.random.default_rng(0)
    places = rng.uniform((0, 0), (1_000_000, 990), (1000, 2))
    began = time.monotonic()
    page = report_html(_lot([_at(x, y) for x, y in places.tolist()], 1_000_000.0))
    assert time.monotonic() - began < 2.0
    assert page.count("<tr>") > 1000
