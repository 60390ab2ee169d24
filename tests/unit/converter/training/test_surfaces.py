"""What a segmenter trains on: which pictures, and how they become strips."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tensorflow", reason="training needs the convert extra")

from converter.training import SegmenterTraining
from converter.training.strips import (
    Drawing,
    draw_batch,
    drawn_surface,
    lay,
    to_input,
    to_masks,
)
from converter.training.surfaces import Surface, Surfaces, load_surfaces, quadrants
from edge.errors import DataError
from edge.evaluation.rle import encode_rle

pytestmark = pytest.mark.convert

LABELS = ("one", "two")


def _settings(**changes: object) -> SegmenterTraining:
    values = {
        "labels": LABELS,
        "sources": ("tiles",),
        "height": 32,
        "width": 128,
        "tiles": 4,
        "picture_fraction": 0.25,
        "batch": 2,
    }
    return SegmenterTraining.model_validate(values | changes)


def _write(folder: Path, count: int) -> None:
    """Tiles of noise of 24×24 with class 1 or 2 in the upper left corner, every fourth clean."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(1)
    rows = ["ImageId,ClassId,EncodedPixels"]
    for k in range(count):
        image = rng.integers(0, 255, (24, 24)).astype(np.uint8)
        assert cv2.imwrite(str(folder / "images" / f"t_{k:02}.png"), image)
        if k % 4:
            mask = np.zeros((24, 24), np.bool_)
            mask[2:8, 2:8] = True
            rows.append(f"t_{k:02}.png,{1 + k % 2},{encode_rle(mask)}")
    (folder / "train.csv").write_text("\n".join(rows) + "\n")


def test_every_picture_is_on_one_side(tmp_path: Path) -> None:
    """Labelled and clean pictures are split, quarters go with the side of their picture."""
    _write(tmp_path / "tiles", 24)
    (tmp_path / "clean").mkdir()
    rng = np.random.default_rng(2)
    for k in range(8):
        picture = rng.integers(0, 255, (20, 30)).astype(np.uint8)
        assert cv2.imwrite(str(tmp_path / "clean" / f"c_{k}.png"), picture)
    asked = _settings(clean=("clean",), quadrants=True, clean_share=0.5)
    train, held_back = load_surfaces(asked, tmp_path)
    assert len(train.labelled) + len(held_back.labelled) == 24
    assert 5 <= len(held_back.labelled) <= 7  # a quarter of each of three strata
    assert (len(train.clean["clean"]), len(held_back.clean["clean"])) == (6, 2)
    for side in (train, held_back):
        defects = sum(bool(one.held(2)) for one in side.labelled)
        clean = len(side.labelled) - defects
        assert len(side.quadrants) == 3 * defects + 4 * clean
    pictures = {one.image.tobytes() for one in train.labelled}
    assert not pictures & {one.image.tobytes() for one in held_back.labelled}


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A folder without masks, and an empty clean one, are errors that name them."""
    with pytest.raises(DataError, match="tiles"):
        load_surfaces(_settings(), tmp_path)
    _write(tmp_path / "tiles", 8)
    (tmp_path / "clean").mkdir()
    with pytest.raises(DataError, match="no labelled picture to judge on"):
        load_surfaces(_settings(picture_fraction=0.01), tmp_path)
    with pytest.raises(DataError, match="clean: holds no pictures"):
        load_surfaces(_settings(clean=("clean",), clean_share=0.1), tmp_path)


def test_quarters_without_a_defect_are_clean() -> None:
    """Of a picture with a defect in one quarter the other three are taken."""
    index = np.zeros((20, 20), np.uint8)
    index[3, 12] = 1
    image = np.arange(400, dtype=np.uint16).astype(np.uint8).reshape(20, 20)
    parts = quadrants(Surface(image, index))
    assert len(parts) == 3
    assert all(part.image.shape == (10, 10) and part.index is None for part in parts)
    assert {part.image[0, 0] for part in parts} == {image[0, 0], image[10, 0], image[10, 10]}
    assert quadrants(Surface(image)) == []


def test_strips_for_judging_hold_the_tiles_in_order() -> None:
    """Four tiles a strip, each with its own truth; the last strip repeats its own."""
    tiles = []
    for k in range(6):
        index = np.zeros((24, 24), np.uint8)
        index[:12] = 1 << (k % 2)
        tiles.append(Surface(np.full((24, 24), 10 * k, np.uint8), index))
    images, index = lay(tiles, _settings())
    assert [part.shape for part in (images, index)] == [(2, 32, 128)] * 2
    assert images[:, 0, ::32].tolist() == [[0, 10, 20, 30], [40, 50, 40, 50]]
    assert index[0, 0, ::32].tolist() == [1, 2, 1, 2]
    assert not index[:, 20:].any()
    assert to_masks(index, 2).sum() == 2 * 128 * 16
    assert to_input(images).max() == pytest.approx(50 / 255)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.5]))
def test_a_drawn_batch_is_an_input_with_its_truth(seed: int, share: float) -> None:
    """Pixels in [0, 1], masks of 0 and 1, of the asked size, and the same seed draws the same."""
    index = np.zeros((24, 24), np.uint8)
    index[4:20, 4:20] = 2
    image = np.where(index > 0, 250, 20).astype(np.uint8)
    side = Surfaces((Surface(image, index),), {"c": (Surface(np.full((30, 20), 20, np.uint8)),)})
    asked = _settings(clean=("c",), clean_share=share)
    drawing = Drawing.of(side, 2)
    pixels, masks = draw_batch(drawing, asked, np.random.default_rng(seed))
    assert [part.shape for part in (pixels, masks)] == [(2, 32, 128, 1), (2, 32, 128, 2)]
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert set(np.unique(masks)) <= {0.0, 1.0}
    assert not masks[..., 0].any()
    again = draw_batch(drawing, asked, np.random.default_rng(seed))
    assert all(np.array_equal(a, b) for a, b in zip((pixels, masks), again, strict=True))
    if not share:  # the mask is turned and flipped with its pixels: what is true is brighter
        true = masks[..., 1] > 0
        assert true.any()
        if not true.all():
            assert pixels[..., 0][true].mean() > pixels[..., 0][~true].mean()


def test_labels_are_drawn_alike() -> None:
    """A rare label comes as often as a common one."""
    rng = np.random.default_rng(5)
    common = [Surface(np.full((24, 24), 99, np.uint8), np.full((24, 24), 1, np.uint8))] * 30
    rare = Surface(np.full((24, 24), 99, np.uint8), np.full((24, 24), 2, np.uint8))
    drawing = Drawing.of(Surfaces((*common, rare), {}), 2)
    share = np.mean(
        [draw_batch(drawing, _settings(), rng)[1].mean(axis=(0, 1, 2)) for _ in range(40)], axis=0
    )
    assert share == pytest.approx([0.5, 0.5], abs=0.1)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_drawn_surface_is_a_picture(seed: int) -> None:
    """It has the asked size and more than one grey."""
    surface = drawn_surface(np.random.default_rng(seed), (40, 90))
    assert surface.shape == (40, 90)
    assert surface.dtype == np.uint8
    assert surface.std() > 0
