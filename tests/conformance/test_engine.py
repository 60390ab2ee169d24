"""The promises of :class:`edge.protocols.Engine`, for every engine there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.contract.bundle import Bundle, load_bundle
from edge.contract.golden import read_golden
from edge.contract.preprocess import Preprocessor
from edge.engines.litert import BATCH, LiteRTEngine
from edge.engines.replay import ReplayEngine
from edge.errors import EngineError
from edge.protocols import Engine
from tests.helpers.bundles import BLOB_DETECTOR, TINT_CLASSIFIER

Open = Callable[[Bundle, str], Engine]
Case = tuple[Engine, Bundle, str]


@pytest.fixture(params=[LiteRTEngine, ReplayEngine], ids=["litert", "replay"])
def open_one(request: pytest.FixtureRequest) -> Open:
    """Each engine's class."""
    opener: Open = request.param
    return opener


@pytest.fixture(params=["float32", "int8"])
def variant(request: pytest.FixtureRequest) -> str:
    """A variant with and one without quantization."""
    return str(request.param)


@pytest.fixture(params=[BLOB_DETECTOR, TINT_CLASSIFIER], ids=lambda path: path.name)
def case(request: pytest.FixtureRequest, open_one: Open, variant: str) -> Iterator[Case]:
    """An open engine, its bundle and variant."""
    folder: Path = request.param
    bundle = load_bundle(folder)
    engine = open_one(bundle, variant)
    yield engine, bundle, variant
    engine.close()


def _tensors(bundle: Bundle, variant: str, count: int) -> npt.NDArray[Any]:
    """Golden images, again and again: the only tensors that every engine knows."""
    images = read_golden(bundle.golden_path).images
    chosen = [images[index % len(images)] for index in range(count)]
    spec = bundle.manifest.input
    return Preprocessor(spec, bundle.input_tensor(variant)).prepare(chosen)[0]


def test_it_is_an_engine(case: Case) -> None:
    """It has the protocol's members and says which file it runs."""
    engine, bundle, variant = case
    assert isinstance(engine, Engine)
    assert engine.model.name == bundle.manifest.name
    assert engine.model.version == bundle.manifest.version
    assert engine.model.variant == variant
    assert engine.model.sha256 == bundle.variant(variant).sha256


@pytest.mark.parametrize("count", [1, 2, 5, BATCH, BATCH + 3, 4 * BATCH])
def test_outputs_have_the_manifests_names_shapes_and_dtypes(case: Case, count: int) -> None:
    """Every output by its name, N along axis 0, in the model's dtype; no other output."""
    engine, bundle, variant = case
    outputs = engine.infer(_tensors(bundle, variant, count))
    assert {name: (array.dtype.name, array.shape) for name, array in outputs.items()} == {
        name: (spec.dtype, (count, *spec.shape[1:]))
        for name, spec in bundle.variant(variant).outputs.items()
    }


@pytest.mark.parametrize("count", [2, BATCH, BATCH + 3])
def test_a_batch_equals_its_singles(case: Case, count: int) -> None:
    """Each image of a batch gives what it gives alone, in its place."""
    engine, bundle, variant = case
    tensors = _tensors(bundle, variant, count)
    batch = engine.infer(tensors)
    for index in range(count):
        for name, expected in engine.infer(tensors[index : index + 1]).items():
            np.testing.assert_allclose(batch[name][index], expected[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3, BATCH])
def test_results_belong_to_the_caller(case: Case, count: int) -> None:
    """A later call does not change earlier outputs, and writing to them changes no later call."""
    engine, bundle, variant = case
    tensors = _tensors(bundle, variant, count + 1)
    first = engine.infer(tensors[:count])
    kept = {name: array.copy() for name, array in first.items()}
    engine.infer(tensors[1:])
    for name, array in first.items():
        np.testing.assert_array_equal(array, kept[name])
        array[...] = 0
    for name, array in engine.infer(tensors[:count]).items():
        np.testing.assert_array_equal(array, kept[name])


def test_the_tensor_stays_as_it_is(case: Case) -> None:
    """Inference writes to nothing it is given: a read-only tensor works."""
    engine, bundle, variant = case
    tensors = _tensors(bundle, variant, 3)
    before = tensors.copy()
    tensors.flags.writeable = False
    engine.infer(tensors)
    np.testing.assert_array_equal(tensors, before)


def test_a_strided_tensor_works(case: Case) -> None:
    """A view that is not contiguous gives what its copy gives."""
    engine, bundle, variant = case
    tensors = _tensors(bundle, variant, 6)
    for name, array in engine.infer(tensors[::2]).items():
        expected = engine.infer(tensors[::2].copy())[name]
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("fault", ["height", "channels", "rank", "dtype", "empty"])
def test_a_tensor_that_does_not_fit_is_an_engine_error(case: Case, fault: str) -> None:
    """Another shape or dtype, or no image at all, is refused in one line; the engine works on."""
    engine, bundle, variant = case
    good = _tensors(bundle, variant, 2)
    wrong = {
        "height": good[:, 1:],
        "channels": good[..., :1],
        "rank": good[0],
        "dtype": good.astype(np.int16),
        "empty": good[:0],
    }[fault]
    with pytest.raises(EngineError, match="got a tensor") as caught:
        engine.infer(wrong)
    assert "\n" not in str(caught.value)
    assert engine.infer(good)


def test_close_is_harmless_when_called_twice(case: Case) -> None:
    """Closing again does nothing; inferring afterwards is an EngineError."""
    engine, bundle, variant = case
    tensors = _tensors(bundle, variant, 1)
    engine.close()
    engine.close()
    with pytest.raises(EngineError):
        engine.infer(tensors)
