"""Keeps what a demo's station saw: an annotated video, one good picture, and the times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from edge.demo.draw import annotate
from edge.errors import LineSightError, SourceError
from edge.records import (
    Alert,
    Detections,
    Frame,
    Image,
    Observation,
    Segmentation,
    Track,
)

VIDEOS = (("demo.mp4", "mp4v"), ("demo.avi", "MJPG"))
"""The video's names and codecs; the first that OpenCV can encode is taken."""
PICTURE = "demo.png"


class Recorder:
    """An observer of judged frames; called on one thread, read when that thread has ended.

    What goes wrong is kept and not raised: the thread belongs to the station, which an observer
    must not harm.

    The video runs at a constant ``fps`` by the frames' capture times: a frame is repeated until
    the next one was taken, and left out when it came too early for a place of its own.

    Parameters
    ----------
    folder
        Gets ``demo.mp4`` (``demo.avi`` where OpenCV has no MPEG-4 encoder) and ``demo.png``.
    fps
        Frames per second of the video.

    Attributes
    ----------
    latencies_ms
        From capture to verdict, one for each judged frame.
    video
        Where the video is; None before the first frame.
    picture
        Where the picture will be.
    failure
        Why frames are no longer recorded; None as long as they are.
    """

    def __init__(self, folder: Path, fps: float) -> None:
        self.latencies_ms: list[float] = []
        self.video: Path | None = None
        self.picture = folder / PICTURE
        self.failure: Exception | None = None
        self._folder, self._fps = folder, fps
        self._writer: Any = None
        self._size = (0, 0)
        self._written = 0
        self._first_ns = self._last_ns = 0
        self._open: dict[str, Alert] = {}
        self._best: tuple[float, Image] | None = None

    @property
    def fps(self) -> float:
        """Judged frames a second, from the first capture to the last."""
        seconds = (self._last_ns - self._first_ns) / 1e9
        return (len(self.latencies_ms) - 1) / seconds if seconds > 0 else 0.0

    def observe(
        self,
        frame: Frame,
        observation: Observation,
        tracks: Sequence[Track],
        alerts: Sequence[Alert],
    ) -> None:
        """Take one judged frame in."""
        if self.failure is not None:
            return
        try:
            self._take(frame, observation, tracks, alerts)
        except Exception as error:  # noqa: BLE001 - kept for the thread that reads `failure`
            self.failure = error

    def _take(
        self,
        frame: Frame,
        observation: Observation,
        tracks: Sequence[Track],
        alerts: Sequence[Alert],
    ) -> None:
        self.latencies_ms.append((time.monotonic_ns() - frame.captured_ns) / 1e6)
        for alert in alerts:
            self._open[alert.id] = alert
            if alert.phase == "end":
                del self._open[alert.id]
        image = annotate(frame, observation, tracks, list(self._open.values()))
        worth = self._worth(observation)
        if self._best is None or worth > self._best[0]:
            self._best = (worth, image)
        self._append(image, frame.captured_ns)

    def close(self) -> None:
        """Finish the video and write the picture; nothing when no frame came."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        if self.failure is not None or self._best is None or self.video is None:
            return
        if not cv2.imwrite(str(self.picture), self._best[1]):
            self.failure = _unwritable(self.picture)
        elif not (self.video.is_file() and self.video.stat().st_size):
            self.failure = _unwritable(self.video)  # OpenCV does not tell when a disk is full

    def _worth(self, observation: Observation) -> float:
        """How good a picture this frame is: open alerts first, then faces, then sure ones; of a
        strip, labels.
        """
        result = observation.result
        sure = 0.0
        if isinstance(result, Detections) and len(result):
            states = result.classifications
            sure = min([state.score for state in states] or [float(result.scores.min())])
            sure += min(len(result), 50)
        elif isinstance(result, Segmentation):
            sure = float(len({region.label for region in result.regions}))
        return 100.0 * len(self._open) + sure

    def _append(self, image: Image, captured_ns: int) -> None:
        if self._writer is None:
            self._begin(image)
            self._first_ns = captured_ns
        self._last_ns = captured_ns
        size = image.shape[1::-1]
        if size != self._size:  # the camera changed its size: the video cannot
            # OpenCV's stub forgets that uint8 stays uint8.
            image = cv2.resize(image, self._size)  # type: ignore[assignment]
        due = round((captured_ns - self._first_ns) / 1e9 * self._fps) + 1
        while self._written < due:
            self._writer.write(image)
            self._written += 1

    def _begin(self, image: Image) -> None:
        self._size = (image.shape[1], image.shape[0])
        for name, codec in VIDEOS:
            self.video = self._folder / name
            # Not in OpenCV's stubs.
            fourcc = cv2.VideoWriter_fourcc(*codec)  # type: ignore[attr-defined]
            self._writer = cv2.VideoWriter(str(self.video), fourcc, self._fps, self._size)
            if self._writer.isOpened():
                return
        raise _unwritable(self._folder / VIDEOS[0][0])


def _unwritable(path: Path) -> LineSightError:
    return SourceError(
        f"{path}: cannot be written", hint="is the disk full? name another folder with --out"
    )
