"""Counters of the whole service, and the ``Status`` that is made from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from edge.health.camera import CameraHealth
from edge.health.line import LineHealth
from edge.health.links import BrokerHealth, OutboxHealth
from edge.health.machine import clock_synced, rss_mb
from edge.health.reservoir import Reservoir
from edge.records import Percentiles, Reason, Status

CLOCK_S = 1.0
"""Between two questions whether the clock is synchronised."""


class Health:
    """What every thread counts and the main thread reads.

    Parameters
    ----------
    cameras
        The cameras' ids.
    max_rows, max_bytes
        The outbox's bounds.
    is_clock_synced
        Whether the wall clock is right now.
    """

    def __init__(
        self,
        cameras: Iterable[str],
        *,
        max_rows: int = 100_000,
        max_bytes: int = 64 << 20,
        is_clock_synced: Callable[[], bool] = clock_synced,
    ) -> None:
        self.cameras = {camera: CameraHealth(camera) for camera in cameras}
        self.broker = BrokerHealth()
        self.outbox = OutboxHealth(max_rows, max_bytes)
        self.line = LineHealth()
        self.infer_ms = Reservoir()
        self._is_clock_synced = is_clock_synced
        self._clock = (0.0, False)
        self._since = time.monotonic()
        self._cpu = time.process_time()

    @property
    def clock_synced(self) -> bool:
        """Whether the wall clock is right; asked of the system every ``CLOCK_S`` at most."""
        until, synced = self._clock
        now = time.monotonic()
        if now >= until:
            synced = self._is_clock_synced()
            self._clock = (now + CLOCK_S, synced)
        return synced

    def reasons(self) -> tuple[Reason, ...]:
        """Everything that is not well now; cheap, resets nothing."""
        found = [reason for camera in self.cameras.values() for reason in camera.reasons()]
        found += self.broker.reasons() + self.outbox.reasons() + self.line.reasons()
        if not self.clock_synced:
            found.append(Reason("clock_unsynced", "no time source has set the clock since boot"))
        return tuple(found)

    def status(self, *, anew: bool = True) -> Status:
        """The whole status; rates and percentiles of the interval, which begins ``anew`` or goes
        on: a status out of turn must not cut it short for those that have nothing to do with it.

        ``fault`` means that alerts are being lost, ``degraded`` that anything else is not well.
        """
        now, cpu = time.monotonic(), time.process_time()
        interval, used = now - self._since, cpu - self._cpu
        if anew:
            self._since, self._cpu = now, cpu
        reasons = self.reasons()
        return Status(
            state="fault" if self.outbox.losing else "degraded" if reasons else "ok",
            reasons=reasons,
            cameras={
                name: camera.status(interval, anew=anew) for name, camera in self.cameras.items()
            },
            mqtt=self.broker.status(),
            outbox=self.outbox.status(self.broker.duplicates_possible),
            cpu=used / interval if interval > 0 else 0.0,
            rss_mb=rss_mb(),
            infer_ms=_percentiles(self.infer_ms, anew=anew),
            puback_ms=_percentiles(self.broker.puback_ms, anew=anew),
            line=self.line.status(),
        )


def _percentiles(reservoir: Reservoir, *, anew: bool) -> Percentiles | None:
    return (reservoir.drain() if anew else reservoir.look())[1]
