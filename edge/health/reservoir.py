"""Percentiles of a stream in bounded memory."""

from __future__ import annotations

import random
import threading

import numpy as np

from edge.records import Percentiles


class Reservoir:
    """A uniform sample of what was added since the last ``drain``.

    Algorithm R of Vitter, "Random sampling with a reservoir" (ACM TOMS 11(1), 1985): memory is
    bounded by ``capacity`` however many values come. Any thread may add.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._values: list[float] = []
        self._seen = 0
        # A sample for a display, not a secret; seeded so that runs can be compared.
        self._random = random.Random(0)  # noqa: S311

    def add(self, value: float) -> None:
        """Add one value."""
        with self._lock:
            self._seen += 1
            if len(self._values) < self._capacity:
                self._values.append(value)
                return
            place = self._random.randrange(self._seen)
            if place < self._capacity:
                self._values[place] = value

    def drain(self) -> tuple[int, Percentiles | None]:
        """How many values were added since the last call, and their percentiles; starts anew."""
        with self._lock:
            values, self._values = self._values, []
            seen, self._seen = self._seen, 0
        return self._account(seen, values)

    def look(self) -> tuple[int, Percentiles | None]:
        """What :meth:`drain` would return; changes nothing."""
        with self._lock:
            values, seen = list(self._values), self._seen
        return self._account(seen, values)

    @staticmethod
    def _account(seen: int, values: list[float]) -> tuple[int, Percentiles | None]:
        if not values:
            return seen, None
        p50, p95, p99 = (float(v) for v in np.percentile(values, (50, 95, 99)))
        return seen, Percentiles(p50, p95, p99)
