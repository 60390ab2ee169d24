"""A lot: one coil from its start to its end, and the figures of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edge.line.coverage import Interval
from edge.line.geometry import Defect
from edge.line.grading import Grade, GradeRule, Lanes, density, grade, worst_metre
from edge.line.periodic import Periodic, find_periodic


@dataclass(frozen=True, slots=True)
class Lot:
    """A closed lot.

    Parameters
    ----------
    name
        As the line calls it.
    started_at, ended_at
        UTC.
    length_mm
        Of strip between the two.
    lanes
        Width of the strip, and into how many stripes it is divided.
    defects
        Places count from the start of the lot.
    gaps
        Stretches that no frame judged.
    grade
        Its verdict.
    periodic
        Defects that come again at a constant distance.
    verdicts
        Of its sections, by name; ``late`` of them came too late and were rejects.
    restarts
        How often the service was started anew while it ran.
    losses
        How often nobody knew how much strip had run by; there, places go on behind a gap that
        stands for it.
    error_mm
        The largest bound of the error that a place along the strip may have.
    """

    name: str
    started_at: datetime
    ended_at: datetime
    length_mm: float
    lanes: Lanes
    defects: tuple[Defect, ...]
    gaps: tuple[Interval, ...]
    grade: Grade
    periodic: tuple[Periodic, ...]
    verdicts: Mapping[str, int] = field(default_factory=dict)
    late: int = 0
    restarts: int = 0
    losses: int = 0
    error_mm: float = 0.0

    @classmethod
    def closed(
        cls,
        name: str,
        started_at: datetime,
        ended_at: datetime,
        length_mm: float,
        lanes: Lanes,
        defects: Sequence[Defect],
        gaps: Sequence[Interval],
        rules: Sequence[GradeRule],
        rolls: Mapping[str, float],
        *,
        verdicts: Mapping[str, int] | None = None,
        late: int = 0,
        restarts: int = 0,
        losses: int = 0,
        error_mm: float = 0.0,
    ) -> Lot:
        """Grade what was seen of a lot, and look for what repeats; see :class:`Lot`,
        :func:`edge.line.grading.grade` and :func:`edge.line.periodic.find_periodic`.
        """
        placed = tuple(sorted(defects, key=lambda one: (one.x0_mm, one.y0_mm)))
        return cls(
            name,
            started_at,
            ended_at,
            length_mm,
            lanes,
            placed,
            tuple(gaps),
            grade(placed, rules, lanes),
            tuple(find_periodic(placed, rolls=rolls)),
            verdicts or {},
            late,
            restarts,
            losses,
            error_mm,
        )

    @property
    def totals(self) -> dict[str, int]:
        """Defects by label, the most frequent first."""
        return dict(Counter(defect.label for defect in self.defects).most_common())

    @property
    def covered(self) -> float:
        """Share of the strip that was judged, in [0, 1]; 1 of a lot without length."""
        if self.length_mm <= 0:
            return 1.0
        missed = sum(high - low for low, high in self.gaps)
        return max(0.0, 1.0 - missed / self.length_mm)

    def data(self) -> dict[str, Any]:
        """Everything as JSON values; what does not apply is absent."""
        worst = worst_metre(self.defects, self.lanes)
        return {
            "lot": self.name,
            "started_at": _moment(self.started_at),
            "ended_at": _moment(self.ended_at),
            "length_mm": round(self.length_mm, 1),
            "width_mm": round(self.lanes.width_mm, 1),
            "lanes": self.lanes.count,
            "covered": round(self.covered, 6),
            "gaps_mm": [[round(low, 1), round(high, 1)] for low, high in self.gaps],
            "error_mm": round(self.error_mm, 2),
            "restarts": self.restarts,
            "losses": self.losses,
            "verdicts": dict(self.verdicts),
            "late": self.late,
            "totals": self.totals,
            "grade": {
                "verdict": self.grade.verdict,
                "reason": self.grade.reason,
                **({} if self.grade.metre is None else {"metre": self.grade.metre}),
            },
            **({} if worst is None else {"worst_metre": {"metre": worst[0], "defects": worst[1]}}),
            "density": {str(metre): row for metre, row in self._density().items()},
            "periodic": [_periodic(row) for row in self.periodic],
            "defects": [_defect(defect) for defect in self.defects],
        }

    def _density(self) -> dict[int, list[int]]:
        return density(self.defects, self.lanes)


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def _periodic(row: Periodic) -> dict[str, Any]:
    return {
        "label": row.label,
        "period_mm": round(row.period_mm, 1),
        "diameter_mm": round(row.diameter_mm, 1),
        "y_mm": round(row.y_mm, 1),
        "first_mm": round(row.first_mm, 1),
        "last_mm": round(row.last_mm, 1),
        "count": row.count,
        **({} if row.roll is None else {"roll": row.roll}),
    }


def _defect(defect: Defect) -> dict[str, Any]:
    return {
        "label": defect.label,
        "x_mm": round(defect.x0_mm, 1),
        "y_mm": round(defect.y0_mm, 1),
        "len_mm": round(defect.x1_mm - defect.x0_mm, 1),
        "wid_mm": round(defect.y1_mm - defect.y0_mm, 1),
        "area_mm2": round(defect.area_mm2, 1),
        "score": round(defect.score, 4),
        "frames": [defect.first, defect.last],
    }
