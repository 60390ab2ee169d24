"""The rate limit in front of the outbox: a token bucket, and one summary of what it held back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from edge.errors import ConfigError
from edge.protocols import Rule
from edge.records import Alert, HeldBack, Observation, Track
from edge.rules.threshold import NewId


class TokenBucket:
    """Lets ``burst`` through at once and ``rate_per_s`` in the long run; the caller gives the time.

    Kept as the moment by which the bucket is full again, in whole nanoseconds (the generic cell
    rate algorithm, ITU-T I.371), so that nothing is lost to rounding from frame to frame.

    Raises
    ------
    ConfigError
        The rate is not above 0, or the burst below 1.
    """

    def __init__(self, *, rate_per_s: float, burst: int) -> None:
        if not 0 < rate_per_s < math.inf:
            raise ConfigError("outbox.rate_per_s: must be a number above 0")
        if burst < 1:
            raise ConfigError("outbox.burst: must be at least 1")
        self._token_ns = round(1e9 / rate_per_s)
        self._spare_ns = (burst - 1) * self._token_ns
        self._full_ns: int | None = None

    def take(self, now_ns: int) -> bool:
        """Take a token if there is one. The bucket is full at first."""
        full_ns = now_ns if self._full_ns is None else max(self._full_ns, now_ns)
        if full_ns - now_ns > self._spare_ns:
            return False
        self._full_ns = full_ns + self._token_ns
        return True


@dataclass(frozen=True, slots=True)
class _Held:
    """New alerts that were held back since the last summary; ``last`` is the latest of them."""

    count: int
    since: datetime
    peak: float
    last: Alert


class RateLimited:
    """A rule whose new alerts pass a token bucket.

    An alert whose ``new`` was held back sends no ``update`` and no ``end``. As soon as the bucket
    has a token again it is spent on one summary that counts what was held back. ``finish`` sends
    the summary that is due without a token, since a count that nobody hears of would be a loss.

    Parameters
    ----------
    rule
        The rule that is limited.
    new_id
        Gives each summary its id.
    rate_per_s, burst
        Of the bucket; new alerts and summaries take a token, what follows a ``new`` does not.
    """

    def __init__(self, rule: Rule, new_id: NewId, *, rate_per_s: float, burst: int) -> None:
        self._rule = rule
        self._new_id = new_id
        self._bucket = TokenBucket(rate_per_s=rate_per_s, burst=burst)
        self._silent: set[str] = set()
        self._held: _Held | None = None
        self._last: Observation | None = None

    def update(self, observation: Observation, tracks: Sequence[Track]) -> tuple[Alert, ...]:
        """What the rule says less what the limit holds back; a summary that is due comes first."""
        self._last = observation
        now_ns = observation.header.captured_ns
        summary = self._held is not None and self._bucket.take(now_ns)
        due = self._summary(observation) if summary else ()
        revisions = self._rule.update(observation, tracks)
        return (*due, *(one for one in revisions if self._passes(one, now_ns)))

    def finish(self) -> tuple[Alert, ...]:
        """End the rule's open alerts; a summary that is due comes first."""
        if self._last is None:
            return ()
        due = self._summary(self._last)
        now_ns = self._last.header.captured_ns
        return (*due, *(one for one in self._rule.finish() if self._passes(one, now_ns)))

    def _passes(self, alert: Alert, now_ns: int) -> bool:
        if alert.phase == "new" and not self._bucket.take(now_ns):
            self._silent.add(alert.id)
            before = self._held or _Held(0, alert.header.captured_at, 0.0, alert)
            peak = max(before.peak, alert.peak)
            self._held = _Held(before.count + 1, before.since, peak, alert)
        if alert.id not in self._silent:
            return True
        if alert.phase == "end":
            self._silent.discard(alert.id)
        return False

    def _summary(self, observation: Observation) -> tuple[Alert, ...]:
        """One alert for all that were held back, none when there were none."""
        held, self._held = self._held, None
        if held is None:
            return ()
        return (
            replace(
                held.last,
                id=self._new_id(),
                rev=1,
                phase="end",
                peak=held.peak,
                header=observation.header,
                model=observation.model,
                timings=observation.timings,
                frames=None,
                box=None,
                track=None,
                measures=(),
                summary=HeldBack(held.count, held.since, held.last.header.captured_at),
            ),
        )
