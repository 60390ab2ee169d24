"""Losses, networks and the training loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the convert extra")

import keras
import tensorflow as tf

from converter.training import ClassifierTraining, DetectorTraining, losses, train
from converter.training.architectures import build_face_detector, build_mask_classifier
from converter.training.blocks import FusedNormalization, for_training
from converter.training.classifier import ClassifierLearner, best_temperature, calibrate
from converter.training.detector import DetectorLearner
from converter.training.loop import Average, cosine, drawn
from converter.training.state import load_state, save_state
from converter.training.targets import encode

pytestmark = [
    pytest.mark.convert,
    # Keras 3.15 copies variables with np.array, which numpy 2 deprecates for TensorFlow's tensors.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Compiling a graph takes longer than the few steps these tests run."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_focal_loss_of_known_values() -> None:
    """Centre and empty cell at 0.5 cost 0.25·ln 2 each; a cell under an ignored face nothing."""
    logit = tf.zeros((1, 1, 3))
    heat = tf.constant([[[1.0, 0.0, 0.0]]])
    keep = tf.constant([[[1.0, 1.0, 0.0]]])
    assert float(losses.focal(logit, heat, keep)) == pytest.approx(0.5 * np.log(2), rel=1e-5)


def test_giou_of_known_boxes() -> None:
    """Equal boxes have 1; unit boxes two apart have -1/3; half overlapping ones 1/3."""
    box = tf.constant([[0.0, 0.0, 0.0, 0.0]] * 3)
    other = tf.constant([[0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]])
    assert losses.giou(box, other).numpy() == pytest.approx([1, -1 / 3, 1 / 3], abs=1e-5)


def test_box_loss_of_a_perfect_guess_is_zero() -> None:
    """The loss vanishes on the truth and looks at weighted cells only."""
    box = tf.random.uniform((1, 2, 2, 4))
    weight = tf.constant([[[1.0, 0.0], [0.0, 0.0]]])
    spoilt = box + tf.constant([[[[0.0], [9.0]], [[9.0], [9.0]]]])
    assert float(losses.box_loss(spoilt, box, weight)) == pytest.approx(0, abs=1e-5)


def test_a_batch_without_faces_has_a_finite_loss() -> None:
    """No face in sight is no reason for a NaN."""
    none = tf.zeros((1, 2, 2))
    assert float(losses.box_loss(tf.zeros((1, 2, 2, 4)), tf.zeros((1, 2, 2, 4)), none)) == 0
    assert np.isfinite(float(losses.focal(none, none, none + 1)))


def test_detector_has_the_promised_outputs() -> None:
    """Three named tensors at stride 4, from about 900 000 parameters."""
    model = build_face_detector(384, 512, batch=1)
    assert {name: tuple(value.shape) for name, value in model.output.items()} == {
        "score": (1, 96, 128, 1),
        "offset": (1, 96, 128, 2),
        "size": (1, 96, 128, 2),
    }
    assert model.input.name == "image"
    assert 700_000 < model.count_params() < 1_100_000


def test_classifier_has_the_promised_outputs() -> None:
    """Two probabilities a crop."""
    model = build_mask_classifier(64, batch=32)
    assert tuple(model.output.shape) == (32, 2)
    found = model(np.zeros((32, 64, 64, 3), np.float32), training=False).numpy()
    assert found.sum(axis=1) == pytest.approx(np.ones(32), rel=1e-5)


def test_fused_normalization_is_the_plain_one() -> None:
    """Same outputs in training and afterwards, and the same moving mean."""
    x = keras.random.normal((4, 6, 5, 3), mean=2.0, stddev=3.0, seed=1)
    plain = keras.Sequential([keras.Input((6, 5, 3)), keras.layers.BatchNormalization()])
    fused = for_training(plain)
    assert isinstance(fused.layers[0], FusedNormalization)
    # Its moving variance is the unbiased one, which on pictures makes no difference.
    for training, tolerance in ((True, 1e-4), (False, 1e-2)):
        expected, found = plain(x, training=training), fused(x, training=training)
        assert np.allclose(expected, found, atol=tolerance)
    assert np.allclose(plain.layers[0].moving_mean, fused.layers[0].moving_mean, atol=1e-5)


def test_a_residual_block_begins_as_the_identity() -> None:
    """What the trunk finds arrives unspoilt behind the blocks that are new."""
    model = build_face_detector(64, 64, batch=1)
    names = ("trunk_3_relu", "s8_2_add")
    ends = keras.Model(model.input, [model.get_layer(name).output for name in names])
    found = ends(np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32))
    before, after = (np.asarray(part) for part in found)
    assert np.allclose(before, after, atol=1e-6)


def test_detector_learns_from_synthetic_pictures() -> None:
    """Four steps on 16 pictures of one bright square each lower the loss."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    none = np.zeros((0, 4), np.float32)
    rows = []
    for _ in range(16):
        x, y = rng.integers(4, 36, 2)
        image = np.full((64, 64, 3), -0.5, np.float32)
        image[y : y + 24, x : x + 24] = 0.8
        target = encode(np.array([[x, y, x + 24, y + 24]], np.float32), none, 64, 64)
        rows.append((image, target.heat, target.keep, target.box, target.weight))
    batch = tuple(np.stack(column) for column in zip(*rows, strict=True))
    learner = DetectorLearner(DetectorTraining())
    course = [learner.step(batch, 1e-3)["loss"] for _ in range(4)]
    assert course[-1] < 0.9 * course[0]


def test_classifier_learns_from_synthetic_pictures() -> None:
    """Five steps on 16 light and dark pictures lower the loss."""
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).normal(0, 0.1, (16, 32, 32, 3)).astype(np.float32)
    images[::2] += 0.7
    labels = np.eye(2, dtype=np.float32)[np.arange(16) % 2]
    learner = ClassifierLearner(ClassifierTraining(size=32))
    course = [learner.step((images, labels), 1e-3)["loss"] for _ in range(5)]
    assert course[-1] < 0.9 * course[0]


def test_temperature_is_found_again() -> None:
    """Logits that were multiplied by 3 want a temperature of 3; honest ones want 1."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 2))
    chance = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    truth = (rng.random(20_000) < chance).astype(np.int64)
    assert best_temperature(logits, truth) == pytest.approx(1, rel=0.05)
    assert best_temperature(3 * logits, truth) == pytest.approx(3, rel=0.05)


def test_calibration_divides_the_logits_and_decides_as_before(tmp_path: Path) -> None:
    """Scores of a network that is too sure of itself by 3 become honest; no decision changes, the
    figures beside it stay, and a second calibration does nothing.
    """
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (3000, 2)).astype(np.float32)
    chance = 1 / (1 + np.exp(images[:, 1] - images[:, 0]))
    truth = (rng.random(3000) >= chance).astype(np.int64)
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, activation="softmax", name="probability")]
    )
    model.set_weights([3 * np.eye(2), np.array([0.3, 0.0])])
    file, figures = tmp_path / "model.keras", tmp_path / "metrics.json"
    model.save(file)
    figures.write_text('{"epoch": 4}')
    said: list[str] = []
    calibrate(file, images, truth, said.append)

    metrics = json.loads(figures.read_text())
    temperature = metrics["temperature"]
    assert temperature == pytest.approx(3, rel=0.15)
    assert metrics == {"epoch": 4, "temperature": temperature}
    assert said == [f"temperature {temperature:.3f}"]
    before, after = (
        np.asarray(net.predict_on_batch(images), np.float64)
        for net in (model, keras.saving.load_model(file))
    )
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    logits, scaled = (np.log(part[:, 1] / part[:, 0]) for part in (before, after))
    assert np.allclose(scaled, logits / temperature, atol=1e-3)

    content = file.read_bytes()
    calibrate(file, images, truth, said.append)
    assert (file.read_bytes(), json.loads(figures.read_text())) == (content, metrics)
    assert len(said) == 1


def test_learning_rate_rises_and_falls() -> None:
    """Linear up to the end of the warm-up, half a cosine down to almost nothing."""
    rates = [cosine(done, 1.0, 0.1) for done in (0.05, 0.1, 0.55, 1.0, 1.5)]
    assert rates == pytest.approx([0.5, 1.0, 0.5, 0.001, 0.001])


def test_average_follows_the_weights() -> None:
    """The average of weights that stay is those weights."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    average = Average(model, 0.5)
    model.set_weights([np.ones((2, 1)), np.ones(1)])
    for _ in range(60):
        average.update()
    assert [v.ravel() for v in average.values()] == [
        pytest.approx([1, 1], abs=1e-3),
        pytest.approx([1], abs=1e-3),
    ]


def test_state_survives_a_restart(tmp_path: Path) -> None:
    """What is saved comes back; the state of another network is refused."""
    variables = [tf.Variable([1.0, 2.0]), tf.Variable(3)]
    save_state(tmp_path / "state.npz", variables, {"epoch": 4})
    others = [tf.Variable([0.0, 0.0]), tf.Variable(0)]
    assert load_state(tmp_path / "state.npz", others) == {"epoch": 4}
    assert [v.numpy().tolist() for v in others] == [[1.0, 2.0], 3]
    with pytest.raises(ValueError, match="another network"):
        load_state(tmp_path / "state.npz", others[:1])


def test_an_error_while_drawing_reaches_the_training() -> None:
    """The sample thread hands its exception over instead of dying in silence."""

    def broken(_: np.random.Generator) -> tuple[np.ndarray, ...]:
        raise OSError("no such picture")

    with pytest.raises(OSError, match="no such picture"):
        next(drawn(broken, 1))


def test_classifier_training_leaves_its_files_and_resumes(tmp_path: Path) -> None:
    """Model, metrics and curve are written; a resumed training counts on from its last epoch."""
    data, out = tmp_path / "data", tmp_path / "out"
    rng = np.random.default_rng(0)
    for label in ("with_mask", "without_mask"):
        folder = data / "crops" / label
        folder.mkdir(parents=True)
        for i in range(10):
            cv2.imwrite(str(folder / f"bal_{i}.png"), noise(rng, 32))
    images = data / "boxes" / "images"
    images.mkdir(parents=True)
    listed = [{"id": i, "file_name": f"kag_{i}.png"} for i in range(10)]
    for entry in listed:
        cv2.imwrite(str(images / str(entry["file_name"])), noise(rng, 64))
    boxes = [{"image_id": i, "category_id": 1 + i % 2, "bbox": [8, 8, 40, 40]} for i in range(10)]
    names = [{"id": 1, "name": "with_mask"}, {"id": 2, "name": "without_mask"}]
    table = {"images": listed, "annotations": boxes, "categories": names}
    (data / "boxes" / "annotations.json").write_text(json.dumps(table), encoding="utf-8")

    lines: list[str] = []
    settings = ClassifierTraining(
        minutes=0.0001, batch=4, size=32, epoch_steps=1, picture_fraction=0.3
    )
    model = train(settings, data, out, progress=lines.append)
    first = epochs_of(out)
    assert first[-1] == len(first) >= 1
    with np.load(out / "state.npz") as state:
        spent_s = json.loads(str(state["facts"]))["spent_s"]
    longer = settings.model_copy(update={"minutes": (spent_s + 0.2) / 60})
    train(longer, data, out, resume=True, progress=lines.append)
    assert epochs_of(out) == list(range(1, len(epochs_of(out)) + 1))
    assert len(epochs_of(out)) > len(first)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["labels"] == ["with_mask", "without_mask"]
    assert set(metrics["validation"]) == {"crops", "boxes"}
    assert metrics["temperature"] > 0
    assert keras.models.load_model(model).output_shape == (None, 2)


def epochs_of(out: Path) -> list[int]:
    """Epochs on the learning curve."""
    return [json.loads(line)["epoch"] for line in (out / "curve.jsonl").read_text().splitlines()]


def noise(rng: np.random.Generator, side: int) -> np.ndarray:
    """Random picture."""
    return rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
