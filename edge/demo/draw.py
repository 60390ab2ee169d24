"""Draws what the station saw into a copy of its frame. Colours are BGR."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.records import (
    Alert,
    Box,
    Detections,
    Frame,
    Image,
    Observation,
    Region,
    Segmentation,
    Track,
)

GOOD, BAD, PLAIN, INK = (80, 160, 60), (50, 50, 220), (160, 160, 160), (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BAD_LABELS = frozenset({"without_mask"})


def annotate(
    frame: Frame,
    observation: Observation,
    tracks: Sequence[Track],
    open_alerts: Sequence[Alert],
) -> Image:
    """The frame with boxes, labels, scores, and a banner for each open alert.

    Parameters
    ----------
    frame
        What the camera gave; not changed.
    observation, tracks
        What was found in it, and who is followed.
    open_alerts
        Last revision of every alert that is open at this frame.

    Returns
    -------
    (H, W, 3) uint8
        BGR, the frame's size.
    """
    image = frame.image.copy()
    result = observation.result
    if isinstance(result, Detections):
        names = {track.index: track.id for track in tracks if track.index is not None}
        alarmed = {alert.track for alert in open_alerts}
        for index in range(len(result)):
            _face(image, result, index, names.get(index), names.get(index) in alarmed)
    elif isinstance(result, Segmentation):
        names = {track.index: track.id for track in tracks if track.index is not None}
        for index, region in enumerate(result.regions):
            _region(image, region, names.get(index))
    scale = max(0.4, frame.height / 900)
    if not isinstance(result, Segmentation):  # on a strip each box is an alert: banners hide some
        for row, alert in enumerate(open_alerts):
            who = "" if alert.track is None else f" #{alert.track}"
            text = f"ALERT {alert.label}{who}  peak {alert.peak:.2f}"
            _label(image, text, 8, 8 + round(row * 44 * scale), BAD, scale=1.2 * scale)
    total = sum(
        getattr(observation.timings, name)
        for name in ("preprocess_ms", "infer_ms", "postprocess_ms")
    )
    note = f"{frame.camera} #{frame.sequence}  {total:.0f} ms"
    _label(image, note, frame.width - _size(note, scale)[0] - 8, 8, (60, 60, 60), scale=scale)
    return image


def _face(image: Image, result: Detections, index: int, name: int | None, alarmed: bool) -> None:
    box = result.box(index)
    text, colour = f"{result.labels[index]} {result.scores[index]:.2f}", PLAIN
    if result.classifications:
        judged = result.classifications[index]
        text = f"{judged.label} {judged.score:.2f}"
        colour = BAD if judged.label in _BAD_LABELS else GOOD
    if name is not None:
        text = f"#{name} {text}"
    thickness = 4 if alarmed else 2
    left, top, right, bottom = _corners(box)
    cv2.rectangle(image, (left, top), (right, bottom), colour, thickness)
    # Small faces of a crowd keep their box only: labels would cover their neighbours.
    if right - left >= 24:
        scale = min(0.6, max(0.35, (right - left) / 250))
        _label(image, text, left, top - _size(text, scale)[1], colour, scale=scale)


def _region(image: Image, region: Region, name: int | None) -> None:
    left, top, right, bottom = _corners(region.box)
    cv2.rectangle(image, (left - 3, top - 3), (right + 3, bottom + 3), BAD, 2)
    who = "" if name is None else f"#{name} "
    text = f"{who}{region.label} {region.score:.2f}"
    _label(image, text, left, top - 5 - _size(text, 0.5)[1], BAD, scale=0.5)


def _label(
    image: Image, text: str, x: int, y: int, colour: tuple[int, int, int], *, scale: float
) -> None:
    """White text on a filled bar whose upper left corner is (x, y), kept within the image."""
    width, height = _size(text, scale)
    x = max(0, min(x, image.shape[1] - width))
    y = max(0, min(y, image.shape[0] - height))
    cv2.rectangle(image, (x, y), (x + width, y + height), colour, cv2.FILLED)
    at = (x + 4, y + height - round(height / 3.5))
    cv2.putText(image, text, at, _FONT, scale, INK, 1, cv2.LINE_AA)


def _size(text: str, scale: float) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    return int(width) + 8, round(int(height) * 1.9)


def _corners(box: Box) -> tuple[int, int, int, int]:
    values = np.rint([box.x, box.y, box.x + box.width, box.y + box.height]).astype(int)
    left, top, right, bottom = (int(value) for value in values)
    return left, top, right, bottom
