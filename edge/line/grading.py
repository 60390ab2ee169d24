"""What a strip is worth by its defects: accept, downgrade, reject, and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edge.line.geometry import Defect
from edge.records import VerdictName

METRE_MM = 1000.0


@dataclass(frozen=True, slots=True)
class Lanes:
    """Equal stripes of the strip, numbered from 1 at y = 0.

    Raises
    ------
    ValueError
        There is none, or the width is not above 0.
    """

    width_mm: float
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 < self.width_mm < 1e6:
            raise ValueError(f"lanes: {self.count} of {self.width_mm} mm; needs 1 or more, above 0")

    def of(self, defect: Defect) -> int:
        """The lane in which the middle of a defect lies; beyond an edge the one at that edge."""
        middle = (defect.y0_mm + defect.y1_mm) / 2
        return min(max(int(middle / self.width_mm * self.count), 0), self.count - 1) + 1


@dataclass(frozen=True, slots=True)
class GradeRule:
    """A line of the grading table.

    It counts the defects of ``labels`` (empty: of all) in ``lanes`` (empty: in all) that are at
    least ``size_mm`` long in either direction, metre by metre. Where a metre has more than
    ``per_metre`` of them, the strip is at best worth ``verdict``.

    Raises
    ------
    ValueError
        A number is negative, or the verdict is ``accept``, which needs no rule.
    """

    verdict: VerdictName
    labels: tuple[str, ...] = ()
    size_mm: float = 0.0
    per_metre: int = 0
    lanes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.verdict == "accept":
            raise ValueError("grading: what no rule is against is accepted")
        if not 0 <= self.size_mm < math.inf or self.per_metre < 0:
            raise ValueError("grading: size_mm and per_metre are 0 or more")

    def counts(self, defect: Defect, lanes: Lanes) -> bool:
        """Whether the rule looks at this defect."""
        size = max(defect.x1_mm - defect.x0_mm, defect.y1_mm - defect.y0_mm)
        return (
            (not self.labels or defect.label in self.labels)
            and size >= self.size_mm
            and (not self.lanes or lanes.of(defect) in self.lanes)
        )


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict and its reason; ``metre`` is the first that gave it, None when accepted."""

    verdict: VerdictName
    reason: str
    metre: int | None = None


def metre_of(x_mm: float) -> int:
    """Number of the metre in which a place lies; the first is 0."""
    return math.floor(x_mm / METRE_MM)


def grade(defects: Sequence[Defect], rules: Sequence[GradeRule], lanes: Lanes) -> Grade:
    """Hold the defects of a strip, or of a stretch of it, against the grading table.

    A defect counts in the metre in which its middle lies. Of the rules that are broken the
    strictest verdict stands, and of equal ones the first in the table.
    """
    best = Grade("accept", "no rule of the grading table is broken")
    for rule in rules:
        if best.verdict in ("reject", rule.verdict):
            continue
        counted = [defect for defect in defects if rule.counts(defect, lanes)]
        by_metre = Counter(metre_of((one.x0_mm + one.x1_mm) / 2) for one in counted)
        over = [metre for metre, count in by_metre.items() if count > rule.per_metre]
        if over:
            metre = min(over)
            best = Grade(rule.verdict, _reason(rule, by_metre[metre], metre), metre)
    return best


def _reason(rule: GradeRule, count: int, metre: int) -> str:
    """``3 scratches of 20 mm and more in metre 12, allowed: 1``."""
    what = " or ".join(rule.labels) if rule.labels else "defects"
    size = f" of {rule.size_mm:g} mm and more" if rule.size_mm else ""
    where = f" in lane {', '.join(map(str, rule.lanes))}" if rule.lanes else ""
    return f"{count} {what}{size}{where} in metre {metre}, allowed: {rule.per_metre}"


def density(defects: Sequence[Defect], lanes: Lanes) -> dict[int, list[int]]:
    """Defects of each metre by lane; metres without any are absent."""
    found: dict[int, list[int]] = {}
    for defect in defects:
        metre = metre_of((defect.x0_mm + defect.x1_mm) / 2)
        found.setdefault(metre, [0] * lanes.count)[lanes.of(defect) - 1] += 1
    return dict(sorted(found.items()))


def worst_metre(defects: Sequence[Defect], lanes: Lanes) -> tuple[int, int] | None:
    """The metre with most defects, the first of equal ones, and how many; None without any."""
    by_metre = {metre: sum(row) for metre, row in density(defects, lanes).items()}
    if not by_metre:
        return None
    metre = max(by_metre, key=lambda one: by_metre[one])
    return metre, by_metre[metre]
