"""How fast the real service is on one picture: as fast as it goes, and behind a camera's pace."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge import app
from edge.commands.rig import CAMERA, AckClock, Cycle, ExactFaces, StillSource
from edge.commands.targets import Loaded
from edge.config import Config, build
from edge.demo.local_broker import HOST, LocalBroker
from edge.errors import StageFailed
from edge.protocols import Sink, Task
from edge.records import Alert, Floats, Frame, Image, Observation, Timings, Track
from edge.sinks.mqtt import MqttSink
from edge.sinks.stdout import StdoutSink

CAMERA_FPS = 30.0
"""Pace of the camera behind which latencies are measured."""

WARM_UP = 5
"""Judged frames that do not count: first runs allocate."""

_CONNECT_S = 10.0


@dataclass(slots=True)
class Judged:
    """What one run of the service gave: when each frame was judged, and its timings.

    ``ages_ms``: a frame's ``captured_ns`` → capture to verdict. ``cycles``: see
    :class:`ExactFaces`, of all workers, after the warm-up.
    """

    at_ns: list[int] = field(default_factory=list)
    ages_ms: dict[int, float] = field(default_factory=dict)
    timings: list[Timings] = field(default_factory=list)
    cycles: list[Cycle] = field(default_factory=list)

    def observe(
        self,
        frame: Frame,
        observation: Observation,
        tracks: Sequence[Track],
        alerts: Sequence[Alert],
    ) -> None:
        """Take one judged frame in."""
        now_ns = time.monotonic_ns()
        self.at_ns.append(now_ns)
        self.ages_ms[frame.captured_ns] = (now_ns - frame.captured_ns) / 1e6
        self.timings.append(observation.timings)

    @property
    def fps(self) -> float:
        """Judged frames a second after the warm-up.

        Raises
        ------
        StageFailed
            Too few frames were judged in the time that was given.
        """
        steady = self.at_ns[WARM_UP:]
        if len(steady) < 2:
            raise _too_few(f"{len(self.at_ns)} frames were judged")
        return (len(steady) - 1) / ((steady[-1] - steady[0]) / 1e9)


def run_station(
    loaded: Sequence[Loaded], image: Image, boxes: Floats, seconds: float, folder: Path
) -> Judged:
    """Run the real service on one picture, as fast as it goes.

    Mailbox, workers, tracker, rule and outbox are the service's own; messages go from the outbox
    to a sink that drops them. The picture comes from memory: what a camera's codec costs is
    another matter.

    Parameters
    ----------
    loaded
        The models of each worker.
    image, boxes
        What every frame shows, and (N, 4), the faces to classify in it.
    seconds
        How long frames are judged.
    folder
        For the outbox.

    Raises
    ------
    StageFailed
        Too few frames were judged in the time that was given.
    """
    tasks = _tasks(loaded, boxes)
    judged = run_fast(tasks, [image], seconds, folder)
    judged.cycles = [cycle for task in tasks for cycle in task.cycles[WARM_UP:]]
    if not judged.cycles:
        raise _too_few(f"{len(judged.at_ns)} frames were judged")
    return judged


def run_fast(
    tasks: Sequence[Task],
    images: Sequence[Image],
    seconds: float,
    folder: Path,
    task: str = "face_mask",
) -> Judged:
    """Run the real service with these tasks, one a worker, on pictures in turn, as fast as it goes;
    otherwise as :func:`run_station`. ``task`` is what the station is called.
    """
    with Path(os.devnull).open("w", encoding="utf-8") as nothing:
        config = _config(folder, len(tasks), {}, task)
        return _run(tasks, StillSource(*images), StdoutSink(nothing), seconds, config)


@dataclass(frozen=True, slots=True)
class Latency:
    """From the capture of a frame to its verdict, and to the PUBACK of its alert: the same frames
    in both.
    """

    verdict_ms: Sequence[float]
    puback_ms: Sequence[float]


def run_camera(
    loaded: Sequence[Loaded],
    image: Image,
    boxes: Floats,
    seconds: float,
    folder: Path,
    broker: LocalBroker,
) -> Latency:
    """Run the real service behind a camera's pace, with an alert in each frame, to a broker.

    Parameters
    ----------
    loaded, image, boxes, seconds, folder
        As for :func:`run_station`.
    broker
        Takes the alerts.

    Raises
    ------
    StageFailed
        Too few alerts were acknowledged in the time that was given.
    """
    tasks = _tasks(loaded, boxes, changing=True)
    return run_paced(tasks, [image], CAMERA_FPS, seconds, folder, broker)


def run_paced(
    tasks: Sequence[Task],
    images: Sequence[Image],
    fps: float,
    seconds: float,
    folder: Path,
    broker: LocalBroker,
    task: str = "face_mask",
) -> Latency:
    """Run the real service with these tasks, one a worker, behind a camera that shows pictures in
    turn at ``fps``; each must change what alerts are open. Otherwise as :func:`run_camera`.
    """
    more = {
        "mqtt": {"host": HOST, "port": broker.port, "protocol": broker.protocol},
        "rule": {"hits": 1, "of": 1, "holdoff_s": 0.0},
        "outbox": {"rate_per_s": 1000.0, "burst": 1000},
    }
    config = _config(folder, len(tasks), more, task)
    sink = AckClock(MqttSink(app.mqtt_settings(config)))
    source = StillSource(*images, fps=fps)
    judged = _run(tasks, source, sink, seconds, config, lambda: len(sink.ages_ms) > WARM_UP)
    frames = [captured for captured in sink.ages_ms if captured in judged.ages_ms][WARM_UP:]
    if not frames:
        raise _too_few(f"{len(sink.ages_ms)} alerts were acknowledged")
    return Latency(
        [judged.ages_ms[frame] for frame in frames], [sink.ages_ms[frame] for frame in frames]
    )


def rss_mb() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _too_few(what: str) -> StageFailed:
    return StageFailed(f"bench: only {what}", hint="give it more --seconds")


def _tasks(loaded: Sequence[Loaded], boxes: Floats, *, changing: bool = False) -> list[ExactFaces]:
    return [
        ExactFaces(models.detector, models.classifier, boxes, changing=changing)
        for models in loaded
        if models.detector is not None and models.classifier is not None
    ]


def _config(folder: Path, workers: int, more: Mapping[str, Any], task: str) -> Config:
    return build(
        {
            "station": {"node": "bench", "task": task, "state_dir": str(folder)},
            "camera": [{"id": CAMERA, "source": "memory"}],
            "inference": {"workers": workers},
            **more,
        },
        origin="bench",
    )


def _run(
    tasks: Sequence[Task],
    source: StillSource,
    sink: Sink,
    seconds: float,
    config: Config,
    is_ready: Callable[[], bool] = lambda: True,
) -> Judged:
    """Run the station for so long after the warm-up."""
    judged = Judged()
    give_up = time.monotonic() + _CONNECT_S
    end: float | None = None

    def quit_within(wait_s: float) -> bool:
        nonlocal end
        time.sleep(min(wait_s, 0.05))  # the station works; only its end is waited for
        now = time.monotonic()
        if not is_ready() and now < give_up:
            return False
        if end is None and len(judged.at_ns) > WARM_UP:
            end = now + seconds
        return end is not None and now >= end

    app.build(config, observer=judged.observe, sink=sink, tasks=tasks, sources=[source]).run(
        quit_within
    )
    return judged
