"""How fast the service is, and how fast the bare interpreters are: what ``bench`` compares."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge import app
from edge.commands.targets import Loaded
from edge.config import build
from edge.contract.bundle import Bundle
from edge.contract.manifest import ClassificationDecode
from edge.contract.preprocess import Preprocessor
from edge.engines.lane import Lane
from edge.engines.litert import BATCH
from edge.errors import StageFailed
from edge.records import Alert, Detections, Floats, Frame, Image, Observation, Timings, Track
from edge.sinks.stdout import StdoutSink
from edge.tasks import ClassificationTask, DetectionTask
from edge.tasks.classification import cut
from edge.tasks.model import Stopwatch

CAMERA = "c1"

WARM_UP = 5
"""Judged frames that do not count: first runs allocate."""


class ExactFaces:
    """The task of a face_mask station with a fixed number of faces.

    The detector runs on every frame and its boxes are decoded; then exactly the given boxes are
    classified, because a detector may find a few more or fewer and the figure is *per N faces*.
    The engines stay open: whoever loaded them closes them.

    Parameters
    ----------
    detector, classifier
        The models.
    boxes
        (N, 4) in pixels of every frame.
    """

    def __init__(
        self, detector: DetectionTask, classifier: ClassificationTask, boxes: Floats
    ) -> None:
        self.model = classifier.model
        self._detector, self._classifier, self._boxes = detector, classifier, boxes

    def observe(self, frame: Frame) -> Observation:
        """Judge one frame, see :class:`edge.protocols.Task`."""
        watch = Stopwatch()
        self._detector.detect(frame.image, watch)
        states = self._classifier.classify_boxes(frame.image, self._boxes, watch)
        count = len(self._boxes)
        result = Detections(
            self._boxes,
            np.ones(count, np.float32),
            (self._detector.manifest.labels[0],) * count,
            states,
        )
        return Observation(frame.header, result, self.model, watch.timings)

    def close(self) -> None:
        """Leave the engines open."""


class StillSource:
    """Gives one picture as often as it is asked, see :class:`edge.protocols.Source`."""

    live = False
    due_ns = 0

    def __init__(self, image: Image) -> None:
        self._image = image
        self._sequence = 0

    def open(self) -> None:
        """Begin at frame 0."""
        self._sequence = 0

    def read(self) -> Frame:
        """The picture again, captured now."""
        now_ns = time.monotonic_ns()
        self._sequence += 1
        return Frame(self._image, CAMERA, self._sequence - 1, now_ns, now_ns, datetime.now(UTC))

    def close(self) -> None:
        """Nothing to release."""


@dataclass(slots=True)
class Judged:
    """What one run of the service gave: when each frame was judged, and where its time went."""

    at_ns: list[int] = field(default_factory=list)
    timings: list[Timings] = field(default_factory=list)

    def observe(
        self,
        frame: Frame,
        observation: Observation,
        tracks: Sequence[Track],
        alerts: Sequence[Alert],
    ) -> None:
        """Take one judged frame in."""
        self.at_ns.append(time.monotonic_ns())
        self.timings.append(observation.timings)

    @property
    def steady_timings(self) -> list[Timings]:
        """Those after the warm-up."""
        return self.timings[WARM_UP:]

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
            raise StageFailed(
                f"bench: only {len(self.at_ns)} frames were judged", hint="give it more --seconds"
            )
        return (len(steady) - 1) / ((steady[-1] - steady[0]) / 1e9)


def crops_of(bundle: Bundle, image: Image, boxes: Floats) -> list[Image]:
    """What a classifier's bundle sees of these faces."""
    decode = bundle.manifest.decode
    margin = decode.crop_margin if isinstance(decode, ClassificationDecode) else 0.0
    return cut(image, boxes, margin)


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
        For the outbox; empty.
    """
    judged = Judged()
    config = build(
        {
            "station": {"node": "bench", "task": "face_mask", "state_dir": str(folder)},
            "camera": [{"id": CAMERA, "source": "memory", "mailbox": "every"}],
            "inference": {"workers": len(loaded)},
        },
        origin="bench",
    )
    tasks = [
        ExactFaces(models.detector, models.classifier, boxes)
        for models in loaded
        if models.detector is not None and models.classifier is not None
    ]
    end: float | None = None

    def quit_within(wait_s: float) -> bool:
        nonlocal end
        time.sleep(min(wait_s, 0.05))  # the station works; only its end is waited for
        if end is None and len(judged.at_ns) > WARM_UP:
            end = time.monotonic() + seconds
        return end is not None and time.monotonic() >= end

    with Path(os.devnull).open("w", encoding="utf-8") as nothing:
        station = app.build(
            config,
            observer=judged.observe,
            sink=StdoutSink(nothing),
            tasks=tasks,
            sources=[StillSource(image)],
        )
        station.run(quit_within)
    return judged


class BareLoop:
    """The interpreters of both models alone: ready tensors in, ``invoke``, outputs out.

    Parameters
    ----------
    parts
        A bundle, its variant, and the images of one frame that this model sees.
    threads
        Of each interpreter.

    Raises
    ------
    ModelError
        A model file is damaged or refused.
    """

    def __init__(self, parts: Sequence[tuple[Bundle, str, Sequence[Image]]], threads: int) -> None:
        self._steps: list[tuple[Lane, npt.NDArray[Any]]] = []
        for bundle, variant, images in parts:
            prepare = Preprocessor(bundle.manifest.input, bundle.input_tensor(variant)).prepare
            tensor, _ = prepare(images)
            content = bundle.read_variant(variant)
            single = Lane(content, threads)
            batch = _batch(content, threads) if len(tensor) >= BATCH else None
            start = 0
            while start < len(tensor):
                lane = batch if batch and len(tensor) - start >= BATCH else single
                self._steps.append((lane, tensor[start : start + lane.count]))
                start += lane.count

    def frame(self) -> None:
        """What one frame needs, in the steps in which the engine goes."""
        for lane, tensor in self._steps:
            lane.run(tensor)


def _batch(content: bytes, threads: int) -> Lane | None:
    """Steps of several images, where the file follows them."""
    try:
        return Lane(content, threads, BATCH)
    except (RuntimeError, ValueError):
        return None


def bare_fps(loops: Sequence[BareLoop], seconds: float) -> float:
    """Frames a second of so many loops at once, each in a thread of its own."""
    counts = [0] * len(loops)
    end = time.monotonic() + seconds

    def work(index: int) -> None:
        while time.monotonic() < end:
            loops[index].frame()
            counts[index] += 1

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(loops))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def rss_mb() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
