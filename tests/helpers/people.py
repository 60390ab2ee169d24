"""Plays people with scores to a rule, without a tracker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from edge.protocols import Rule
from edge.records import Alert, Box, Track
from tests.helpers.observations import Face, observed

SIDE = 40.0

People = Mapping[int, float | None]
"""Track id → score of ``without_mask``; None when the person is missing in this frame."""


def counter() -> Callable[[], str]:
    """Ids as the outbox's epoch and counter make them."""
    numbers = count(1)
    return lambda: f"{'0' * 16}-{next(numbers)}"


def play(
    rule: Rule,
    frames: Sequence[People],
    *,
    fps: float = 10.0,
    start: int = 0,
    place: Mapping[int, float] | None = None,
) -> list[list[Alert]]:
    """What the rule says to each frame; person k stands at x = 100 k, or where ``place`` says."""
    said = []
    for sequence, people in enumerate(frames, start=start):
        faces: list[Face] = []
        tracks: list[Track] = []
        for track_id, score in sorted(people.items()):
            x = (place or {}).get(track_id, 100.0 * track_id)
            box = Box(x, 100.0, SIDE, SIDE)
            if score is None:
                tracks.append(Track(track_id, box, None, 1))
            else:
                tracks.append(Track(track_id, box, len(faces)))
                faces.append((x, 100.0, SIDE, SIDE, score))
        said.append(list(rule.update(observed(sequence, sequence / fps, faces), tracks)))
    return said


def flat(said: Sequence[Sequence[Alert]]) -> list[Alert]:
    """All alerts in order."""
    return [alert for alerts in said for alert in alerts]


def phases(said: Sequence[Sequence[Alert]]) -> list[tuple[int, str]]:
    """Frame and phase of each alert."""
    return [(frame, alert.phase) for frame, alerts in enumerate(said) for alert in alerts]
