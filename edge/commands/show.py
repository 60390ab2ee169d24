"""What a demo shows: the contract between `linesight demo` and a station's kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from edge.config import Config
from edge.demo.fleet import Fleet
from edge.pipeline import Pipeline
from edge.protocols import Encoder, Source
from edge.sinks.mqtt_settings import MqttSettings

NODE, ROOT = "demo", "linesight"

LIVE_S = 20.0
"""How long a source without an end is watched, unless --seconds says."""


class Show(Protocol):
    """One demo, from its source to its summary.

    Attributes
    ----------
    fps
        Frames a second of the video.
    picture
        What is looked at when no source is named.
    seconds
        After how long it ends unless --seconds says; None: with its source.
    sources, encoder
        In place of those that the configuration names; None: the configuration's own.
    """

    fps: float
    picture: str
    seconds: float | None
    sources: Sequence[Source] | None
    encoder: Encoder | None

    def config(self, state_dir: Path, broker: MqttSettings) -> Config:
        """The station's configuration."""

    def begin(self, station: Pipeline) -> None:
        """The station is about to start."""

    def tick(self, station: Pipeline) -> None:
        """The station works; called several times a second."""

    def finish(self, station: Pipeline) -> None:
        """Time is up; called at most once, before the station is stopped."""

    def keep(self, state_dir: Path, out: Path) -> None:
        """Keep what the station has left; its state directory is deleted afterwards."""

    def results(self, fleet: Fleet, out: Path) -> dict[str, Any]:
        """What the summary says beside frames, alerts and times: JSON values."""

    def lines(self, report: dict[str, Any]) -> list[str]:
        """The same for people."""

    def failure(self, report: dict[str, Any]) -> str | None:
        """Why it did not show what it should; None when it did."""
