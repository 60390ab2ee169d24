"""The detector that others trained: rebuilt, asked for labels, and started from."""

from __future__ import annotations

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


class Fixed(Labels):
    """Labels that are known already."""

    def __init__(self, memory: Path, known: Mapping[str, Sequence[Sequence[float]]]) -> None:
        super().__init__(memory.with_name("absent.tflite"), memory)
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
    """The memory serves a later training, without the labeller's file."""
    memory = tmp_path / "labels.json"
    first = Fixed(memory, {"images/a.png": [[1, 2, 20, 30, 0.9]]})
    first.save()
    image = np.zeros((40, 30, 3), np.uint8)
    picture = Picture(Path("images/a.png"), image, np.zeros((0, 4), np.float32), ())
    (seen,) = with_doubts([picture], Labels(tmp_path / "absent.tflite", memory))
    assert seen.doubtful.tolist() == [[1, 2, 20, 30]]
    with pytest.raises(ModelError, match="absent"):
        with_doubts([replace_path(picture)], Labels(tmp_path / "absent.tflite", memory))


def replace_path(picture: Picture) -> Picture:
    """The picture under another name."""
    return Picture(Path("images/new.png"), picture.image, picture.boxes, picture.states)


def test_starting_from_the_labeller_needs_one() -> None:
    """The recipe's mistake is named by its key."""
    with pytest.raises(ValueError, match="start_from_labeller"):
        DetectorTraining(start_from_labeller=True)
