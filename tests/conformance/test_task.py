"""One suite over every task: what a ``Task`` promises, on real models."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from edge.contract.bundle import load_bundle
from edge.engines import open_engine
from edge.errors import EngineError, ModelError, NonFiniteOutput
from edge.protocols import Engine, Task
from edge.records import Classification, Detections, ModelRef, Outputs
from edge.tasks import ClassificationTask, DetectionTask, FaceMaskTask
from tests.helpers.bundles import BLOB_DETECTOR, TINT_CLASSIFIER
from tests.helpers.painted import WITH_MASK, WITHOUT_MASK, frame, paint

Wrap = Callable[[Engine], Engine]


def _detector(variant: str, wrap: Wrap = lambda engine: engine) -> DetectionTask:
    bundle = load_bundle(BLOB_DETECTOR)
    return DetectionTask(bundle.manifest, wrap(open_engine(bundle, variant, threads=1)))


def _classifier(variant: str, wrap: Wrap = lambda engine: engine) -> ClassificationTask:
    bundle = load_bundle(TINT_CLASSIFIER)
    return ClassificationTask(bundle.manifest, wrap(open_engine(bundle, variant, threads=1)))


def _face_mask(variant: str, wrap: Wrap = lambda engine: engine) -> FaceMaskTask:
    return FaceMaskTask(_detector(variant, wrap), _classifier(variant, wrap))


_MAKERS: dict[str, Callable[..., Task]] = {
    "detection": _detector,
    "classification": _classifier,
    "face_mask": _face_mask,
}


@pytest.fixture(params=[f"{name}-{v}" for name in _MAKERS for v in ("float32", "int8")])
def task(request: pytest.FixtureRequest) -> Iterator[Task]:
    """Every task with every variant of its models."""
    name, variant = request.param.split("-")
    made = _MAKERS[name](variant)
    yield made
    made.close()


@pytest.fixture(params=["float32", "int8"])
def station(request: pytest.FixtureRequest) -> Iterator[FaceMaskTask]:
    """Both models of the station."""
    made = _face_mask(request.param)
    yield made
    made.close()


class _Spoilt:
    """An engine whose float outputs are NaN; it stands for a damaged model file."""

    def __init__(self, engine: Engine) -> None:
        self.model: ModelRef = engine.model
        self._engine = engine

    def infer(self, tensor: npt.NDArray[np.float32]) -> Outputs:
        outputs = self._engine.infer(tensor)
        return {name: np.full_like(values, np.nan) for name, values in outputs.items()}

    def close(self) -> None:
        self._engine.close()


class _Counted:
    """An engine that notes the size of each batch it was given."""

    def __init__(self, engine: Engine, batches: list[tuple[str, int]]) -> None:
        self.model: ModelRef = engine.model
        self._engine = engine
        self._batches = batches

    def infer(self, tensor: npt.NDArray[np.float32]) -> Outputs:
        self._batches.append((self.model.name, len(tensor)))
        return self._engine.infer(tensor)

    def close(self) -> None:
        self._engine.close()


def test_keeps_the_contract(task: Task) -> None:
    """Every task is a Task whose observation carries the frame's header, its model and times."""
    seen = frame(paint(320, 240, [(160, 120, 40, WITHOUT_MASK)]))
    observation = task.observe(seen)
    assert isinstance(task, Task)
    assert observation.header == seen.header
    assert observation.model == task.model
    times = observation.timings
    assert min(times.preprocess_ms, times.infer_ms, times.postprocess_ms) > 0
    assert (times.capture_ms, times.queue_ms) == (0.0, 0.0)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 7), (5000, 4000)])
def test_any_frame_size_is_judged(task: Task, size: tuple[int, int]) -> None:
    """A frame of one pixel, a sliver and a huge one are judged like any other."""
    result = task.observe(frame(paint(*size))).result
    assert isinstance(result, Classification | Detections)


def test_the_frame_stays_as_it_is(task: Task) -> None:
    """Judging changes no pixel."""
    image = paint(320, 240, [(160, 120, 40, WITH_MASK)])
    before = image.copy()
    task.observe(frame(image))
    np.testing.assert_array_equal(image, before)


def test_judging_twice_gives_the_same(task: Task) -> None:
    """A task keeps nothing from frame to frame."""
    one = frame(paint(320, 240, [(100, 120, 40, WITH_MASK)]))
    other = frame(paint(640, 480, [(300, 220, 80, WITHOUT_MASK)]))
    results = [task.observe(seen).result for seen in (one, other, one)]
    first, last = (_numbers(result) for result in (results[0], results[2]))
    np.testing.assert_array_equal(first, last)


def _numbers(result: object) -> npt.NDArray[np.float32]:
    if isinstance(result, Detections):
        states = [state.scores for state in result.classifications]
        return np.concatenate([result.boxes.ravel(), result.scores, *states])
    assert isinstance(result, Classification)
    return result.scores


@pytest.mark.parametrize("make", list(_MAKERS.values()), ids=list(_MAKERS))
def test_non_finite_outputs_raise(make: Callable[[str, Wrap], Task]) -> None:
    """F21: a model that gives NaN gives no result but NonFiniteOutput."""
    made = make("float32", _Spoilt)
    with pytest.raises(NonFiniteOutput):
        made.observe(frame(paint(320, 240)))
    made.close()


def test_close_is_harmless_and_final(task: Task) -> None:
    """Closing twice does no harm; judging afterwards is an EngineError."""
    task.close()
    task.close()
    with pytest.raises(EngineError):
        task.observe(frame(paint(320, 240, [(160, 120, 40, WITH_MASK)])))


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1000, 300), (333, 777), (97, 61)])
def test_boxes_are_in_image_pixels(station: FaceMaskTask, width: int, height: int) -> None:
    """Blobs are found where they were painted, whatever the frame's aspect ratio."""
    side = 16 * max(width / 128, height / 96)  # 16 pixels of the model's input
    middles = [(width * 0.3, height * 0.35), (width * 0.7, height * 0.65)]
    blobs = [(*middles[0], side, WITH_MASK), (*middles[1], side, WITHOUT_MASK)]
    result = station.observe(frame(paint(width, height, blobs))).result
    assert isinstance(result, Detections)
    found = {
        state.label: box for box, state in zip(result.boxes, result.classifications, strict=True)
    }
    for label, (x, y) in zip(("with_mask", "without_mask"), middles, strict=True):
        left, top, across, down = found[label]
        assert abs(left + across / 2 - x) <= side / 4 + 1
        assert abs(top + down / 2 - y) <= side / 4 + 1
        assert abs(across - side) <= side / 4 + 1
    assert len(result) == 2


def test_labels_follow_the_faces(station: FaceMaskTask) -> None:
    """Each face has its own state, in the order of the boxes."""
    blobs = [(60.0 + 65 * k, 120.0, 24.0, WITHOUT_MASK if k % 2 else WITH_MASK) for k in range(8)]
    result = station.observe(frame(paint(640, 240, [(x, y, 60, c) for x, y, _, c in blobs]))).result
    assert isinstance(result, Detections)
    for box, state in zip(result.boxes, result.classifications, strict=True):
        middle = box[0] + box[2] / 2
        k = min(range(8), key=lambda at: abs(60 + 65 * at - middle))
        assert state.label == ("without_mask" if k % 2 else "with_mask")


def test_empty_frame_has_no_detections(station: FaceMaskTask) -> None:
    """Nothing in the frame is an empty result, not an error."""
    result = station.observe(frame(paint(640, 480))).result
    assert isinstance(result, Detections)
    assert (len(result), result.classifications) == (0, ())


def test_all_faces_in_one_call() -> None:
    """A frame costs one call of the detector, and one of the classifier if it holds faces."""
    batches: list[tuple[str, int]] = []
    task = _face_mask("float32", lambda engine: _Counted(engine, batches))
    task.observe(frame(paint(640, 480)))
    task.observe(frame(paint(640, 480, [(150, 240, 80, WITH_MASK), (450, 240, 80, WITH_MASK)])))
    assert batches == [("blob_detector", 1), ("blob_detector", 1), ("tint_classifier", 2)]
    task.close()


def test_bundles_must_fit_the_task() -> None:
    """A bundle for another task, or an engine of another bundle, is a ModelError naming both."""
    detector, classifier = load_bundle(BLOB_DETECTOR), load_bundle(TINT_CLASSIFIER)
    engine = open_engine(classifier, "float32", threads=1)
    with pytest.raises(ModelError, match=r"tint_classifier: its task is classification.*detection"):
        DetectionTask(classifier.manifest, engine)
    with pytest.raises(ModelError, match="blob_detector: the engine runs tint_classifier"):
        DetectionTask(detector.manifest, engine)
    engine.close()


def test_classifier_needs_the_labels_of_the_station() -> None:
    """A classifier with other labels is a ModelError that names bundle and labels."""
    bundle = load_bundle(TINT_CLASSIFIER)
    other = bundle.manifest.model_copy(update={"labels": ("blue", "red")})
    engine = open_engine(bundle, "float32", threads=1)
    detector = _detector("float32")
    with pytest.raises(ModelError, match=r"tint_classifier.*blue, red.*with_mask and without_mask"):
        FaceMaskTask(detector, ClassificationTask(other, engine))
    engine.close()
    detector.close()
