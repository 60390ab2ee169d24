"""What stands in for a camera, its people and their classifier's verdict while it is measured."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from edge.protocols import Connected, Delivered, Sink, SinkEvent
from edge.records import (
    Classification,
    Detections,
    Floats,
    Frame,
    Image,
    Message,
    Observation,
)
from edge.tasks import ClassificationTask, DetectionTask
from edge.tasks.model import Stopwatch

CAMERA = "c1"


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one frame took a worker, from its begin to that of the next; its share in ``infer``."""

    frame_ms: float
    infer_ms: float


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
    changing
        Whether the rule is told, in place of what the classifier says, that the first face takes
        its mask off and puts it on again in turn, and that the others wear one: an alert with each
        frame, whose way to the broker can be timed.

    Attributes
    ----------
    cycles
        Of each frame but the last.
    """

    def __init__(
        self,
        detector: DetectionTask,
        classifier: ClassificationTask,
        boxes: Floats,
        *,
        changing: bool = False,
    ) -> None:
        self.model = classifier.model
        self.cycles: list[Cycle] = []
        self._detector, self._classifier, self._boxes = detector, classifier, boxes
        self._changing = changing
        self._begun_ns = 0
        self._infer_ms = 0.0

    def observe(self, frame: Frame) -> Observation:
        """Judge one frame, see :class:`edge.protocols.Task`."""
        begun_ns = time.monotonic_ns()
        if self._begun_ns:
            self.cycles.append(Cycle((begun_ns - self._begun_ns) / 1e6, self._infer_ms))
        watch = Stopwatch()
        self._detector.detect(frame.image, watch)
        states = self._classifier.classify_boxes(frame.image, self._boxes, watch)
        if self._changing:
            states = self._told(bare=frame.sequence % 2 == 0)
        count = len(self._boxes)
        result = Detections(
            self._boxes,
            np.ones(count, np.float32),
            (self._detector.manifest.labels[0],) * count,
            states,
        )
        self._begun_ns, self._infer_ms = begun_ns, watch.timings.infer_ms
        return Observation(frame.header, result, self.model, watch.timings)

    def close(self) -> None:
        """Leave the engines open."""

    def _told(self, *, bare: bool) -> tuple[Classification, ...]:
        labels = self._classifier.manifest.labels
        scores = np.zeros((len(self._boxes), len(labels)), np.float32)
        scores[:, labels.index("with_mask")] = 1.0
        if bare:
            scores[0] = scores[0, ::-1]
        return Classification.of_rows(tuple(labels), scores)


class StillSource:
    """Gives the same pictures in turn, see :class:`edge.protocols.Source`.

    Parameters
    ----------
    images
        One or several.
    fps
        A camera's pace; 0: a file's, as often as it is asked.
    """

    def __init__(self, *images: Image, fps: float = 0.0) -> None:
        self.live = fps > 0
        self.due_ns = 0
        self._step_ns = round(1e9 / fps) if self.live else 0
        self._images = images
        self._sequence = 0

    def open(self) -> None:
        """Begin at frame 0."""
        self._sequence = 0
        self.due_ns = time.monotonic_ns() if self.live else 0

    def read(self) -> Frame:
        """The next picture, captured now."""
        now_ns = time.monotonic_ns()
        if self.live:  # a reader that was late catches nothing up: a camera would not either
            self.due_ns = max(self.due_ns + self._step_ns, now_ns)
        image = self._images[self._sequence % len(self._images)]
        self._sequence += 1
        return Frame(image, CAMERA, self._sequence - 1, now_ns, now_ns, datetime.now(UTC))

    def close(self) -> None:
        """Nothing to release."""


class AckClock:
    """A sink that notes how old each alert is when the broker has acknowledged it.

    What was captured before the connection stood is left out: it waited for that. Of several
    alerts of one frame the first counts: what ends at the stop was captured some time before it.

    Parameters
    ----------
    sink
        Does the work.

    Attributes
    ----------
    ages_ms
        The frame's ``captured_ns`` → capture to PUBACK, in the order of the acknowledgements.
    """

    def __init__(self, sink: Sink) -> None:
        self.ages_ms: dict[int, float] = {}
        self._sink = sink
        self._captured_ns: dict[int, int] = {}
        self._newest_ns = 0
        self.open, self.subscribe, self.wake = sink.open, sink.subscribe, sink.wake
        self.close = sink.close

    def send(self, message: Message) -> int | None:
        """See :meth:`edge.protocols.Sink.send`."""
        token = self._sink.send(message)
        if token is not None and message.way == "outbox":
            self._captured_ns[token] = json.loads(message.payload)["mono_ns"]
        return token

    def poll(self, timeout_s: float) -> Sequence[SinkEvent]:
        """See :meth:`edge.protocols.Sink.poll`."""
        events = self._sink.poll(timeout_s)
        now_ns = time.monotonic_ns()
        for event in events:
            if isinstance(event, Connected):
                self._newest_ns = now_ns
            elif isinstance(event, Delivered):
                captured_ns = self._captured_ns.pop(event.token, 0)
                if captured_ns > self._newest_ns:
                    self._newest_ns = captured_ns
                    self.ages_ms[captured_ns] = (now_ns - captured_ns) / 1e6
        return events
