"""A person without a mask: threshold, N of M frames, hysteresis, hold-off."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice

from edge.errors import ConfigError
from edge.records import (
    Alert,
    Box,
    Detections,
    Header,
    HitCount,
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


@dataclass(slots=True)
class _Person:
    """What the rule remembers of a track.

    ``window`` holds sequence number and score of the last judged frames, ``since`` counts judged
    frames since the last change of phase, ``beside`` is the newest track when it was last seen.
    """

    track: Track
    window: deque[tuple[int, float]]
    since: int = 0
    peak: float = 0.0
    beside: int = 0
    rested_until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a person with an alert was last seen, and the newest track of that moment."""

    box: Box
    beside: int
    until_ns: int = 0

    def may_be(self, track: Track) -> bool:
        """Whether the track may be the same person: it came later, and it came here."""
        reach = max(self.box.width, self.box.height, track.box.width, track.box.height)
        dx = self.box.x + self.box.width / 2 - track.box.x - track.box.width / 2
        dy = self.box.y + self.box.height / 2 - track.box.y - track.box.height / 2
        return track.id > self.beside and math.hypot(dx, dy) <= reach


class MaskRule:
    """An alert for each person whose ``label`` score stays high; one at a time for a person.

    A judged frame is one in which the person was seen. It is a *hit* when the score is at least
    ``raise_at`` and *clear* when it is below ``clear_at``; between the two it is neither, which
    is the hysteresis.

    - new: ``hits`` of the person's last ``of`` judged frames are hits.
    - update: the peak rose by ``PEAK_STEP`` since the last revision, which is ``UPDATE_NS`` old.
    - end: ``hits`` of the last ``of`` judged frames are clear, or the tracker gave the person up,
      or the camera stops.

    Counting starts afresh at each change: frames that raised an alert do not count towards its
    end, nor those that ended it towards the next.

    After an end there is no new alert for ``holdoff_s`` for the same track, nor, because a lost
    person comes back as a new track, for a later track near the place where the person was last
    seen: centres no further apart than the longest side of both boxes. The place of an open alert
    whose person is missing just now holds off likewise. A track that was already there beside the
    person is somebody else and is not held off. Frames count during the hold-off, so that an
    alert comes late and is not lost.

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
    label, task, severity
        The classifier's label that is judged, and what the alerts say of themselves.

    Raises
    ------
    ConfigError
        A parameter is out of its range.
    """

    def __init__(
        self,
        new_id: NewId,
        *,
        raise_at: float = 0.6,
        clear_at: float = 0.4,
        hits: int = 5,
        of: int = 8,
        holdoff_s: float = 10.0,
        label: str = "without_mask",
        task: str = "face_mask",
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
        self._label, self._task, self._severity = label, task, severity
        self._people: dict[int, _Person] = {}
        self._open: dict[int, Alert] = {}
        self._places: list[_Place] = []
        self._newest_track = 0
        self._last: Observation | None = None

    def update(self, observation: Observation, tracks: Sequence[Track]) -> tuple[Alert, ...]:
        """The revisions that this observation causes, oldest alert first.

        Raises
        ------
        TypeError
            The result is not ``Detections`` with classifications.
        """
        self._adopt_size(observation.header)
        self._last = observation
        now_ns = observation.header.captured_ns
        self._places = [place for place in self._places if now_ns < place.until_ns]
        scores = self._scores(observation)
        self._newest_track = max((track.id for track in tracks), default=self._newest_track)
        for track in tracks:
            person = self._people.get(track.id)
            if person is None:
                person = self._people[track.id] = _Person(track, deque(maxlen=self._of))
            person.track = track
            if track.index is not None:
                score = scores[track.index]
                person.window.append((observation.header.sequence, score))
                person.since += 1
                person.peak = max(person.peak, score)
                person.beside = self._newest_track
        revisions = self._go_on(observation, {track.id for track in tracks})
        return (*revisions, *self._begin(observation))

    def finish(self) -> tuple[Alert, ...]:
        """End every open alert, oldest first, as of the last observation."""
        return () if self._last is None else tuple(self._go_on(self._last, frozenset()))

    def _adopt_size(self, header: Header) -> None:
        """Carry over where people were when the camera changes its resolution."""
        last = self._last.header if self._last is not None else header
        if (last.width, last.height) == (header.width, header.height):
            return
        across, down = header.width / last.width, header.height / last.height
        self._places = [replace(one, box=one.box.scaled(across, down)) for one in self._places]
        for person in self._people.values():
            person.track = replace(person.track, box=person.track.box.scaled(across, down))

    def _scores(self, observation: Observation) -> list[float]:
        result = observation.result
        if not isinstance(result, Detections) or len(result.classifications) != len(result):
            raise TypeError("MaskRule judges Detections with a classification of each box")
        return [one.score_of(self._label) for one in result.classifications]

    def _go_on(self, observation: Observation, live: Set[int]) -> list[Alert]:
        """Updates and ends of open alerts; people who are not ``live`` are then forgotten."""
        now_ns = observation.header.captured_ns
        revisions: list[Alert] = []
        for track_id, alert in list(self._open.items()):
            person = self._people[track_id]
            clear = sum(score < self._clear_at for score in _counted(person))
            if track_id not in live or clear >= self._hits:
                revisions.append(self._revision(alert, "end", person, observation))
                del self._open[track_id]
                until_ns = now_ns + self._holdoff_ns
                person.since, person.rested_until_ns = 0, until_ns
                self._places.append(_Place(person.track.box, person.beside, until_ns))
            elif (
                person.peak - alert.peak >= PEAK_STEP
                and now_ns - alert.header.captured_ns >= UPDATE_NS
            ):
                self._open[track_id] = self._revision(alert, "update", person, observation)
                revisions.append(self._open[track_id])
        self._people = {key: one for key, one in self._people.items() if key in live}
        return revisions

    def _begin(self, observation: Observation) -> list[Alert]:
        """New alerts, in the order of their tracks."""
        missing = [
            _Place(person.track.box, person.beside)
            for person in (self._people[track_id] for track_id in self._open)
            if person.track.index is None
        ]
        news: list[Alert] = []
        for track_id, person in sorted(self._people.items()):
            if track_id in self._open or person.track.index is None:
                continue
            if sum(score >= self._raise_at for score in _counted(person)) < self._hits:
                continue
            now_ns = observation.header.captured_ns
            rests = person.rested_until_ns is not None and now_ns < person.rested_until_ns
            if rests or any(place.may_be(person.track) for place in (*self._places, *missing)):
                continue
            person.peak = max(_counted(person))
            person.since = 0
            draft = Alert(
                id=self._new_id(),
                rev=1,
                phase="new",
                task=self._task,
                severity=self._severity,
                label=self._label,
                score=person.peak,
                peak=person.peak,
                header=observation.header,
                model=observation.model,
                timings=observation.timings,
                track=track_id,
            )
            self._open[track_id] = self._revision(draft, "new", person, observation)
            news.append(self._open[track_id])
        return news

    def _revision(
        self, alert: Alert, phase: Phase, person: _Person, observation: Observation
    ) -> Alert:
        """The alert as it is now; everything but a new one counts its revision up."""
        hits = sum(score >= self._raise_at for _, score in person.window)
        return replace(
            alert,
            rev=alert.rev + (phase != "new"),
            phase=phase,
            score=person.window[-1][1],
            peak=max(alert.peak, person.peak),
            header=observation.header,
            model=observation.model,
            timings=observation.timings,
            frames=HitCount(hits, len(person.window), person.window[0][0], person.window[-1][0]),
            box=person.track.box,
        )


def _counted(person: _Person) -> list[float]:
    """Scores of the judged frames that count: the last ones, back to the last change of phase."""
    ignored = len(person.window) - person.since
    return [score for _, score in islice(person.window, max(ignored, 0), None)]
