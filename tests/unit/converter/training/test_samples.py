"""Crops to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converter.training.classifier_samples import Sample, box_samples, cut
from converter.training.classifier_samples import draw_batch as draw_crops
from converter.training.detector_samples import draw_batch, draw_view, visible
from converter.training.pictures import Picture, letterbox, to_tensor
from converter.training.settings import ClassifierTraining, DetectorTraining


def painted() -> Picture:
    """A picture whose one face is a red rectangle on green."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[:] = (0, 160, 0)
    image[60:130, 100:150] = (0, 0, 220)
    box = np.array([[100, 60, 150, 130]], np.float32)
    return Picture(Path("painted.png"), image, box, ("with_mask",))


def test_boxes_follow_their_faces() -> None:
    """A crop moves the box with the picture: red inside, not red around."""
    settings = DetectorTraining()
    seen = 0
    for seed in range(40):
        view = draw_view([painted()], 256, settings, np.random.default_rng(seed))
        for x0, y0, x1, y1 in visible(view.boxes, 256, 8)[0]:
            red = (view.image[..., 2] > 110) & (view.image[..., 1] < 100)
            inner = red[round(y0) + 1 : round(y1) - 1, round(x0) + 1 : round(x1) - 1]
            assert inner.mean() > 0.95
            seen += 1
    assert seen > 30


def test_large_crops_hold_large_faces() -> None:
    """Faces from 70 px to the largest wanted are common in the large crops."""
    settings, rng = DetectorTraining(), np.random.default_rng(0)
    sides = []
    for _ in range(60):
        boxes, _ = visible(draw_view([painted()], 384, settings, rng).boxes, 384, 6)
        sides += (boxes[:, 2:] - boxes[:, :2]).max(axis=1).tolist()
    assert np.mean(np.array(sides) > 150) > 0.2
    assert max(sides) <= 384


def test_small_and_hidden_faces_are_ignored() -> None:
    """Too small, mostly outside, or gone: the first two are ignored, the last is forgotten."""
    boxes = np.array([[10, 10, 40, 40], [50, 50, 54, 54], [-30, 0, 10, 20], [90, 0, 120, 9]])
    learn, ignore = visible(boxes.astype(np.float32), 80, 6)
    assert learn.tolist() == [[10, 10, 40, 40]]
    assert ignore.tolist() == [[50, 50, 54, 54], [0, 0, 10, 20]]


def test_batches_have_the_promised_shapes() -> None:
    """Small crops come in full batches, large ones in half, with grids a quarter as wide."""
    settings = DetectorTraining(batch=2, large_share=0.0)
    shapes = [a.shape for a in draw_batch([painted()], settings, np.random.default_rng(0))]
    assert shapes == [(2, 256, 256, 3), *[(2, 64, 64)] * 2, (2, 64, 64, 4), (2, 64, 64)]
    settings = DetectorTraining(batch=2, large_share=1.0)
    assert draw_batch([painted()], settings, np.random.default_rng(0))[0].shape == (1, 384, 384, 3)


def test_a_vga_frame_needs_no_bars() -> None:
    """640×480 fits the detector's input exactly; a wide frame gets grey bars above and below."""
    canvas, scale, left, top = letterbox(np.zeros((480, 640, 3), np.uint8), 384, 512)
    assert (scale, left, top, int(canvas.max())) == (0.8, 0, 0, 0)
    canvas, _, left, top = letterbox(np.zeros((360, 640, 3), np.uint8), 384, 512)
    assert (left, top) == (0, 48)
    assert set(canvas[:48].ravel()) == {127}


def test_tensor_is_rgb_from_minus_one_to_one() -> None:
    """Pure blue in BGR is the third channel's 1."""
    tensor = to_tensor(np.array([[[255, 0, 0]]], np.uint8))
    assert tensor.tolist() == [[[-1.0, -1.0, 1.0]]]


def test_margin_grows_the_box_on_every_side() -> None:
    """A margin of 0.2 makes a 50×70 box 70×98 and leaves its centre."""
    region = box_samples([painted()], 0.2)[0].region
    assert region == pytest.approx((90, 46, 160, 144))


def test_a_region_beyond_the_picture_is_cut_off() -> None:
    """Nothing is invented outside the picture."""
    red = np.full((20, 20, 3), 200, np.uint8)
    assert (cut(red, (-30, -30, 10, 60), 16) == 200).all()


def test_classes_are_balanced() -> None:
    """Half of each batch wears a mask, however rare it is in the data."""
    image = painted().image
    samples = [[Sample(image, (0, 0, 320, 240), label)] * (1 + 9 * label) for label in (0, 1)]
    settings = ClassifierTraining(batch=8)
    images, labels = draw_crops(samples, [[], []], settings, np.random.default_rng(0))
    assert images.shape == (8, 64, 64, 3)
    assert labels.sum(axis=0).tolist() == [4, 4]
