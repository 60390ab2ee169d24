"""Run lengths of masks."""

from __future__ import annotations

import csv

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.evaluation.rle import decode_rle, encode_rle
from tests.helpers.data import data_dir

_SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)


@st.composite
def _runs(draw: st.DrawFn) -> tuple[str, int, int]:
    """A text of runs with a pixel between each two, and the height and width of its picture."""
    height, width = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    edges = sorted(draw(st.sets(st.integers(1, height * width + 1), max_size=40)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    text = " ".join(f"{start} {end - start}" for start, end in pairs)
    return text, height, width


@given(hnp.arrays(np.bool_, _SHAPES))
def test_a_mask_comes_back(mask: npt.NDArray[np.bool_]) -> None:
    """Any mask is the same after encoding and decoding."""
    decoded = decode_rle(encode_rle(mask), *mask.shape)
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, mask)


@given(_runs())
def test_a_text_comes_back(runs: tuple[str, int, int]) -> None:
    """Any text of runs that do not touch is the same after decoding and encoding."""
    text, height, width = runs
    assert encode_rle(decode_rle(text, height, width)) == text


def test_runs_go_down_the_columns_from_one() -> None:
    """Pixel 1 is the upper left one, pixel 2 the one below; a run goes on in the next column."""
    expected = [
        [True, True, False],
        [False, True, False],
        [False, False, True],
        [True, False, True],
    ]
    mask = decode_rle("1 1 4 3 11 2", 4, 3)
    assert mask.tolist() == expected
    assert encode_rle(mask) == "1 1 4 3 11 2"
    assert not decode_rle("", 4, 3).any()
    assert encode_rle(np.zeros((4, 3), np.bool_)) == ""
    assert decode_rle("1 12", 4, 3).all()


def test_runs_that_touch_are_no_overlap() -> None:
    """A run may begin where the one before it ends; written anew they are one."""
    assert encode_rle(decode_rle("3 2 5 4", 4, 3)) == "3 6"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 2 3", "3 numbers, needs pairs"),
        ("7", "1 numbers"),
        ("1 3 3 1", "overlaps the one before"),
        ("5 2 1 2", "stands before it"),
        ("1 2 1 2", "overlaps"),
        ("0 3", "below 1"),
        ("3 0", "below 1"),
        ("-3 2", "'-3' is no whole number"),
        ("1.5 2", "'1.5' is no"),
        ("nan 2", "'nan' is no"),
        ("1_0 2", "'1_0' is no"),
        ("٣ 2", "is no whole number"),
        ("1 " + "9" * 40, "is no whole number"),
        ("12 2", "ends at pixel 13 of a picture of 4×3"),
        ("13 1", "ends at pixel 13"),
        ("999999999999999 999999999999999", "ends at pixel"),
    ],
)
def test_wrong_runs_are_refused(text: str, says: str) -> None:
    """What is odd, no number, empty, out of order, overlapping or outside is named."""
    with pytest.raises(ValueError, match=says):
        decode_rle(text, 4, 3)


@pytest.mark.data
def test_severstal_runs_come_back() -> None:
    """Every mask of the real csv files has pixels in its frame and encodes to the same text."""
    surface = data_dir("surface_defect")
    sizes = {
        "severstal/train.csv": (256, 1600),
        "severstal/kaggle_train_csv_sample_rows.csv": (256, 1600),
        "neu_seg/single/train.csv": (200, 200),
    }
    seen = 0
    for name, (height, width) in sizes.items():
        with (surface / name).open(newline="", encoding="utf-8") as file:
            texts = [row[-1] for row in csv.reader(file)][1:]
        for text in filter(None, texts):
            mask = decode_rle(text, height, width)
            assert mask.shape == (height, width)
            assert mask.sum() == sum(map(int, text.split()[1::2]))
            assert encode_rle(mask) == text
            seen += 1
    assert seen > 700
