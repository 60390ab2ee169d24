"""Which variant is fastest here: how it is measured, and what is chosen then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.commands import variants
from edge.commands.variants import (
    FEWEST,
    GLANCES,
    NEAR,
    ROUNDS,
    Measured,
    choose,
    glance,
    measure,
    preferred,
)
from edge.contract.bundle import Bundle, load_bundle
from edge.contract.golden import read_golden
from edge.contract.manifest import VariantName
from edge.contract.preprocess import Preprocessor
from edge.engines import open_engine
from edge.errors import ModelError, RuntimeAbsent
from edge.protocols import Engine
from edge.records import ModelRef, Outputs
from tests.helpers.bundles import TINT_CLASSIFIER, copy_bundle, edit_manifest, spoil_golden

BOTH: tuple[VariantName, ...] = ("float32", "int8")
ALL: tuple[VariantName, ...] = (*BOTH, "float16", "dynamic", "int16x8")


def quietly(done: int, total: int) -> None:
    """Nobody wants to know how far it is."""


def measured(bundle: Bundle, p50_ms: Mapping[VariantName, float]) -> Measured:
    """Times of two threads with these medians."""
    return Measured(bundle, {name: {2: [value] * 3} for name, value in p50_ms.items()}, {})


_FIGURES = st.dictionaries(
    st.sampled_from(ALL),
    st.tuples(st.floats(1e-3, 1e4), st.one_of(st.just(0.0), st.floats(0.0, 1.0))),
    min_size=1,
)


@given(_FIGURES)
def test_the_choice_is_one_of_them_near_the_fastest_and_loses_no_more(
    figures: dict[VariantName, tuple[float, float]],
) -> None:
    """Whatever was measured, the choice is a variant of it, < 5 % slower, that lost no more."""
    p50 = {name: figure[0] for name, figure in figures.items()}
    lost = {name: figure[1] for name, figure in figures.items()}
    chosen = preferred(p50, lost)
    fastest = min(p50, key=p50.__getitem__)
    assert chosen in figures
    assert p50[chosen] < (1 + NEAR) * p50[fastest]
    assert lost[chosen] <= lost[fastest]
    for name, value in p50.items():
        if value < (1 + NEAR) * p50[fastest]:
            assert lost[chosen] <= lost[name]


@pytest.mark.parametrize(
    ("float_ms", "int8_value", "chosen", "ratio", "says"),
    [
        (2.0, 1.0, "int8", 2.0, "the fastest"),
        (2.0, 0.9, "int8", 2.0, "the fastest"),
        (1.04, 1.0, "int8", 1.04, "near tie (under 5%): float32, which lost no less"),
        (1.04, 0.9, "float32", 1 / 1.04, "with int8, and it lost less at its gate: 0.0000 against"),
        (1.06, 0.9, "int8", 1.06, "the fastest"),
        (0.5, 0.9, "float32", 2.0, "the fastest"),
    ],
)
def test_near_ties_go_to_what_lost_less(
    tmp_path: Path, float_ms: float, int8_value: float, chosen: str, ratio: float, says: str
) -> None:
    """Under 5 % the gate decides, beyond that the time; the reason says which, with the ratio."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    edit_manifest(folder, lambda data: data["variants"]["int8"]["gate"].update(value=int8_value))
    choice = choose(measured(load_bundle(folder), {"float32": float_ms, "int8": 1.0}), 2)
    assert choice.variant == chosen
    assert says in choice.reason
    assert list(choice.ratio.values()) == pytest.approx([ratio])


def test_one_that_gained_at_its_gate_lost_nothing(tmp_path: Path) -> None:
    """A value above the float's is luck and does not decide a near tie."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    edit_manifest(folder, lambda data: data["variants"]["int8"]["gate"].update(float=0.9))
    choice = choose(measured(load_bundle(folder), {"float32": 1.0, "int8": 1.01}), 2)
    assert choice.variant == "float32"


def test_the_only_one_is_chosen_without_a_ratio() -> None:
    """Where one variant is left there is nothing to compare it with."""
    choice = choose(measured(load_bundle(TINT_CLASSIFIER), {"int8": 1.0}), 2)
    assert (choice.variant, choice.ratio) == ("int8", {})
    assert "the only one" in choice.reason


class Recorder:
    """An engine that notes what it is given and computes nothing."""

    def __init__(self, model: ModelRef, seen: list[npt.NDArray[np.generic]]) -> None:
        self.model = model
        self._seen = seen

    def infer(self, tensor: npt.NDArray[np.generic]) -> Outputs:
        """Note the tensor."""
        self._seen.append(tensor)
        return {}

    def close(self) -> None:
        """Nothing to release."""


def test_all_take_turns_on_the_golden_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variant comes once a round with each number of threads, on real tensors, warm."""
    turns: list[tuple[str, int]] = []
    runs: list[list[npt.NDArray[np.generic]]] = []

    def opened(bundle: Bundle, variant: str, *, threads: int) -> Engine:
        turns.append((variant, threads))
        runs.append([])
        with_model = open_engine(bundle, variant, threads=threads)
        with_model.close()
        return Recorder(with_model.model, runs[-1])

    monkeypatch.setattr(variants, "open_engine", opened)
    monkeypatch.setattr(variants, "cpus", lambda: 2)
    bundle = load_bundle(TINT_CLASSIFIER)
    found = measure(bundle, BOTH, 3, 1e-9, quietly)
    steps = [(variant, count) for variant in BOTH for count in (1, 2, 3)]
    assert turns[: len(steps)] == steps
    assert turns[len(steps) : 2 * len(steps)] == steps[::-1]
    assert len(turns) == ROUNDS * len(steps)
    assert {name: set(by) for name, by in found.times_ms.items()} == {
        name: {1, 2, 3} for name in BOTH
    }
    assert all(len(times) == ROUNDS * FEWEST for times in found.times_ms["int8"].values())
    assert {len(run) for run in runs} == {2 + FEWEST}
    golden = read_golden(bundle.golden_path).images
    for (variant, _), run in zip(turns, runs, strict=True):
        preprocessor = Preprocessor(bundle.manifest.input, bundle.input_tensor(variant))
        for image, tensor in zip(golden, run[2:], strict=False):
            assert np.array_equal(preprocessor.prepare([image])[0], tensor)


def test_a_variant_with_other_numbers_is_neither_timed_nor_chosen(tmp_path: Path) -> None:
    """Who fails its golden vectors is refused with the reason; the other one is measured."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    bundle = load_bundle(folder)
    assert set(measure(bundle, BOTH, 1, 1e-3, quietly).times_ms) == set(BOTH)
    spoil_golden(folder, "int8")
    found = measure(bundle, BOTH, 1, 1e-3, quietly)
    assert set(found.times_ms) == {"float32"}
    assert list(found.refused) == ["int8"]
    assert "golden image 0: differs by" in found.refused["int8"]
    assert choose(found, 1).variant == "float32"


def test_a_damaged_file_is_refused_like_wrong_numbers(tmp_path: Path) -> None:
    """A variant that cannot even be loaded does not keep the others from being measured."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    file = folder / "model.float32.tflite"
    file.write_bytes(file.read_bytes()[:-1])
    found = measure(load_bundle(folder), BOTH, 1, 1e-3, quietly)
    assert set(found.times_ms) == {"int8"}
    assert "sha256 mismatch" in found.refused["float32"]


def test_none_left_is_an_error_with_every_reason(tmp_path: Path) -> None:
    """A bundle without a usable variant is refused, and nothing is timed."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    spoil_golden(folder, *BOTH)
    with pytest.raises(ModelError, match=r"no variant can be used here: float32: .*; int8: "):
        measure(load_bundle(folder), BOTH, 1, 1e-3, quietly)


def test_without_a_runtime_no_variant_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing can be run here at all is not a fault of the bundle."""

    def absent(bundle: Bundle, variant: str, *, threads: int) -> Engine:
        raise RuntimeAbsent("no runtime")

    monkeypatch.setattr(variants, "open_checked", absent)
    with pytest.raises(RuntimeAbsent):
        measure(load_bundle(TINT_CLASSIFIER), BOTH, 1, 1e-3, quietly)


def test_a_glance_takes_the_golden_runs_as_its_times(tmp_path: Path) -> None:
    """Three rounds of all golden pictures but the first; who fails them is refused."""
    folder = copy_bundle(tmp_path, TINT_CLASSIFIER)
    pictures = len(read_golden(folder / "golden.npz").images)
    found = glance(load_bundle(folder), 1, time.monotonic() + 60)
    assert found is not None
    counted = {name: len(by[1]) for name, by in found.times_ms.items()}
    assert counted == dict.fromkeys(BOTH, GLANCES * (pictures - 1))
    spoil_golden(folder, "float32")
    found = glance(load_bundle(folder), 1, time.monotonic() + 60)
    assert found is not None
    assert (set(found.times_ms), set(found.refused)) == ({"int8"}, {"float32"})
    spoil_golden(folder, *BOTH)
    with pytest.raises(ModelError, match="no variant can be used here"):
        glance(load_bundle(folder), 1, time.monotonic() + 60)


def test_a_glance_without_time_says_nothing() -> None:
    """Half a first round would favour what came first in it."""
    assert glance(load_bundle(TINT_CLASSIFIER), 1, time.monotonic()) is None
