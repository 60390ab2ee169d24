"""What one transaction does to the outbox's counters, kept apart until it has been committed."""

from __future__ import annotations

from collections.abc import Callable


class Change:
    """Counters by key, as they will be, and by how much rows and bytes differ.

    Parameters
    ----------
    get
        The value in force of a key, or the default given.
    """

    def __init__(self, get: Callable[[str, int], int]) -> None:
        self._get = get
        self.values: dict[str, int] = {}
        self.rows = 0
        self.bytes = 0

    def add(self, key: str, more: int) -> int:
        """Raise a counter; returns its new value."""
        self.values[key] = self.values.get(key, self._get(key, 0)) + more
        return self.values[key]

    def set(self, key: str, value: int) -> None:
        """Give a counter a value."""
        self.values[key] = value
