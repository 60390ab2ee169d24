"""`linesight demo --station face_mask`: a portrait that puts its mask on and off."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

from edge.commands.show import LIVE_S, NODE, ROOT
from edge.config import Config, build
from edge.demo import scene
from edge.demo.fleet import Fleet
from edge.errors import ExtraAbsent
from edge.pipeline import Pipeline
from edge.protocols import Encoder, Source
from edge.sinks.mqtt_settings import MqttSettings
from edge.sources import open_source
from edge.sources.uri import scheme_of

CAMERA = "cam1"
SCENE_S = 18.0
VIDEO_FPS = 25.0


class FaceShow:
    """See :class:`edge.commands.show.Show`.

    Parameters
    ----------
    source
        A URI; None: the portrait, drawn into a clip in ``folder``.
    seconds
        Of the clip.
    folder
        Holds the clip.
    out
        Where it says what is shown.

    Raises
    ------
    SourceError
        The source cannot be opened, or the clip not be written.
    ExtraAbsent
        The portrait is not installed.
    """

    picture = "the portrait"
    sources: Sequence[Source] | None = None
    encoder: Encoder | None = None

    def __init__(
        self, source: str | None, seconds: float | None, folder: Path, out: TextIO
    ) -> None:
        self.fps = VIDEO_FPS
        self.seconds: float | None = None
        self._portrait = source is None
        if source is not None:
            # Once before the station does: it would try again and again, and say why in its log
            # only.
            with closing(open_source(source, camera=CAMERA)) as opened:
                opened.open()
            endless = scheme_of(source, CAMERA) != "file"
            self.seconds = LIVE_S if endless else None
            self._source = source
            return
        seconds = seconds or SCENE_S
        out.write(f"picture: {scene.CAPTION}, {seconds:g} s\n")
        out.flush()
        clip = folder / "scene.avi"
        try:
            scene.write_clip(clip, seconds)
        except ExtraAbsent as error:
            raise ExtraAbsent(
                error.message, hint=f"{error.hint}, or name a picture with --source"
            ) from error
        self.fps = float(scene.FPS)
        self._source = clip.as_uri()

    def config(self, state_dir: Path, broker: MqttSettings) -> Config:
        """The station's."""
        tables: dict[str, Any] = {
            "station": {
                "node": NODE,
                "root": ROOT,
                "task": "face_mask",
                "state_dir": str(state_dir),
            },
            "camera": [{"id": CAMERA, "source": self._source}],
            "mqtt": {"host": broker.host, "port": broker.port, "protocol": broker.protocol},
        }
        return build(tables, origin="demo")

    def begin(self, station: Pipeline) -> None:
        """Nothing to do."""

    def tick(self, station: Pipeline) -> None:
        """Nothing to do."""

    def finish(self, station: Pipeline) -> None:
        """Nothing to do."""

    def keep(self, state_dir: Path, out: Path) -> None:
        """Nothing is kept but what the recorder wrote."""

    def results(self, fleet: Fleet, out: Path) -> dict[str, Any]:
        """Nothing further."""
        return {}

    def lines(self, report: dict[str, Any]) -> list[str]:
        """What the files hold."""
        return [
            "privacy        these two files hold what the camera saw; nothing else was kept, "
            "and nothing left this machine"
        ]

    def failure(self, report: dict[str, Any]) -> str | None:
        """With the portrait an alert must open and close."""
        if self._portrait and not (report["alerts_opened"] and report["alerts_closed"]):
            return "no alert was opened and closed"
        return None
