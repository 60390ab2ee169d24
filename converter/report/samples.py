"""The held-back items on which a variant differs most from Keras, as pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from converter.conversion import Outcome
from converter.measure import Measured
from converter.parity import Runner
from converter.report.facts import Box, Overlay, Sample, Side
from converter.representative import Item, read_item
from edge.contract.bundle import Bundle
from edge.contract.manifest import Manifest
from edge.engines import open_engine
from edge.evaluation import Decision
from edge.evaluation.data import LabelledPicture, read_pictures
from edge.records import Detections, Image
from edge.tasks import DetectionTask, SegmentationTask
from edge.tasks.model import Stopwatch

SHOWN = 8
"""Items of one variant."""

Pair = tuple[Decision, Decision]


def worst_samples(outcome: Outcome, found: Measured) -> tuple[Sample, ...]:
    """Up to ``SHOWN`` items: first those that are decided otherwise, then by how sure each is.

    Items on which both agree to the last digit are no samples.
    """
    pairs = zip(outcome.baseline.decisions, found.score.decisions, strict=True)
    ranked = sorted((pair for pair in pairs if pair[0] != pair[1]), key=_apart, reverse=True)
    if outcome.request.file.recipe.task == "classification":
        return _labels(outcome, found, ranked[:SHOWN])
    names = list(dict.fromkeys(pair[0].picture for pair in ranked))[:SHOWN]
    chosen = {name: [pair for pair in ranked if pair[0].picture == name] for name in names}
    if outcome.request.file.recipe.task == "detection":
        return _faces(outcome, found, chosen)
    return _masks(outcome, found, chosen)


def _apart(pair: Pair) -> tuple[bool, float]:
    return pair[0].said != pair[1].said, abs(pair[0].score - pair[1].score)


def _lines(name: str, pairs: list[Pair]) -> tuple[str, ...]:
    """What both sides say of the items of one picture, the first few of them."""
    return tuple(
        f"{'' if len(pairs) == 1 else f'{keras.item}: '}true: {keras.truth}; Keras: {keras.said} "
        f"({keras.score:.3f}); {name}: {own.said} ({own.score:.3f})"
        for keras, own in pairs[:4]
    )


def _labels(outcome: Outcome, found: Measured, pairs: list[Pair]) -> tuple[Sample, ...]:
    """A classifier's items. The decisions of a picture count the labelled faces in it."""
    items = _by_decision(outcome)
    recipe = outcome.request.file.recipe
    samples = []
    for pair in pairs:
        item = items.get((pair[0].picture, pair[0].item))
        if item is not None:
            title = f"{pair[0].picture} {pair[0].item}" if item.box else pair[0].picture
            lines = _lines(found.made.variant, [pair])
            samples.append(Sample(read_item(item, recipe), title, lines))
    return tuple(samples)


def _by_decision(outcome: Outcome) -> dict[tuple[str, int], Item]:
    """Picture and number of the decision → the item it is about."""
    held_back = outcome.held_back
    found: dict[tuple[str, int], Item] = {}
    for picture, labelled in _pictures(outcome).items():
        for number, box in enumerate([()] if labelled.boxes is None else labelled.boxes.tolist()):
            found[picture, number] = Item(labelled.path, tuple(box))
    names = {held_back.name_of(item) for item in held_back.items}
    return {key: item for key, item in found.items() if key[0] in names}


def _pictures(outcome: Outcome) -> dict[str, LabelledPicture]:
    """The held-back pictures by name, with their truth."""
    held_back, labels = outcome.held_back, outcome.request.file.recipe.labels
    sources = {item.source for item in held_back.items}
    return {
        picture.name: picture
        for source in sorted(sources)
        for picture in read_pictures(held_back.data / source, labels)
    }


def _faces(outcome: Outcome, found: Measured, chosen: dict[str, list[Pair]]) -> tuple[Sample, ...]:
    """A detector's pictures with the boxes of the truth, of float32 and of the variant."""
    pictures = _pictures(outcome)
    boxes: dict[str, list[Box]] = {name: [] for name in chosen}
    for name in chosen:
        truth = pictures[name].boxes
        assert truth is not None
        boxes[name] += [_box(row, "truth") for row in truth.tolist()]
    sides: list[tuple[Side, Measured]] = [("quantized", found)]
    if (real := outcome.variants.get("float32")) is not None:
        sides.insert(0, ("float", real))
    for side, measured in sides:
        with _opened(outcome, measured) as (manifest, engine):
            task = DetectionTask(manifest, engine)
            for name in chosen:
                detections = task.detect(_image(pictures[name]), Stopwatch())
                boxes[name] += _detected(detections, side)
    return tuple(
        Sample(_image(pictures[name]), name, _lines(found.made.variant, pairs), tuple(boxes[name]))
        for name, pairs in chosen.items()
    )


def _detected(detections: Detections, side: Side) -> list[Box]:
    rows = zip(detections.boxes.tolist(), detections.scores.tolist(), strict=True)
    return [_box(box, side, f"{score:.2f}") for box, score in rows]


def _box(row: list[float], side: Side, caption: str = "") -> Box:
    return Box(row[0], row[1], row[2], row[3], side, caption)


def _masks(outcome: Outcome, found: Measured, chosen: dict[str, list[Pair]]) -> tuple[Sample, ...]:
    """A segmentation's pictures with the masks of the truth, of float32 and of the variant."""
    pictures, labels = _pictures(outcome), outcome.request.file.recipe.labels
    overlays: dict[str, list[Overlay]] = {name: [] for name in chosen}
    sides: list[tuple[Side, Measured]] = [("quantized", found)]
    if (real := outcome.variants.get("float32")) is not None:
        sides.insert(0, ("float", real))
    for name in chosen:
        height, width = _image(pictures[name]).shape[:2]
        masks = pictures[name].masks
        if masks is not None:
            truth = masks.read(labels, height, width)
            overlays[name] += _overlays(truth, labels, "truth")
    for side, measured in sides:
        with _opened(outcome, measured) as (manifest, engine):
            task = SegmentationTask(manifest, engine)
            for name in chosen:
                segmentation = task.segment(_image(pictures[name]), Stopwatch())
                overlays[name] += _overlays(np.asarray(segmentation.masks), labels, side)
    return tuple(
        Sample(
            _image(pictures[name]),
            name,
            _lines(found.made.variant, pairs),
            (),
            tuple(overlays[name]),
        )
        for name, pairs in chosen.items()
    )


def _overlays(masks: np.ndarray, labels: tuple[str, ...], side: Side) -> list[Overlay]:
    return [
        Overlay(mask, side, label) for mask, label in zip(masks, labels, strict=True) if mask.any()
    ]


def _image(picture: LabelledPicture) -> Image:
    image = picture.read()
    assert image is not None  # it was judged
    return image


@contextmanager
def _opened(outcome: Outcome, measured: Measured) -> Iterator[tuple[Manifest, Runner]]:
    """A variant, ready to run, with the manifest it belongs to."""
    manifest = outcome.draft.of([measured.made], {})
    with tempfile.TemporaryDirectory(prefix="linesight-convert-") as folder:
        bundle = Bundle(Path(folder), manifest)
        (bundle.path / bundle.variant(measured.made.variant).file).write_bytes(
            measured.made.content
        )
        with closing(open_engine(bundle, measured.made.variant)) as engine:
            yield manifest, engine
