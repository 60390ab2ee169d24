"""What a pipeline is put together from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.mailbox import Policy
from edge.protocols import Rule, Source, Tracker


@dataclass(frozen=True, slots=True)
class Camera:
    """What belongs to one camera.

    ``max_age_ms`` is the age at which a frame of a live source is no longer judged; None judges
    every frame.
    """

    id: str
    source: Source
    policy: Policy
    tracker: Tracker
    rule: Rule
    max_age_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What the retained ``info`` message says of the station, beside its models."""

    versions: Mapping[str, str]
    hardware: Mapping[str, str | int]
