"""What is seen often enough: threshold, N of M frames, hysteresis, hold-off."""

from __future__ import annotations

import abc
import math
from collections import deque
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar

from edge.errors import ConfigError
from edge.records import (
    Alert,
    Box,
    Header,
    HitCount,
    Measure,
    Observation,
    Phase,
    Severity,
    Track,
)

NewId = Callable[[], str]
"""Makes the id of an alert; never gives the same twice."""

PEAK_STEP = 0.05
"""An open alert is sent again when its peak has risen by this much since it was last sent."""

UPDATE_NS = 1_000_000_000
"""Least time between a revision of an open alert and the next update."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a rule looks at in one row of a result: label, score, and what was measured of it."""

    label: str
    score: float
    measures: tuple[Measure, ...] = ()


@dataclass(slots=True)
class _Subject:
    """What the rule remembers of a track: a person, a defect.

    ``judged`` is its last row, ``window`` holds sequence number and score of the last judged
    frames, ``since`` counts judged frames since the last change of phase, ``beside`` is the newest
    track when it was last seen.
    """

    track: Track
    judged: Judged
    window: deque[tuple[int, float]]
    since: int = 0
    peak: float = 0.0
    beside: int = 0
    rested_until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a subject with an alert was last seen, and the newest track of that moment."""

    box: Box
    beside: int
    until_ns: int = 0

    def may_be(self, track: Track) -> bool:
        """Whether the track may be the same subject: it came later, and it came here."""
        reach = max(self.box.width, self.box.height, track.box.width, track.box.height)
        dx = self.box.x + self.box.width / 2 - track.box.x - track.box.width / 2
        dy = self.box.y + self.box.height / 2 - track.box.y - track.box.height / 2
        return track.id > self.beside and math.hypot(dx, dy) <= reach


class ThresholdRule(abc.ABC):
    """An alert for each subject, a person or a defect, whose score stays high; one at a time.

    What is looked at in a result says :meth:`_read`. A judged frame is one in which the subject
    was seen. It is a *hit* when the score is at least ``raise_at`` and *clear* when it is below
    ``clear_at``; between the two it is neither, which is the hysteresis.

    - new: ``hits`` of the subject's last ``of`` judged frames are hits.
    - update: the peak rose by ``PEAK_STEP`` since the last revision, which is ``UPDATE_NS`` old.
    - end: ``hits`` of the last ``of`` judged frames are clear, or the tracker gave the subject up,
      or the camera stops.

    Counting starts afresh at each change: frames that raised an alert do not count towards its
    end, nor those that ended it towards the next.

    After an end there is no new alert for ``holdoff_s`` for the same track, nor, because a lost
    person comes back as a new track, for a later track near the place where the subject was last
    seen: centres no further apart than the longest side of both boxes. The place of an open alert
    whose subject is missing just now holds off likewise. A track that was already there beside the
    subject is another and is not held off. Frames count during the hold-off, so that an alert comes
    late and is not lost. With ``holdoff_s`` 0 an ended alert holds nothing off.

    Parameters
    ----------
    new_id
        Gives each alert its id.
    raise_at, clear_at
        Scores, ``0 <= clear_at <= raise_at <= 1``.
    hits, of
        Frames, ``1 <= hits <= of``.
    holdoff_s
        Seconds of frame time.
    severity
        Of the alerts.

    Attributes
    ----------
    task
        What the alerts say that they come from; each rule has its own.

    Raises
    ------
    ConfigError
        A parameter is out of its range.
    """

    task: ClassVar[str]

    def __init__(
        self,
        new_id: NewId,
        *,
        raise_at: float = 0.6,
        clear_at: float = 0.4,
        hits: int = 1,
        of: int = 1,
        holdoff_s: float = 0.0,
        severity: Severity = "warning",
    ) -> None:
        if not 0 <= clear_at <= raise_at <= 1:
            raise ConfigError("rule.clear_at: needs 0 <= clear_at <= raise_at <= 1")
        if not 1 <= hits <= of:
            raise ConfigError("rule.hits: needs 1 <= hits <= of")
        if not 0 <= holdoff_s < math.inf:
            raise ConfigError("rule.holdoff_s: must be a number of seconds, 0 or more")
        self._new_id = new_id
        self._raise_at, self._clear_at = raise_at, clear_at
        self._hits, self._of = hits, of
        self._holdoff_ns = round(holdoff_s * 1e9)
        self._severity = severity
        self._subjects: dict[int, _Subject] = {}
        self._open: dict[int, Alert] = {}
        self._places: list[_Place] = []
        self._newest_track = 0
        self._last: Observation | None = None

    def update(self, observation: Observation, tracks: Sequence[Track]) -> tuple[Alert, ...]:
        """The revisions that this observation causes, oldest alert first.

        Raises
        ------
        TypeError
            The rule does not judge such a result.
        """
        self._adopt_size(observation.header)
        self._last = observation
        now_ns = observation.header.captured_ns
        self._places = [place for place in self._places if now_ns < place.until_ns]
        rows = self._read(observation)
        self._newest_track = max((track.id for track in tracks), default=self._newest_track)
        for track in tracks:
            if track.index is None:
                if (known := self._subjects.get(track.id)) is not None:
                    known.track = track
                continue
            judged = rows[track.index]
            subject = self._subjects.get(track.id)
            if subject is None:
                window: deque[tuple[int, float]] = deque(maxlen=self._of)
                subject = self._subjects[track.id] = _Subject(track, judged, window)
            subject.track, subject.judged = track, judged
            score = judged.score
            subject.window.append((observation.header.sequence, score))
            subject.since += 1
            subject.peak = max(subject.peak, score)
            subject.beside = self._newest_track
        revisions = self._go_on(observation, {track.id for track in tracks})
        return (*revisions, *self._begin(observation))

    def finish(self) -> tuple[Alert, ...]:
        """End every open alert, oldest first, as of the last observation."""
        return () if self._last is None else tuple(self._go_on(self._last, frozenset()))

    def _adopt_size(self, header: Header) -> None:
        """Carry over where subjects were when the camera changes its resolution."""
        last = self._last.header if self._last is not None else header
        if (last.width, last.height) == (header.width, header.height):
            return
        across, down = header.width / last.width, header.height / last.height
        self._places = [replace(one, box=one.box.scaled(across, down)) for one in self._places]
        for subject in self._subjects.values():
            subject.track = replace(subject.track, box=subject.track.box.scaled(across, down))

    @abc.abstractmethod
    def _read(self, observation: Observation) -> Sequence[Judged]:
        """What is judged in each row of the result, in the order that tracks count.

        Raises
        ------
        TypeError
            The rule does not judge such a result.
        """

    def _go_on(self, observation: Observation, live: Set[int]) -> list[Alert]:
        """Updates and ends of open alerts; subjects who are not ``live`` are then forgotten."""
        now_ns = observation.header.captured_ns
        revisions: list[Alert] = []
        for track_id, alert in list(self._open.items()):
            subject = self._subjects[track_id]
            clear = sum(score < self._clear_at for score in _counted(subject))
            if track_id not in live or clear >= self._hits:
                revisions.append(self._revision(alert, "end", subject, observation))
                del self._open[track_id]
                until_ns = now_ns + self._holdoff_ns
                subject.since, subject.rested_until_ns = 0, until_ns
                if self._holdoff_ns:
                    self._places.append(_Place(subject.track.box, subject.beside, until_ns))
            elif (
                subject.peak - alert.peak >= PEAK_STEP
                and now_ns - alert.header.captured_ns >= UPDATE_NS
            ):
                self._open[track_id] = self._revision(alert, "update", subject, observation)
                revisions.append(self._open[track_id])
        self._subjects = {key: one for key, one in self._subjects.items() if key in live}
        return revisions

    def _begin(self, observation: Observation) -> list[Alert]:
        """New alerts, in the order of their tracks."""
        missing = [
            _Place(subject.track.box, subject.beside)
            for subject in (self._subjects[track_id] for track_id in self._open)
            if subject.track.index is None
        ]
        news: list[Alert] = []
        for track_id, subject in sorted(self._subjects.items()):
            if track_id in self._open or subject.track.index is None:
                continue
            if sum(score >= self._raise_at for score in _counted(subject)) < self._hits:
                continue
            now_ns = observation.header.captured_ns
            rests = subject.rested_until_ns is not None and now_ns < subject.rested_until_ns
            if rests or any(place.may_be(subject.track) for place in (*self._places, *missing)):
                continue
            subject.peak = max(_counted(subject))
            subject.since = 0
            draft = Alert(
                id=self._new_id(),
                rev=1,
                phase="new",
                task=self.task,
                severity=self._severity,
                label=subject.judged.label,
                score=subject.peak,
                peak=subject.peak,
                header=observation.header,
                model=observation.model,
                timings=observation.timings,
                track=track_id,
            )
            self._open[track_id] = self._revision(draft, "new", subject, observation)
            news.append(self._open[track_id])
        return news

    def _revision(
        self, alert: Alert, phase: Phase, subject: _Subject, observation: Observation
    ) -> Alert:
        """The alert as it is now; everything but a new one counts its revision up."""
        hits = sum(score >= self._raise_at for _, score in subject.window)
        return replace(
            alert,
            rev=alert.rev + (phase != "new"),
            phase=phase,
            score=subject.window[-1][1],
            peak=max(alert.peak, subject.peak),
            header=observation.header,
            model=observation.model,
            timings=observation.timings,
            frames=HitCount(hits, len(subject.window), subject.window[0][0], subject.window[-1][0]),
            box=subject.track.box,
            measures=subject.judged.measures,
        )


def _counted(subject: _Subject) -> list[float]:
    """Scores of the judged frames that count: the last ones, back to the last change of phase."""
    ignored = len(subject.window) - subject.since
    return [score for _, score in islice(subject.window, max(ignored, 0), None)]
