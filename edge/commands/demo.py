"""``linesight demo``: the real station at work, with a broker and a picture of its own."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

from edge import app
from edge.commands.first_choice import settle
from edge.commands.options import (
    add_json,
    add_models,
    check_report,
    positive,
    quiet_service,
    text_stream,
    write_json,
)
from edge.commands.targets import bundles_of
from edge.config import Config, build
from edge.demo import scene
from edge.demo.broker import EmbeddedBroker
from edge.demo.fleet import Fleet
from edge.demo.recorder import PICTURE, VIDEOS, Recorder
from edge.demo.screen import Screen
from edge.demo.subscriber import Subscriber
from edge.demo.summary import percentiles
from edge.errors import ExtraAbsent, UsageError
from edge.sinks.mqtt_settings import MqttSettings
from edge.sources import open_source
from edge.sources.uri import scheme_of

NODE, CAMERA, ROOT = "demo", "cam1", "linesight"
SCENE_S = 18.0
LIVE_S = 20.0
"""How long a source without an end is watched, unless --seconds says."""
VIDEO_FPS = 25.0
SETTLE_S = 3.0
"""How long the subscriber may take to hear the end of what the station sent."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to look at, for how long, and where to write."""
    parser.add_argument("--station", choices=("face_mask",), default="face_mask")
    parser.add_argument(
        "--source", metavar="URI", help="a camera (0), a file, any source; default: a portrait"
    )
    parser.add_argument("--seconds", type=positive, help="end after so long")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("demo-out"), help="default: %(default)s"
    )
    add_models(parser)
    add_json(parser, parse_time=False)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 1 when it did not show what it should.

    With the default picture an alert must open and close; with one's own source a frame must come.

    Raises
    ------
    SourceError
        The source cannot be opened, or video or picture cannot be written; the station was stopped
        in good order.
    """
    _make_folder(args.out)
    check_report(args.json)
    out = text_stream(args.json)
    bundles = bundles_of(args.station, args.models)
    out.write(f"models: {', '.join(str(bundle.path) for bundle in bundles)}\n")
    with (
        quiet_service(args.verbose),
        tempfile.TemporaryDirectory(prefix="linesight-demo-") as folder,
    ):
        source, seconds, fps = _source(args, Path(folder), out)
        recorder = Recorder(args.out, fps)
        with EmbeddedBroker() as broker:
            settings = MqttSettings(
                host=broker.host, client_id="demo-watch", port=broker.port, protocol="3.1.1"
            )
            config = _config(source, Path(folder) / "state", settings)
            settle(config, args.models)
            with Subscriber(settings, ROOT) as subscriber:
                title = f"LineSight demo, MQTT 3.1.1 at {broker.host}:{broker.port}"
                with Screen(subscriber, title, out) as screen:
                    _watch(config, recorder, screen, seconds, args.models)
                    subscriber.wait_for(_settled, SETTLE_S)  # so that the screen shows it too
                fleet = subscriber.fleet
    if recorder.failure is not None:
        raise recorder.failure
    report = _report(recorder, fleet)
    _tell(report, recorder, out)
    write_json(args.json, report)
    if args.source is None and not (fleet.opened and fleet.closed):
        sys.stderr.write("linesight: demo: no alert was opened and closed\n")
        return 1
    if not recorder.latencies_ms:
        sys.stderr.write(
            f"linesight: demo: no frame came from {args.source or 'the portrait'} "
            "(-v shows what the station says)\n"
        )
        return 1
    return 0


def _watch(
    config: Config,
    recorder: Recorder,
    screen: Screen,
    seconds: float | None,
    models: Path | None,
) -> None:
    """Run the station until its source is over, time is up, the recorder fails, or Ctrl-C."""
    station = app.build(config, observer=recorder.observe, models=models, health_interval_s=1.0)
    try:
        station.run(_until(seconds, screen.tick, recorder))
    finally:
        recorder.close()


def _until(
    seconds: float | None, tick: Callable[[], None], recorder: Recorder
) -> Callable[[float], bool]:
    """What the station's supervision waits with; it also keeps the view up to date."""
    end: float | None = None

    def quit_within(wait_s: float) -> bool:
        nonlocal end
        if end is None and seconds is not None:
            end = time.monotonic() + seconds
        try:
            time.sleep(wait_s)  # between two looks at the station, which works meanwhile
        except KeyboardInterrupt:
            return True
        tick()
        late = end is not None and time.monotonic() >= end
        return late or recorder.failure is not None

    return quit_within


def _source(args: argparse.Namespace, folder: Path, out: TextIO) -> tuple[str, float | None, float]:
    """The source's URI, after how many seconds to stop, and the video's frames per second."""
    if args.source is None:
        seconds = args.seconds or SCENE_S
        out.write(f"picture: {scene.CAPTION}, {seconds:g} s\n")
        out.flush()
        clip = folder / "scene.avi"
        try:
            scene.write_clip(clip, seconds)
        except ExtraAbsent as error:
            raise ExtraAbsent(
                error.message, hint=f"{error.hint}, or name a picture with --source"
            ) from error
        return clip.as_uri(), None, float(scene.FPS)
    # Once before the station does: it would try again and again, and say why in its log only.
    with closing(open_source(args.source, camera=CAMERA)) as source:
        source.open()
    endless = scheme_of(args.source, CAMERA) != "file"
    return args.source, args.seconds or (LIVE_S if endless else None), VIDEO_FPS


def _config(source: str, state_dir: Path, broker: MqttSettings) -> Config:
    state_dir.mkdir()
    tables: dict[str, Any] = {
        "station": {"node": NODE, "root": ROOT, "task": "face_mask", "state_dir": str(state_dir)},
        "camera": [{"id": CAMERA, "source": source}],
        "mqtt": {"host": broker.host, "port": broker.port, "protocol": broker.protocol},
    }
    return build(tables, origin="demo")


def _settled(fleet: Fleet) -> bool:
    """Has the station said farewell? It does so after everything else."""
    station = fleet.stations.get(NODE)
    return station is not None and station.online is False and not fleet.open_alerts


def _report(recorder: Recorder, fleet: Fleet) -> dict[str, Any]:
    """Alerts are counted as they came over MQTT, not from inside the station."""
    report: dict[str, Any] = {
        "frames": len(recorder.latencies_ms),
        "fps": round(recorder.fps, 2),
        "alerts_opened": fleet.opened,
        "alerts_closed": fleet.closed,
    }
    if recorder.latencies_ms:
        report["latency_ms"] = percentiles(recorder.latencies_ms)
        report["video"] = str(recorder.video)
    return report


def _tell(report: dict[str, Any], recorder: Recorder, out: TextIO) -> None:
    lines = [
        f"frames judged  {report['frames']} ({report['fps']:g} a second)",
        f"alerts         {report['alerts_opened']} opened, {report['alerts_closed']} closed",
    ]
    if "latency_ms" in report:
        times = report["latency_ms"]
        lines += [
            f"latency        p50 {times['p50']:g} ms, p95 {times['p95']:g} ms, "
            f"p99 {times['p99']:g} ms (capture to verdict)",
            f"video          {report['video']}",
            f"picture        {recorder.picture}",
            "privacy        these two files hold what the camera saw; nothing else was kept, "
            "and nothing left this machine",
        ]
    out.write("\n".join(lines) + "\n")


def _make_folder(folder: Path) -> None:
    """Make the folder of ``--out`` and try to write there, before anything is recorded."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for name in (VIDEOS[0][0], PICTURE):
            if os.access(folder / name, os.F_OK):
                with (folder / name).open("ab"):
                    pass
    except OSError as error:
        raise UsageError(
            f"--out {folder}: {error.filename or folder} cannot be written: {error.strerror}",
            hint="name another folder",
        ) from error
