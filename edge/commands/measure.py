"""How fast the service is, and how fast the bare interpreters are: what ``bench`` compares."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from edge.engines.litert import BATCH
from edge.engines.runtime import find_runtime
from edge.errors import EngineError, StageFailed
from edge.records import Alert, Detections, Floats, Frame, Image, Observation, Timings, Track
from edge.sinks.stdout import StdoutSink
from edge.tasks import ClassificationTask, DetectionTask
from edge.tasks.classification import cut
from edge.tasks.model import Stopwatch

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
    loaded: Sequence[Loaded], boxes: Floats, picture: Path, seconds: float, folder: Path
) -> Judged:
    """Run the real service on one picture, as fast as it goes.

    Source, mailbox, workers, tracker, rule and outbox are the service's own; messages go from the
    outbox to a sink that drops them.

    Parameters
    ----------
    loaded
        The models of each worker.
    boxes
        (N, 4), the faces to classify.
    picture
        A file that is shown again and again.
    seconds
        How long frames are judged.
    folder
        For the outbox; empty.
    """
    judged = Judged()
    config = build(
        {
            "station": {"node": "bench", "task": "face_mask", "state_dir": str(folder)},
            "camera": [
                {"id": "c1", "source": f"{picture.as_uri()}?loop=0&pace=fast", "mailbox": "every"}
            ],
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
        time.sleep(min(wait_s, 0.05))
        if end is None and len(judged.at_ns) > WARM_UP:
            end = time.monotonic() + seconds
        return end is not None and time.monotonic() >= end

    with open(os.devnull, "w", encoding="utf-8") as nothing:  # noqa: PTH123
        station = app.build(config, observer=judged.observe, sink=StdoutSink(nothing), tasks=tasks)
        station.run(quit_within)
    return judged


class BareLoop:
    """The interpreters of both models alone: tensors are set once, then only ``invoke`` runs.

    Parameters
    ----------
    parts
        A bundle, its variant, and the images of one frame that this model sees.
    threads
        Of each interpreter.
    """

    def __init__(self, parts: Sequence[tuple[Bundle, str, Sequence[Image]]], threads: int) -> None:
        self._runs: list[tuple[Any, int]] = []
        for bundle, variant, images in parts:
            content = bundle.read_variant(variant)
            tensor, _ = Preprocessor(bundle.manifest.input, bundle.input_tensor(variant)).prepare(
                images
            )
            batches, singles = divmod(len(tensor), BATCH)
            if batches:
                batch = _interpreter(content, tensor[:BATCH], threads)
                if batch is None:
                    singles = len(tensor)
                else:
                    self._runs.append((batch, batches))
            if singles:
                single = _interpreter(content, tensor[:1], threads)
                if single is None:
                    raise EngineError(f"{bundle.path}: {variant} cannot be run alone")
                self._runs.append((single, singles))

    def frame(self) -> None:
        """What one frame needs."""
        for interpreter, times in self._runs:
            for _ in range(times):
                interpreter.invoke()


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


def _interpreter(content: bytes, tensor: npt.NDArray[Any], threads: int) -> Any:
    """An interpreter that holds its tensor; None when the file does not follow this batch size."""
    interpreter = find_runtime().interpreter(model_content=content, num_threads=threads)
    (detail,) = interpreter.get_input_details()
    try:
        if len(tensor) > 1:
            interpreter.resize_tensor_input(detail["index"], tensor.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(detail["index"], np.ascontiguousarray(tensor))
        interpreter.invoke()
    except (RuntimeError, ValueError):
        return None
    return interpreter


def rss_mb() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
