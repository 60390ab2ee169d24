"""The detector that others trained: rebuilt, asked for labels, and started from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the convert extra")

import keras
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from converter.tflite.weights import read_convolutions
from converter.training import labelled
from converter.training.architectures import build_face_detector
from converter.training.labelled import Labels, portraits, unlabelled, with_doubts
from converter.training.labeller import CHANNELS, Labeller, build
from converter.training.pictures import Picture
from converter.training.pretrained import start_trunk
from converter.training.settings import DetectorTraining
from edge.errors import ModelError
from tests.helpers.data import data_dir

pytestmark = [
    pytest.mark.convert,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

FILE = "keras_models/face_mask_detection.tflite"


@pytest.mark.data
def test_the_rebuilt_network_is_the_trained_one() -> None:
    """On its own input size both give the same box codes and scores."""
    path = data_dir(FILE)
    image = np.random.default_rng(0).random((1, 260, 260, 3)).astype(np.float32)
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    expected = {
        int(entry["shape"][-1]): interpreter.get_tensor(entry["index"])
        for entry in interpreter.get_output_details()
    }
    outputs = build(read_convolutions(path)).predict_on_batch(image)
    assert np.allclose(np.concatenate(outputs[0::2], axis=1), expected[4], atol=1e-3)
    assert np.allclose(np.concatenate(outputs[1::2], axis=1), expected[2], atol=1e-4)


@pytest.mark.data
def test_the_labeller_finds_labelled_faces() -> None:
    """Of the large labelled faces of some group photos it finds most, where the labels are."""
    from converter.training.pictures import load_pictures
    from converter.training.split import split_boxes
    from converter.training.targets import box_iou

    data = data_dir("face_mask")
    labeller = Labeller(data_dir(FILE))
    found = faces = 0
    for picture in load_pictures(data, split_boxes(data).validation[::8]):
        boxes, scores = labeller.find(picture.image, (260, 512), threshold=0.5)
        assert (np.diff(scores) <= 0).all()
        large = picture.boxes[(picture.boxes[:, 2:] - picture.boxes[:, :2]).min(axis=1) >= 40]
        faces += len(large)
        if len(large) and len(boxes):
            found += int((box_iou(large, boxes).max(axis=1) >= 0.4).sum())
    assert faces > 30
    assert found / faces > 0.7


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    """One line with the path, and what to change."""
    path = tmp_path / "labeller.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"labeller\.tflite"):
        read_convolutions(path)


def random_convolutions() -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weights of the trained network's shapes."""
    rng = np.random.default_rng(3)
    found, before = {}, 3
    for i, channels in enumerate(CHANNELS):
        kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (3, 3, before, channels))
        bias = rng.normal(0, 0.1, channels)
        found[f"conv2d_{i}"] = kernel.astype(np.float32), bias.astype(np.float32)
        before = channels
    return found


def test_the_trunk_starts_as_the_trained_one() -> None:
    """Its first convolution gives what the trained one gives at every second pixel."""
    convolutions = random_convolutions()
    images = np.random.default_rng(1).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    model = build_face_detector(64, 64)
    start_trunk(model, convolutions, images)
    kernel, bias = convolutions["conv2d_0"]
    pixels = (images + 1) / 2
    trained = keras.ops.relu(keras.ops.conv(pixels, kernel, 1, "same") + bias)
    ours = keras.Model(model.input, model.get_layer("trunk_0_relu").output)(images, training=False)
    inside = np.asarray(trained)[:, 1::2, 1::2][:, :-1, :-1]
    assert np.allclose(np.asarray(ours)[:, :-1, :-1], inside, atol=1e-4)


def test_every_normalization_of_the_trunk_meets_sane_statistics() -> None:
    """On the pictures it was set on, training and inference give the same."""
    images = np.random.default_rng(1).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    model = build_face_detector(64, 64)
    start_trunk(model, random_convolutions(), images)
    last = keras.Model(model.input, model.get_layer("trunk_2_relu").output)
    assert np.allclose(last(images, training=True), last(images, training=False), atol=2e-2)


def test_another_network_is_refused() -> None:
    """A missing convolution, or one of another shape, starts nothing."""
    model = build_face_detector(64, 64)
    images = np.zeros((1, 64, 64, 3), np.float32)
    with pytest.raises(ModelError, match="conv2d_0"):
        start_trunk(model, {}, images)
    wrong = random_convolutions() | {
        "conv2d_0": (np.zeros((5, 5, 3, 32), np.float32), np.zeros(32, np.float32))
    }
    with pytest.raises(ModelError, match="another network"):
        start_trunk(model, wrong, images)


def test_what_overlaps_a_label_is_no_doubt() -> None:
    """Only boxes that hardly touch a labelled face are doubtful."""
    labelled = np.array([[0, 0, 10, 10]], np.float32)
    found = np.array([[1, 1, 11, 11], [40, 40, 50, 50], [9, 9, 19, 19]], np.float32)
    assert unlabelled(found, labelled).tolist() == found[1:].tolist()
    assert unlabelled(found, labelled[:0]).tolist() == found.tolist()


def labeller_of(folder: Path, content: bytes = b"a labeller") -> Path:
    """A file that only looks like one: asking it for anything fails."""
    path = folder / "labeller.tflite"
    path.write_bytes(content)
    return path


def seen_again(folder: Path, labeller: Path | None = None) -> list[list[float]]:
    """What the memory says of a picture that was looked at; nobody can look again."""
    image = np.zeros((40, 30, 3), np.uint8)
    picture = Picture(Path("images/a.png"), image, np.zeros((0, 4), np.float32), ())
    labels = Labels(labeller or folder / "labeller.tflite", folder / "labels.json")
    (seen,) = with_doubts([picture], labels)
    boxes: list[list[float]] = seen.doubtful.tolist()
    return boxes


class Fixed(Labels):
    """Labels that are known already."""

    def __init__(self, memory: Path, known: Mapping[str, Sequence[Sequence[float]]]) -> None:
        super().__init__(labeller_of(memory.parent), memory)
        self._known = {
            name: [[row[:4] for row in rows], [row[4] for row in rows]]
            for name, rows in known.items()
        }


def test_only_sure_faces_of_tidy_crops_are_labels(tmp_path: Path) -> None:
    """A crop without a sure face is left out; unsure ones are doubtful."""
    folder = tmp_path / "with_mask"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.zeros((40, 30, 3), np.uint8))
    known = {
        "with_mask/a.png": [[1, 2, 20, 30, 0.99], [5, 5, 9, 9, 0.4]],
        "with_mask/b.png": [[1, 2, 20, 30, 0.5]],
    }
    paths = [folder / "a.png", folder / "b.png"]
    (picture,) = portraits(paths, Fixed(tmp_path / "labels.json", known))
    assert picture.boxes.tolist() == [[1, 2, 20, 30]]
    assert picture.doubtful.tolist() == [[5, 5, 9, 9]]


def test_what_was_found_once_is_not_looked_for_again(tmp_path: Path) -> None:
    """The memory serves a later training; what it does not hold is asked of the labeller."""
    memory = tmp_path / "labels.json"
    Fixed(memory, {"images/a.png": [[1, 2, 20, 30, 0.9]]}).save()
    assert seen_again(tmp_path) == [[1, 2, 20, 30]]
    Fixed(memory, {"images/b.png": [[1, 2, 20, 30, 0.9]]}).save()
    with pytest.raises(ModelError, match=r"labeller\.tflite"):
        seen_again(tmp_path)


def test_what_another_labeller_found_is_forgotten(tmp_path: Path) -> None:
    """The same network in another place is the same; other bytes in the same place are not."""
    Fixed(tmp_path / "labels.json", {"images/a.png": [[1, 2, 20, 30, 0.9]]}).save()
    moved = tmp_path / "moved"
    moved.mkdir()
    assert seen_again(tmp_path, labeller_of(moved)) == [[1, 2, 20, 30]]
    labeller_of(tmp_path, b"another labeller")
    with pytest.raises(ModelError, match=r"labeller\.tflite"):
        seen_again(tmp_path)


@pytest.mark.parametrize(
    ("constant", "value", "kept"),
    [
        ("UNSURE", 0.4, False),
        ("CROP_SIDES", (150,), False),
        ("PHOTO_SIDES", (260, 768), False),
        ("SURE", 0.9, True),
    ],
)
def test_what_was_found_in_another_way_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant: str, value: object, kept: bool
) -> None:
    """A constant that decides what is found makes the memory void; one that sorts it does not."""
    Fixed(tmp_path / "labels.json", {"images/a.png": [[1, 2, 20, 30, 0.9]]}).save()
    monkeypatch.setattr(labelled, constant, value)
    if kept:
        assert seen_again(tmp_path) == [[1, 2, 20, 30]]
    else:
        with pytest.raises(ModelError, match=r"labeller\.tflite"):
            seen_again(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"images/a.png": [[[1, 2, 20, 30]], [0.9]]}'],
    ids=["cut off", "a list", "without an origin"],
)
def test_a_memory_of_unknown_origin_is_forgotten(tmp_path: Path, content: str) -> None:
    """A damaged file, or one of before it said where it comes from, is as good as none."""
    labeller_of(tmp_path)
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(ModelError, match=r"labeller\.tflite"):
        seen_again(tmp_path)


def test_an_absent_labeller_is_named(tmp_path: Path) -> None:
    """Whether a memory is its own cannot be told without it."""
    with pytest.raises(ModelError, match=r"absent\.tflite: cannot be read: No such file"):
        Labels(tmp_path / "absent.tflite", tmp_path / "labels.json")


def test_an_interruption_loses_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found is written every so many new pictures, not only at the end."""

    class Eager:
        def __init__(self, path: Path) -> None:
            pass

        def find(
            self, image: NDArray[np.uint8], sides: Sequence[int], *, threshold: float
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            return np.ones((1, 4), np.float32), np.ones(1, np.float32)

    monkeypatch.setattr(labelled, "Labeller", Eager)
    monkeypatch.setattr(labelled, "SAVE_EVERY", 3)
    memory = tmp_path / "labels.json"
    labels = Labels(labeller_of(tmp_path), memory)
    written = []
    for number in (0, 1, 1, 2, 3, 4, 5):
        labels.of(Path(f"images/{number}.png"), np.zeros((4, 4, 3), np.uint8), (260,))
        written.append(len(json.loads(memory.read_text())["pictures"]) if memory.exists() else 0)
    assert written == [0, 0, 0, 3, 3, 3, 6]


def test_starting_from_the_labeller_needs_one() -> None:
    """The recipe's mistake is named by its key."""
    with pytest.raises(ValueError, match="start_from_labeller"):
        DetectorTraining(start_from_labeller=True)
