"""Whole evaluations of the fixture bundles on painted pictures."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.contract.bundle import load_bundle
from edge.engines import open_engine
from edge.errors import DataError, NonFiniteOutput, UsageError
from edge.evaluation import Decision, evaluate
from edge.evaluation.rle import encode_rle
from edge.tasks import ClassificationTask, DetectionTask, SegmentationTask
from tests.helpers.bundles import BLOB_DETECTOR, TINT_CLASSIFIER
from tests.helpers.colours import LABELS, ColourEngine, colour_manifest
from tests.helpers.colours import paint as paint_spots
from tests.helpers.painted import WITH_MASK, WITHOUT_MASK, Blob, paint

CATEGORIES = ("face", "with_mask", "without_mask", "mask_incorrect")
SIZE = (512, 384)
SIDE = 64.0
"""16 pixels of the detector's input."""


@pytest.fixture
def detector() -> Iterator[DetectionTask]:
    """The blob detector."""
    bundle = load_bundle(BLOB_DETECTOR)
    task = DetectionTask(bundle.manifest, open_engine(bundle, "float32", threads=1))
    yield task
    task.close()


@pytest.fixture
def classifier() -> Iterator[ClassificationTask]:
    """The tint classifier."""
    bundle = load_bundle(TINT_CLASSIFIER)
    task = ClassificationTask(bundle.manifest, open_engine(bundle, "float32", threads=1))
    yield task
    task.close()


Face = tuple[float, float, tuple[int, int, int] | None, str]
"""Centre x, y; colour, None when it is not painted; category."""


def _write(folder: Path, pictures: dict[str, list[Face]]) -> Path:
    """A COCO folder of painted pictures."""
    (folder / "images").mkdir(parents=True)
    annotations: list[dict[str, Any]] = []
    for image_id, (name, faces) in enumerate(pictures.items()):
        blobs: list[Blob] = [(x, y, SIDE, colour) for x, y, colour, _ in faces if colour]
        assert cv2.imwrite(str(folder / "images" / name), paint(*SIZE, blobs))
        annotations += [
            {
                "image_id": image_id,
                "category_id": CATEGORIES.index(category),
                "bbox": [x - SIDE / 2, y - SIDE / 2, SIDE, SIDE],
            }
            for x, y, _, category in faces
        ]
    table = {
        "categories": [{"id": k, "name": name} for k, name in enumerate(CATEGORIES)],
        "images": [{"id": k, "file_name": name} for k, name in enumerate(pictures)],
        "annotations": annotations,
    }
    (folder / "annotations.json").write_text(json.dumps(table))
    return folder


PICTURES: dict[str, list[Face]] = {
    "kag_1.png": [
        (120, 100, WITH_MASK, "with_mask"),
        (380, 280, WITHOUT_MASK, "without_mask"),
        (380, 90, None, "with_mask"),  # there, but nobody can see it
    ],
    "kag_2.png": [
        (120, 100, WITH_MASK, "without_mask"),  # looks masked
        (380, 280, WITH_MASK, "mask_incorrect"),
    ],
    "icy_1.png": [(250, 190, WITHOUT_MASK, "face")],
    "icy_2.png": [],
}


def test_station(tmp_path: Path, detector: DetectionTask, classifier: ClassificationTask) -> None:
    """Both models on boxes: every section, with the values that the painting gives."""
    steps: list[tuple[int, int]] = []
    figures = evaluate(
        _write(tmp_path / "data", PICTURES),
        detector=detector,
        classifier=classifier,
        progress=lambda done, total: steps.append((done, total)),
    )
    detection = figures["detection"]
    assert detection["recall"] == pytest.approx(5 / 6)
    assert (detection["precision"], detection["images"], detection["faces"]) == (1.0, 4, 6)
    assert detection["ap"] == pytest.approx(5 / 6)
    low, high = detection["interval"]["recall"]
    assert low < 5 / 6 < high
    # 64 px of the picture are 16 px of the model's input.
    assert set(detection["by_width"]) == {"12-23"}
    assert detection["by_width"]["12-23"]["faces"] == 6
    assert detection["at_precision"]["0.95"]["recall"] == pytest.approx(5 / 6)
    for part in detection["by_faces"].values():
        part.pop("interval", None)
    assert detection["by_faces"] == {
        "1": {"recall": 1.0, "precision": 1.0, "images": 1},
        "2-5": {"recall": 0.8, "precision": 1.0, "images": 2},
    }
    # Labelled: two with_mask (one a dark patch, which the tint calls either), two without_mask.
    classification = figures["classification"]
    confusion = classification["confusion"]
    assert confusion["without_mask"] == {"with_mask": 1, "without_mask": 1}
    assert sum(confusion["with_mask"].values()) == 2
    assert classification["by_group"]["kag"]["n"] == 4
    assert set(classification["by_group"]) == {"kag"}
    assert classification["mask_incorrect"] == {"n": 1, "as_mask": 1.0}
    assert classification["wide"]["n"] == 4
    assert set(classification["calibration"]) == {"ece", "brier"}
    # Two of three in one picture and none of one in the other.
    assert figures["end_to_end"] == {
        "accuracy": 0.5,
        "faces": 4,
        "interval": {"accuracy": [0.0, pytest.approx(2 / 3)]},
    }
    assert set(figures) == {"detection", "classification", "end_to_end"}
    assert steps == [(k, 4) for k in range(5)]


def test_detector_alone(tmp_path: Path, detector: DetectionTask) -> None:
    """A detector alone gives the section detection and nothing else."""
    figures = evaluate(_write(tmp_path / "data", PICTURES), detector=detector)
    assert set(figures) == {"detection"}
    assert figures["detection"]["recall"] == pytest.approx(5 / 6)


def test_classifier_alone_on_boxes(tmp_path: Path, classifier: ClassificationTask) -> None:
    """A classifier alone judges the true boxes; there is no end to end."""
    figures = evaluate(_write(tmp_path / "data", PICTURES), classifier=classifier)
    assert set(figures) == {"classification"}
    assert figures["classification"]["by_group"]["kag"]["n"] == 4


def test_class_folders(
    tmp_path: Path, detector: DetectionTask, classifier: ClassificationTask
) -> None:
    """Class folders are judged as whole pictures, by a classifier or a station's classifier."""
    for name, colour in (
        ("with_mask/bal_1.png", WITH_MASK),
        ("with_mask/kaa_1.png", WITHOUT_MASK),
        ("without_mask/bal_1.png", WITHOUT_MASK),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(tmp_path / name), paint(40, 40, [(20, 20, 40, colour)]))
    figures = evaluate(tmp_path, classifier=classifier)
    assert figures["classification"]["accuracy"] == pytest.approx(2 / 3)
    assert figures["classification"]["by_group"] == {
        "bal": {
            "accuracy": 1.0,
            "balanced": 1.0,
            "n": 2,
            "interval": {"accuracy": [1.0, 1.0]},  # one picture of each label: none for balanced
        },
        "kaa": {"accuracy": 0.0, "n": 1},
    }
    assert evaluate(tmp_path, detector=detector, classifier=classifier) == figures
    with pytest.raises(DataError, match="no labelled pictures"):
        evaluate(tmp_path, detector=detector)


def test_only_some_pictures(tmp_path: Path, detector: DetectionTask) -> None:
    """``only`` measures the listed pictures alone."""
    data = _write(tmp_path / "data", PICTURES)
    figures = evaluate(data, detector=detector, only=frozenset({"icy_1.png"}))
    assert figures["detection"]["faces"] == 1


def test_unreadable_pictures_are_counted_and_named(
    tmp_path: Path, detector: DetectionTask, caplog: pytest.LogCaptureFixture
) -> None:
    """A picture that cannot be read is left out, counted and named; none at all is a DataError."""
    data = _write(tmp_path / "data", PICTURES)
    (data / "images" / "kag_1.png").write_bytes(b"not a picture")
    with caplog.at_level(logging.WARNING):
        figures = evaluate(data, detector=detector)
    assert (figures["unreadable"], figures["detection"]["images"]) == (1, 3)
    assert "kag_1.png: left out" in caplog.text
    for picture in (data / "images").iterdir():
        picture.unlink()
    with pytest.raises(DataError, match="none of its 4 pictures"):
        evaluate(data, detector=detector)


def test_nothing_to_judge(tmp_path: Path, classifier: ClassificationTask) -> None:
    """A classifier on faces without a state is a DataError; so is no model at all a UsageError."""
    data = _write(tmp_path / "data", {"icy_1.png": PICTURES["icy_1.png"]})
    with pytest.raises(DataError, match="no face has one of the labels"):
        evaluate(data, classifier=classifier)
    with pytest.raises(UsageError):
        evaluate(data)


def test_decisions_of_a_detector(tmp_path: Path, detector: DetectionTask) -> None:
    """Each true box is found or missed, with the score of what found it."""
    heard: list[Decision] = []
    evaluate(_write(tmp_path / "data", PICTURES), detector=detector, decided=heard.append)
    assert [(d.picture, d.item, d.truth, d.said) for d in heard] == [
        ("icy_1.png", 0, "found", "found"),
        ("kag_1.png", 0, "found", "found"),
        ("kag_1.png", 1, "found", "found"),
        ("kag_1.png", 2, "found", "missed"),
        ("kag_2.png", 0, "found", "found"),
        ("kag_2.png", 1, "found", "found"),
    ]
    assert heard[3].score < detector.threshold <= heard[0].score


def test_decisions_of_a_classifier(tmp_path: Path, classifier: ClassificationTask) -> None:
    """Each face with a label that the classifier knows gets a verdict, and the truth its score."""
    heard: list[Decision] = []
    evaluate(_write(tmp_path / "data", PICTURES), classifier=classifier, decided=heard.append)
    assert [(d.picture, d.item, d.truth) for d in heard] == [
        ("kag_1.png", 0, "with_mask"),
        ("kag_1.png", 1, "without_mask"),
        ("kag_1.png", 2, "with_mask"),
        ("kag_2.png", 0, "without_mask"),
    ]
    assert (heard[0].said, heard[3].said) == ("with_mask", "with_mask")
    assert heard[3].score < 0.5 < heard[0].score


def _segmenter(**decode: Any) -> SegmentationTask:
    manifest = colour_manifest(**decode)
    return SegmentationTask(manifest, ColourEngine(manifest))


def _write_defects(folder: Path) -> Path:
    """Pictures of the segmenter's size and of twice that: right, half right, missed, clean."""
    (folder / "images").mkdir(parents=True)
    big, box, tiny = (slice(4, 12), slice(8, 16)), (slice(0, 4), slice(0, 4)), slice(0, 1)
    drawn = {
        "a.png": paint_spots((16, 32), ("red", *big)),
        "b.png": paint_spots((32, 64), ("green", slice(8, 16), slice(8, 24))),
        "c.png": paint_spots((16, 32), ("blue", *box)),
        "d.png": paint_spots((16, 32)),
    }
    truth = {
        ("a.png", "red"): ((16, 32), *big),
        ("b.png", "green"): ((32, 64), slice(8, 24), slice(8, 24)),
        ("c.png", "red"): ((16, 32), *box),
        ("c.png", "green"): ((16, 32), tiny, slice(0, 2)),  # two pixels: below the least area
    }
    lines = ["ImageId,ClassId,EncodedPixels"]
    for (name, label), (size, rows, columns) in truth.items():
        mask = np.zeros(size, np.bool_)
        mask[rows, columns] = True
        lines.append(f"{name},{LABELS.index(label) + 1},{encode_rle(mask)}")
    for name, image in drawn.items():
        assert cv2.imwrite(str(folder / "images" / name), image)
    (folder / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_segmenter(tmp_path: Path) -> None:
    """Dice and verdicts have the values that the painting gives, on pictures of any size."""
    steps: list[tuple[int, int]] = []
    heard: list[Decision] = []
    figures = evaluate(
        _write_defects(tmp_path / "data"),
        segmenter=_segmenter(),
        progress=lambda done, total: steps.append((done, total)),
        decided=heard.append,
    )
    assert set(figures) == {"dice", "verdict", "images"}
    half = 2 * 128 / (128 + 256)
    assert figures["dice"] == pytest.approx(
        {
            "red": (1 + 0) / 2,
            "green": (half + 0) / 2,
            "mean": (1 / 2 + half / 2) / 2,
            "kaggle": (1 + half + 7) / 12,
            "kaggle_silent": 8 / 12,
        }
    )
    assert figures["verdict"] == {
        "accuracy_all": 10 / 12,
        "missed": 0.0,
        "red": {"tn": 2, "fp": 0, "fn": 1, "tp": 1, "accuracy": 0.75},
        "green": {"tn": 3, "fp": 0, "fn": 0, "tp": 1, "accuracy": 1.0},
        "blue": {"tn": 3, "fp": 1, "fn": 0, "tp": 0, "accuracy": 0.75},
    }
    assert figures["images"] == 4
    assert steps == [(k, 4) for k in range(5)]
    assert [(d.picture, d.item) for d in heard] == [
        (f"{n}.png", k) for n in "abcd" for k in range(3)
    ]
    wrong = [(d.picture, d.item, d.truth, d.said) for d in heard if d.truth != d.said]
    assert wrong == [("c.png", 0, "present", "absent"), ("c.png", 2, "absent", "present")]


def test_least_area_counts_cells_of_the_map(tmp_path: Path) -> None:
    """On a picture of twice the model's size the truth needs four times as many pixels."""
    data = _write_defects(tmp_path / "data")
    only = frozenset({"b.png"})  # 256 true pixels: 64 cells
    for least, present in ((64, True), (65, False)):
        figures = evaluate(data, segmenter=_segmenter(min_area=least), only=only)
        green = figures["verdict"]["green"]
        assert (green["fn"] + green["tp"] == 1) == present


def test_a_segmenter_needs_masks(
    tmp_path: Path, detector: DetectionTask, classifier: ClassificationTask
) -> None:
    """Boxes measure no segmenter and masks no classifier; a segmenter is measured alone."""
    boxes, defects = _write(tmp_path / "boxes", PICTURES), _write_defects(tmp_path / "defects")
    with pytest.raises(DataError, match="boxes: its truth is not masks"):
        evaluate(boxes, segmenter=_segmenter())
    with pytest.raises(DataError, match="defects: its truth is masks"):
        evaluate(defects, classifier=classifier)
    with pytest.raises(DataError, match="no labelled pictures"):
        evaluate(defects, detector=detector)
    with pytest.raises(UsageError, match="a segmenter alone"):
        evaluate(defects, classifier=classifier, segmenter=_segmenter())


def test_bad_truth_of_a_segmentation_ends_the_evaluation(tmp_path: Path) -> None:
    """A run beyond its picture is named with the line; an unreadable picture is only counted."""
    data = _write_defects(tmp_path / "data")
    (data / "images" / "d.png").write_bytes(b"not a picture")
    assert evaluate(data, segmenter=_segmenter())["unreadable"] == 1
    with (data / "train.csv").open("a") as file:
        file.write("a.png,2,512 2\n")
    with pytest.raises(DataError, match=r"train\.csv:6: EncodedPixels: a run ends at pixel 513"):
        evaluate(data, segmenter=_segmenter())


def test_a_segmenter_that_fails_ends_the_evaluation(tmp_path: Path) -> None:
    """NaN from the model is NonFiniteOutput, not a figure."""
    manifest = colour_manifest()
    engine = ColourEngine(manifest)
    right = engine.infer
    engine.infer = lambda tensor: {"masks": right(tensor)["masks"] * np.nan}  # type: ignore[method-assign]
    with pytest.raises(NonFiniteOutput):
        evaluate(_write_defects(tmp_path / "data"), segmenter=SegmentationTask(manifest, engine))
