"""How far the drawn strip has run, and how fast it runs: exact at every moment."""

from __future__ import annotations

import math
from dataclasses import dataclass

_CREEP = 0.1  # of the speed: what the strip slows down to, so that it runs out some time


@dataclass(frozen=True, slots=True)
class _Piece:
    """From a moment on the speed's share is ``level + slope * time since then``."""

    from_s: float
    level: float
    slope: float


class Motion:
    """Position and speed of a strip whose speed varies, as formulas and not as a sum.

    The strip starts from a standstill and is up to speed after ``ramp_s``; all the time the speed
    swings. It always runs forwards.

    Parameters
    ----------
    mm_per_s
        Mean speed after the start, above 0.
    variation
        By which share of it the speed swings to either side, 0 to less than 1.
    period_s
        Of a swing.
    ramp_s
        From the start to full speed; 0: at once.
    slow_from_s, slow_s
        From when on the strip slows down again, and for how long; then it creeps on at a tenth of
        its speed. None: it does not.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(
        self,
        mm_per_s: float,
        variation: float = 0.2,
        period_s: float = 3.0,
        ramp_s: float = 1.0,
        *,
        slow_from_s: float | None = None,
        slow_s: float = 1.0,
    ) -> None:
        if not 0 < mm_per_s < 1e9:
            raise ValueError(f"Motion: mm_per_s {mm_per_s} must be above 0")
        if not 0 <= variation < 1:
            raise ValueError(f"Motion: variation {variation} must be in [0, 1)")
        if not 0.001 <= period_s < 1e6:
            raise ValueError(f"Motion: period_s {period_s} must be at least a millisecond")
        for name, time_s in (("ramp_s", ramp_s), ("slow_s", slow_s)):
            if time_s != 0 and not 0.001 <= time_s < 1e6:
                raise ValueError(f"Motion: {name} {time_s} must be 0 or at least a millisecond")
        if slow_from_s is not None and not ramp_s <= slow_from_s < 1e9:
            raise ValueError("Motion: the strip slows down after it has come up to its speed")
        self._mm_per_s = mm_per_s
        self._variation = variation
        self._turn = 2 * math.pi / period_s  # radians a second
        # Pieces on which the envelope is a line: from when, at what level, rising by what a second.
        self._pieces = [_Piece(0.0, 0.0, 1 / ramp_s)] if ramp_s else []
        self._pieces.append(_Piece(ramp_s, 1.0, 0.0))
        if slow_from_s is not None:
            if slow_s:
                self._pieces.append(_Piece(slow_from_s, 1.0, (_CREEP - 1) / slow_s))
            self._pieces.append(_Piece(slow_from_s + slow_s, _CREEP, 0.0))

    def mm(self, t_s: float) -> float:
        """Strip that has passed ``t_s`` after the start; 0 before."""
        passed = 0.0
        for k, piece in enumerate(self._pieces):
            if t_s <= piece.from_s:
                break
            last = k + 1 == len(self._pieces)
            to_s = t_s if last else min(t_s, self._pieces[k + 1].from_s)
            passed += self._integral(piece, to_s)
        # The first nanoseconds would else be lost in rounding, on either side of 0.
        return self._mm_per_s * max(passed, 0.0)

    def mm_per_s(self, t_s: float) -> float:
        """Speed ``t_s`` after the start; 0 before."""
        at = [piece for piece in self._pieces if piece.from_s <= t_s]
        if not at:
            return 0.0
        level = at[-1].level + at[-1].slope * (t_s - at[-1].from_s)
        return self._mm_per_s * level * (1 + self._variation * math.sin(self._turn * t_s))

    def count(self, t_s: float, mm_per_count: float) -> int:
        """What an ideal encoder has counted: whole steps of ``mm_per_count``.

        Raises
        ------
        ValueError
            A step is not above 0.
        """
        if not mm_per_count > 0:
            raise ValueError(f"count: mm_per_count {mm_per_count} must be above 0")
        return math.floor(self.mm(t_s) / mm_per_count)

    def _integral(self, piece: _Piece, to_s: float) -> float:
        """∫ (level + slope·(t - from)) · (1 + variation·sin(turn·t)) dt from ``from_s`` on."""
        a, b, turn = piece.from_s, to_s, self._turn
        run, last = b - a, piece.level + piece.slope * (b - a)
        even = (piece.level + last) / 2 * run
        # By parts: the envelope times the cosine, and the slope times the sine.
        swing = (piece.level * math.cos(turn * a) - last * math.cos(turn * b)) / turn
        swing += piece.slope * (math.sin(turn * b) - math.sin(turn * a)) / turn**2
        return even + self._variation * swing
