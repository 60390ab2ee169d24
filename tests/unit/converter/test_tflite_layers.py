"""The layer that spoils a quantized model is found, and leaving it in float mends the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converter.tflite import (
    LayerError,
    compare_layers,
    read_back,
    read_operators,
    unlike_channels,
    unlike_layers,
    worst_layers,
)
from converter.tflite.layers import BINS, PERFECT_DB
from converter.tflite.runs import Run
from tests.helpers.converted import PICTURES, make, pictures

pytestmark = [pytest.mark.convert, pytest.mark.timeout(180)]

HELD_BACK = pictures(seed=9, count=4)
PLANTED = ("big", "deep", "small")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks that int8 spoils at one place, and their twins."""
    return make(tmp_path_factory.mktemp("planted"), "planted")


def _content(folder: Path, name: str) -> bytes:
    return (folder / f"{name}.tflite").read_bytes()


def _compared(folder: Path, network: str, other: str = "int8") -> tuple[LayerError, ...]:
    floats = _content(folder, f"{network}.float32")
    return compare_layers(floats, _content(folder, f"{network}.{other}"), HELD_BACK)


def _outputs(folder: Path, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    run = Run(_content(folder, name))
    (end,) = run.outputs.values()
    given = []
    for picture in HELD_BACK:
        run.invoke(picture)
        given.append(run.floats(end).copy())
    return np.concatenate(given)


def _is_planted(name: str) -> bool:
    return any(f"/{layer}_" in name for layer in PLANTED)


def test_layers_stand_in_running_order(made: Path) -> None:
    """Every operator of the float file is compared, under its name, in the order they run."""
    layers = _compared(made, "sound")
    operators = read_operators(_content(made, "sound.float32"))
    assert [(layer.operator, layer.name) for layer in layers] == [
        (operator.name, operator.outputs[0]) for operator in operators
    ]


def test_planted_layers_are_the_worst(made: Path) -> None:
    """The three layers that one large channel spoils are the three worst, and nearly lost."""
    layers = _compared(made, "planted")
    assert all(_is_planted(name) for name in worst_layers(layers, 3))
    planted = [layer for layer in layers if _is_planted(layer.name)]
    assert min(layer.added for layer in planted) > 0.5
    assert max(layer.added for layer in layers if layer not in planted) < 0.25
    # What comes after them is wrong too, by no fault of its own.
    tail = next(layer for layer in layers if "tail1" in layer.name)
    assert tail.snr_db < 10
    assert tail.added < 0.01


def test_sound_network_has_no_such_layer(made: Path) -> None:
    """The same network without the large channel has no layer that loses its signal."""
    layers = _compared(made, "sound")
    assert max(layer.added for layer in layers) < 0.25
    assert min(layer.snr_db for layer in layers) > 20


def test_float_layers_mend_the_model(made: Path) -> None:
    """With the worst layers in float the planted network is as good as its sound twin's int8."""

    def snr(network: str, other: str) -> float:
        return _compared(made, network, other)[-1].snr_db

    assert snr("planted", "int8") < 10
    assert snr("planted", "healed") > snr("sound", "int8") - 6
    # Each of them is needed: no two do it.
    assert max(snr("planted", f"without_{layer}") for layer in PLANTED) < 20


def test_mended_layers_are_told_apart(made: Path) -> None:
    """Layers left in float are compared too, lose nothing themselves and are none of the worst."""
    layers = _compared(made, "planted", "healed")
    assert len(layers) == len(_compared(made, "planted"))
    kept = [layer for layer in layers if not layer.quantized]
    assert [_is_planted(layer.name) for layer in kept] == [True] * 3
    assert max(layer.added for layer in kept) < 1e-6
    assert not set(worst_layers(layers, len(layers))) & {layer.name for layer in kept}


def test_a_model_against_itself_is_perfect(made: Path) -> None:
    """No layer of the float file differs from itself, so there is none to leave in float."""
    layers = _compared(made, "sound", "float32")
    assert {layer.snr_db for layer in layers} == {PERFECT_DB}
    assert {layer.largest for layer in layers} == {0.0}
    assert min(layer.cosine for layer in layers) == pytest.approx(1.0)
    assert worst_layers(layers, 3) == ()


def test_int16x8_is_compared_up_to_its_ends(made: Path) -> None:
    """Layers of int16x8 have the same names, the last included, and err less than int8's."""
    fine, coarse = _compared(made, "sound", "int16x8"), _compared(made, "sound")
    assert [layer.name for layer in fine] == [layer.name for layer in coarse]
    assert all(a.added < b.added for a, b in zip(fine, coarse, strict=True))


def test_figures_are_those_of_the_definition(made: Path) -> None:
    """Error, ratio and cosine of the output are what numpy makes of both files' outputs."""
    floats, quantized = _outputs(made, "sound.float32"), _outputs(made, "sound.int8")
    error = np.abs(floats - quantized)
    layer = _compared(made, "sound")[-1]
    assert layer.largest == pytest.approx(error.max(), rel=1e-5)
    assert layer.mean == pytest.approx(error.mean(), rel=1e-4)
    assert layer.snr_db == pytest.approx(
        10 * np.log10((floats**2).sum() / (error**2).sum()), abs=0.01
    )
    lengths = np.linalg.norm(floats) * np.linalg.norm(quantized)
    assert layer.cosine == pytest.approx(float((floats * quantized).sum() / lengths), abs=1e-6)


def test_saturation_counts_what_lies_outside(made: Path) -> None:
    """Pictures brighter than any in the calibration leave the range; those of it hardly do."""
    floats, quantized = _content(made, "sound.float32"), _content(made, "sound.int8")
    first, *_ = compare_layers(floats, quantized, pictures(seed=1, count=PICTURES))
    assert first.saturated == 0.0
    brighter, *_ = compare_layers(floats, quantized, [picture * 3 for picture in HELD_BACK])
    assert brighter.saturated > 0.01
    assert (brighter.low, brighter.high) == (first.low, first.high)
    # The activation clips at 0 in both files; that is no saturation.
    assert first.low == 0.0


def test_histogram_counts_float_values(made: Path) -> None:
    """Each value of a small layer is counted once, and none lies below the 0 of a ReLU."""
    layers = _compared(made, "sound")
    for layer in layers:
        low, high = layer.histogram_range
        assert len(layer.histogram) == BINS
        assert low < layer.low < layer.high < high
        edges = np.linspace(low, high, BINS + 1)
        if layer.low == 0.0:
            assert sum(np.array(layer.histogram)[edges[1:] < 0]) == 0
    assert sum(layers[-1].histogram) == len(HELD_BACK) * 4


@pytest.mark.parametrize("form", ["map", "list"])
def test_score_beside_boxes_is_lost(made: Path, form: str) -> None:
    """A score that shares the scale of boxes in pixels has no values left; the boxes have."""
    spec = read_back(_content(made, f"boxes_{form}.int8"), "int8").outputs["found"]
    assert spec.scale is not None
    floats = _outputs(made, f"boxes_{form}.float32")
    assert unlike_channels([floats], spec.scale) == (4,)
    error = np.abs(floats - _outputs(made, f"boxes_{form}.int8"))
    assert error[..., 4].max() > 0.3


@pytest.mark.parametrize("form", ["map", "list"])
def test_parts_in_float_keep_their_own_scales(made: Path, form: str) -> None:
    """With the join in float, and all that only moves a part, boxes and score are both good."""
    floats, healed = (_outputs(made, f"boxes_{form}.{name}") for name in ("float32", "healed"))
    error = np.abs(floats - healed)
    assert error[..., 4].max() < 0.05
    assert error[..., :4].max() < np.ptp(floats[..., :4]) / 50
    assert read_back(_content(made, f"boxes_{form}.healed"), "int8").outputs["found"].scale is None
    operators = read_operators(_content(made, f"boxes_{form}.healed"))
    joined = {operator.name for operator in operators if operator.floats}
    assert joined - {"DEQUANTIZE"} == {"CONCATENATION"} | ({"RESHAPE"} if form == "list" else set())


@pytest.mark.parametrize("form", ["map", "list"])
def test_parts_of_like_range_share_a_scale(made: Path, form: str) -> None:
    """Boxes in fractions beside a score need no layer in float."""
    content = _content(made, f"fractions_{form}.float32")
    assert unlike_layers(content, HELD_BACK) == ()
    spec = read_back(_content(made, f"fractions_{form}.int8"), "int8").outputs["found"]
    assert spec.scale is not None
    assert unlike_channels([_outputs(made, f"fractions_{form}.float32")], spec.scale) == ()


def test_one_operator_with_unlike_channels_is_found(made: Path) -> None:
    """A dense layer that gives hundreds beside ones is left in float itself, and mended by it."""
    (layer,) = unlike_layers(_content(made, "head.float32"), HELD_BACK)
    assert layer == read_operators(_content(made, "head.float32"))[-1].outputs[0]
    floats = _outputs(made, "head.float32")
    spoilt = np.abs(floats - _outputs(made, "head.int8"))[:, 1:].max()
    assert np.abs(floats - _outputs(made, "head.healed"))[:, 1:].max() < spoilt / 4


def test_channels_without_values_need_no_steps() -> None:
    """A channel that is always 0 is not lost, one that is always 1 is; neither if all are small."""
    wide = np.linspace(-500, 500, 50, dtype=np.float32)
    table = np.stack([wide, np.zeros(50, np.float32), np.ones(50, np.float32)], axis=-1)
    assert unlike_channels([table[:20], table[20:]], 4.0) == (2,)
    assert unlike_channels([table[:, 1:]], 4.0) == ()
    assert unlike_channels([], 4.0) == ()


def test_join_leaves_others_their_own_scale(made: Path) -> None:
    """What a join forces into a coarse scale keeps its own for whoever else takes it, in int8."""
    layers = {layer.name: layer for layer in _compared(made, "skip")}
    (encoder,) = [layer for name, layer in layers.items() if "/encoder_" in name.split(";")[0]]
    (joined,) = [layer for layer in layers.values() if layer.operator == "CONCATENATION"]
    assert joined.high > 20 * encoder.high
    assert encoder.snr_db > 30
    content = (made / "skip.int8.tflite").read_bytes()
    assert not any(operator.floats for operator in read_operators(content))
    between = [o for o in read_operators(content) if o.name == "QUANTIZE"]
    assert len(between) == 1
