"""``linesight demo``: the real station at work, with a broker and a picture of its own."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from edge import app
from edge.commands.demo_face import FaceShow
from edge.commands.demo_steel import SteelShow
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
from edge.commands.show import NODE, ROOT, Show
from edge.commands.targets import bundles_of
from edge.config import Config
from edge.demo.broker import EmbeddedBroker
from edge.demo.fleet import Fleet
from edge.demo.recorder import PICTURE, VIDEOS, Recorder
from edge.demo.screen import Screen
from edge.demo.subscriber import Subscriber
from edge.demo.summary import percentiles
from edge.errors import UsageError
from edge.sinks.mqtt_settings import MqttSettings

SETTLE_S = 3.0
"""How long the subscriber may take to hear the end of what the station sent."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to look at, for how long, and where to write."""
    parser.add_argument("--station", choices=("face_mask", "steel_defect"), default="face_mask")
    parser.add_argument(
        "--source",
        metavar="URI",
        help="a camera (0), a file, a folder, any source; default: a portrait, a drawn strip",
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
        show: Show = (
            SteelShow(args.source, out)
            if args.station == "steel_defect"
            else FaceShow(args.source, args.seconds, Path(folder), out)
        )
        recorder = Recorder(args.out, show.fps)
        state_dir = Path(folder) / "state"
        state_dir.mkdir()
        with EmbeddedBroker() as broker:
            settings = MqttSettings(
                host=broker.host, client_id="demo-watch", port=broker.port, protocol="3.1.1"
            )
            config = show.config(state_dir, settings)
            settle(config, args.models)
            with Subscriber(settings, ROOT) as subscriber:
                title = f"LineSight demo, MQTT 3.1.1 at {broker.host}:{broker.port}"
                with Screen(subscriber, title, out) as screen:
                    _watch(config, show, recorder, screen, args.seconds, args.models)
                    subscriber.wait_for(_settled, SETTLE_S)  # so that the screen shows it too
                fleet = subscriber.fleet
        show.keep(state_dir, args.out)
    if recorder.failure is not None:
        raise recorder.failure
    report = _report(recorder, fleet) | show.results(fleet, args.out)
    _tell(report, recorder, show, out)
    write_json(args.json, report)
    if not recorder.latencies_ms:
        sys.stderr.write(
            f"linesight: demo: no frame came from {args.source or show.picture} "
            "(-v shows what the station says)\n"
        )
        return 1
    if (why := show.failure(report)) is not None:
        sys.stderr.write(f"linesight: demo: {why}\n")
        return 1
    return 0


def _watch(
    config: Config,
    show: Show,
    recorder: Recorder,
    screen: Screen,
    seconds: float | None,
    models: Path | None,
) -> None:
    """Run the station until its source is over, time is up, the recorder fails, or Ctrl-C."""
    station = app.build(
        config,
        observer=recorder.observe,
        models=models,
        sources=show.sources,
        encoder=show.encoder,
        health_interval_s=1.0,
    )

    def tick() -> None:
        screen.tick()
        show.tick(station)

    show.begin(station)
    try:
        station.run(_until(seconds or show.seconds, tick, recorder, lambda: show.finish(station)))
    finally:
        recorder.close()


def _until(
    seconds: float | None,
    tick: Callable[[], None],
    recorder: Recorder,
    finish: Callable[[], None],
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
            finish()
            return True
        tick()
        if end is not None and time.monotonic() >= end:
            finish()
            return True
        return recorder.failure is not None

    return quit_within


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


def _tell(report: dict[str, Any], recorder: Recorder, show: Show, out: TextIO) -> None:
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
            *show.lines(report),
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
