"""What the publish and the outbox thread report about the way to the broker."""

from __future__ import annotations

import threading
import time

from edge.health.reservoir import Reservoir
from edge.records import MqttStatus, OutboxStatus, Reason, ReasonCode

HIGH_WATER = 0.8
"""Share of the outbox's bound from which it is a reason."""

LOSING_S = 60.0
"""So long after the last loss alerts count as being lost: longer than between two health messages,
so that one of them says so, however seldom alerts come."""


DAMAGE_S = 24 * 3600.0
"""How long the health tells of an outbox that was damaged: somebody has to look at the disk."""


class BrokerHealth:
    """The connection to the broker, as the publish thread sees it; read by any thread."""

    def __init__(self) -> None:
        self.puback_ms = Reservoir()
        self._lock = threading.Lock()
        self._connected = False
        self._connects = 0
        self._absence: Reason | None = None
        self._inflight = 0
        self._refused: dict[str, str] = {}
        self._duplicates = 0

    @property
    def is_connected(self) -> bool:
        """Whether the broker has taken us."""
        return self._connected

    @property
    def duplicates_possible(self) -> int:
        """Messages that may arrive twice: sent, not acknowledged, and sent again."""
        return self._duplicates

    def connected(self) -> None:
        """The broker took us."""
        with self._lock:
            self._connected, self._absence = True, None
            self._connects += 1

    def disconnected(
        self, reason: str, unacknowledged: int, code: ReasonCode = "broker_unreachable"
    ) -> None:
        """There is no connection, why, and how many messages were sent and not acknowledged."""
        with self._lock:
            self._connected, self._absence, self._inflight = False, Reason(code, reason), 0
            self._duplicates += unacknowledged

    def inflight(self, count: int) -> None:
        """So many messages wait for their acknowledgement."""
        self._inflight = count

    def refused(self, topic: str, detail: str) -> None:
        """The broker does not take messages on this topic."""
        with self._lock:
            self._refused[topic] = detail

    def allowed(self, topic: str) -> None:
        """The broker took a message on this topic."""
        if self._refused:
            with self._lock:
                self._refused.pop(topic, None)

    def status(self) -> MqttStatus:
        """The connection's part of the status."""
        with self._lock:
            return MqttStatus(self._connected, max(0, self._connects - 1), self._inflight)

    def reasons(self) -> list[Reason]:
        """Why the way to the broker is not well."""
        with self._lock:
            found = [Reason("not_authorized", f"{t}: {d}") for t, d in self._refused.items()]
            if self._absence is not None:
                found.append(self._absence)
        return found


class OutboxHealth:
    """The outbox, as its thread sees it; read by any thread."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._lock = threading.Lock()
        self._status = OutboxStatus(0, 0, 0.0, 0, 0, 0, 0)
        self._failing: str | None = None
        self._lost = 0
        self._evicted: int | None = None  # None until the database was counted the first time
        self._losing: Reason | None = None
        self._losing_until = 0.0
        self._damage: Reason | None = None
        self._damage_until = 0.0

    @property
    def lost(self) -> int:
        """Messages that were lost because the disk was away for longer than memory lasts."""
        return self._lost

    def counted(self, status: OutboxStatus) -> None:
        """The outbox's own counters; it works."""
        with self._lock:
            if self._evicted is not None and status.dropped_oldest > self._evicted:
                self._lose("outbox_high", "it was full: the oldest alerts gave way")
            self._evicted = status.dropped_oldest
            self._status, self._failing = status, None

    def failing(self, detail: str) -> None:
        """The outbox cannot be written; messages wait in memory."""
        with self._lock:
            self._failing = detail

    def damaged(self, detail: str) -> None:
        """The outbox's file was damaged, and another took its place."""
        with self._lock:
            self._damage = Reason("disk_corrupt", detail)
            self._damage_until = time.monotonic() + DAMAGE_S

    def lose(self, count: int = 1) -> None:
        """So many messages gave way in memory to newer ones."""
        with self._lock:
            self._lost += count
            self._lose("disk_full", "the disk failed too long for memory: alerts were lost")

    @property
    def losing(self) -> bool:
        """Whether messages are being lost, now or in the last minute."""
        return self._losing is not None and time.monotonic() < self._losing_until

    def _lose(self, code: ReasonCode, detail: str) -> None:
        self._losing = Reason(code, detail)
        self._losing_until = time.monotonic() + LOSING_S

    def status(self, duplicates_possible: int) -> OutboxStatus:
        """The outbox's part of the status."""
        with self._lock:
            s = self._status
            return OutboxStatus(
                rows=s.rows,
                bytes=s.bytes,
                oldest_s=s.oldest_s,
                dropped_oldest=s.dropped_oldest + self._lost,
                dead=s.dead,
                no_subscriber=s.no_subscriber,
                duplicates_possible=duplicates_possible,
            )

    def reasons(self) -> list[Reason]:
        """Why the outbox is not well."""
        found = []
        with self._lock:
            if self._failing is not None:
                lost = f"; {self._lost} messages lost" if self._lost else ""
                found.append(Reason("disk_full", f"{self._failing}{lost}"))
            rows, size = self._status.rows, self._status.bytes
            if rows > HIGH_WATER * self._max_rows or size > HIGH_WATER * self._max_bytes:
                found.append(Reason("outbox_high", f"over {HIGH_WATER:.0%} of the outbox is used"))
            if self._damage is not None and time.monotonic() < self._damage_until:
                found.append(self._damage)
            losing = self._losing if self.losing else None
            if losing is not None and losing.code not in [reason.code for reason in found]:
                found.append(losing)
        return found
