"""How long to wait before the next attempt. Pure: no clock, no sleep, the caller's chance."""

from __future__ import annotations

import random


class Backoff:
    """Delays that double from ``first_s`` up to ``cap_s``, each shortened by chance.

    Chance only shortens, so that ``cap_s`` is a promise; it spreads many stations that lost the
    same broker or switch at the same moment (Brooker 2015, "Exponential Backoff And Jitter").

    A camera: ``Backoff(0.5, 3.0, rng)`` gives about 0.5, 1, 2, 3, 3 … s. A broker:
    ``Backoff(1.0, 8.0, rng, jitter=1.0, minimum_s=1.0)`` gives 1 s and then anything between
    1 s and 2, 4, 8, 8 … s.

    Parameters
    ----------
    first_s, cap_s
        The longest first delay and the longest of all, in seconds.
    rng
        Where chance comes from.
    jitter
        The share of a delay that chance may take away: 0 nothing, 1 all of it (full jitter).
    minimum_s
        No delay is shorter than this, whatever chance says.

    Raises
    ------
    ValueError
        Unless ``0 <= minimum_s <= first_s <= cap_s``, ``first_s > 0`` and ``0 <= jitter <= 1``.
    """

    def __init__(
        self,
        first_s: float,
        cap_s: float,
        rng: random.Random,
        *,
        jitter: float = 0.2,
        minimum_s: float = 0.0,
    ) -> None:
        # Written so that NaN fails as well.
        if not (0.0 <= minimum_s <= first_s <= cap_s < float("inf") and first_s > 0.0):
            raise ValueError(
                f"backoff: needs 0 <= minimum_s <= first_s <= cap_s and first_s > 0, "
                f"found {minimum_s}, {first_s}, {cap_s}"
            )
        if not 0.0 <= jitter <= 1.0:
            raise ValueError(f"backoff: jitter {jitter} is not in [0, 1]")
        self._first_s = first_s
        self._cap_s = cap_s
        self._rng = rng
        self._jitter = jitter
        self._minimum_s = minimum_s
        self._longest_s = first_s

    def next_s(self) -> float:
        """Seconds to wait before the next attempt; the one after that waits up to twice as long."""
        longest = self._longest_s
        self._longest_s = min(longest * 2.0, self._cap_s)
        shortest = max(longest * (1.0 - self._jitter), self._minimum_s)
        return shortest + (longest - shortest) * self._rng.random()

    def reset(self) -> None:
        """An attempt succeeded: the next delay is a first one again."""
        self._longest_s = self._first_s
