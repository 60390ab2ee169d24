"""Small bars inside tables."""

from __future__ import annotations

from converter.report.markup import Markup, element
from converter.report.numbers import given, short

WIDTH, HEIGHT = 120, 14


def budget_bar(lost: float, budget: float) -> Markup:
    """How much of the allowed loss a variant uses; the budget's mark stands in the middle.

    What loses more than twice the budget fills the bar.

    Parameters
    ----------
    lost, budget
        In the metric's own unit; a gain draws nothing.
    """
    used = min(max(lost, 0.0) / (2 * budget), 1.0) if budget > 0 else float(lost > 0)
    mark = WIDTH / 2 if budget > 0 else 0.0
    kind = "over" if lost > budget + 1e-9 else "used"
    return _bar(
        f"loses {short(lost)} of {given(budget)} allowed",
        element("rect", x=0, y=3, width=used * WIDTH, height=8, class_=kind),
        element("line", x1=mark, x2=mark, y1=0, y2=HEIGHT, class_="mark"),
    )


def count_bar(count: int, most: int) -> Markup:
    """A count beside the largest of its kind."""
    width = WIDTH * count / max(most, 1)
    return _bar(str(count), element("rect", x=0, y=3, width=width, height=8, class_="count"))


def _bar(title: str, *parts: Markup) -> Markup:
    return element(
        "svg",
        element("title", title),
        element("rect", x=0.5, y=2.5, width=WIDTH - 1, height=9, class_="room"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="bar",
    )
