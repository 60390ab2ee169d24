"""Crops to train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converter.training.augment import draw_chin_mask, draw_mask
from converter.training.classifier_samples import (
    Sample,
    Samples,
    box_samples,
    cut,
    portrait_samples,
    stranger_samples,
)
from converter.training.classifier_samples import draw_batch as draw_crops
from converter.training.detector_samples import (
    Sources,
    as_sides,
    draw_batch,
    draw_view,
    visible,
)
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
        view = draw_view(Sources([painted()]), 256, settings, np.random.default_rng(seed))
        for x0, y0, x1, y1 in visible(view.boxes, 256, 8)[0]:
            red = (view.image[..., 2] > 110) & (view.image[..., 1] < 100)
            inner = red[round(y0) + 1 : round(y1) - 1, round(x0) + 1 : round(x1) - 1]
            assert inner.mean() > 0.8  # a turned face does not fill its box
            seen += 1
    assert seen > 30


def test_large_crops_hold_large_faces() -> None:
    """Faces from 70 px to the largest wanted are common in the large crops."""
    settings, rng = DetectorTraining(), np.random.default_rng(0)
    sides = []
    for _ in range(60):
        boxes, _ = visible(draw_view(Sources([painted()]), 384, settings, rng).boxes, 384, 6)
        sides += (boxes[:, 2:] - boxes[:, :2]).max(axis=1).tolist()
    assert np.mean(np.array(sides) > 150) > 0.2
    assert max(sides) <= 384


def test_corners_as_sides() -> None:
    """What the contract's geometry wants; no box stays no box."""
    corners = np.array([[10, 20, 40, 25], [0, 0, 1, 2]], np.float32)
    assert as_sides(corners).tolist() == [[10, 20, 30, 5], [0, 0, 1, 2]]
    assert as_sides(corners[:0]).shape == (0, 4)


def test_small_and_hidden_faces_are_ignored() -> None:
    """Too small, mostly outside, or gone: the first two are ignored, the last is forgotten."""
    boxes = np.array([[10, 10, 40, 40], [50, 50, 54, 54], [-30, 0, 10, 20], [90, 0, 120, 9]])
    learn, ignore = visible(boxes.astype(np.float32), 80, 6)
    assert learn.tolist() == [[10, 10, 40, 40]]
    assert ignore.tolist() == [[50, 50, 54, 54], [0, 0, 10, 20]]


def test_batches_have_the_promised_shapes() -> None:
    """Small crops come in full batches, large ones in half, with grids a quarter as wide."""
    settings = DetectorTraining(batch=2, large_share=0.0)
    shapes = [a.shape for a in draw_batch(Sources([painted()]), settings, np.random.default_rng(0))]
    assert shapes == [(2, 256, 256, 3), *[(2, 64, 64)] * 2, (2, 64, 64, 4), (2, 64, 64)]
    settings = DetectorTraining(batch=2, large_share=1.0)
    assert draw_batch(Sources([painted()]), settings, np.random.default_rng(0))[0].shape == (
        1,
        384,
        384,
        3,
    )


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
    crops = [[Sample(image, (0, 0, 320, 240), label)] * (1 + 9 * label) for label in (0, 1)]
    settings = ClassifierTraining(batch=8)
    samples = Samples(crops, [[], []])
    images, labels = draw_crops(samples, settings, np.random.default_rng(0))
    assert images.shape == (8, 64, 64, 3)
    assert labels.sum(axis=0).tolist() == [4, 4]


def portrait() -> Picture:
    """A tidy crop: one blue face on white, with a doubtful box in a corner."""
    image = np.full((120, 100, 3), 255, np.uint8)
    image[30:90, 30:70] = (220, 0, 0)
    boxes, doubts = np.array([[30, 30, 70, 90]], np.float32), np.array([[0, 0, 9, 9]], np.float32)
    return Picture(Path("without_mask/bal_1.png"), image, boxes, ("face",), doubts)


def test_a_pasted_face_has_its_box_and_hides_what_is_behind() -> None:
    """Blue faces lie in boxes of their own; no box of the ground is left under the patch."""
    settings = DetectorTraining(portrait_share=1.0)
    sources = Sources([painted()], [portrait()])
    blue_boxes = 0
    for seed in range(40):
        view = draw_view(sources, 256, settings, np.random.default_rng(seed))
        for x0, y0, x1, y1 in np.rint(visible(view.boxes, 256, 8)[0]).astype(int):
            inner = view.image[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].astype(int)
            blue = (inner[..., 0] > 120) & (inner[..., 2] < 100)
            red = (inner[..., 2] > 110) & (inner[..., 1] < 100)
            assert max(blue.mean(), red.mean()) > 0.6
            blue_boxes += blue.mean() > 0.9
    assert blue_boxes > 25


def test_doubtful_boxes_are_blanked_out_of_the_loss() -> None:
    """What may be a face nobody labelled costs nothing; without the doubt it does."""
    image = np.zeros((256, 256, 3), np.uint8)
    none, doubt = np.zeros((0, 4), np.float32), np.array([[0, 0, 256, 256]], np.float32)
    settings = DetectorTraining(batch=1, large_share=0.0)
    for doubtful, least in ((doubt, 0.0), (none, 1.0)):
        sources = Sources([Picture(Path("a.png"), image, none, (), doubtful)])
        keeps = [
            draw_batch(sources, settings, np.random.default_rng(seed))[2].min() for seed in range(5)
        ]
        assert min(keeps) == least


def test_a_tidy_crop_is_also_seen_as_its_detected_face() -> None:
    """The face itself is a region where one sure face is all there is; else the whole crop is."""
    sure = replace(portrait(), doubtful=np.zeros((0, 4), np.float32))
    (sample,) = portrait_samples([sure], 0.2)
    assert (sample.label, sample.region) == (1, (0.0, 0.0, 100.0, 120.0))
    (other,) = sample.others
    assert other == pytest.approx((22, 18, 78, 102))
    (unsure,) = portrait_samples([portrait()], 0.2)
    assert (unsure.others, unsure.face) == ((), None)


def test_strangers_touch_no_face() -> None:
    """Regions of no label lie beside every face and every doubt, and inside the picture."""
    doubt = np.array([[200, 100, 300, 200]], np.float32)
    picture = replace(painted(), doubtful=doubt)
    samples = stranger_samples([picture], 50, seed=1)
    assert len(samples) == 50
    for sample in samples:
        x0, y0, x1, y1 = sample.region
        assert sample.label is None
        assert 0 <= x0 < x1 <= 320
        assert 0 <= y0 < y1 <= 240
        assert not (x0 < 150 and x1 > 100 and y0 < 130 and y1 > 60)
        assert not (x0 < 300 and x1 > 200 and y0 < 200 and y1 > 100)


def test_a_stranger_is_neither_with_nor_without_a_mask() -> None:
    """Its target is half and half, so that it raises no alert."""
    stranger = Sample(painted().image, (0, 0, 60, 60), None)
    settings = ClassifierTraining(batch=4, stranger_share=1.0)
    samples = Samples([[], []], [[], []], [stranger])
    _, targets = draw_crops(samples, settings, np.random.default_rng(0))
    assert (targets == 0.5).all()


def test_a_drawn_mask_changes_the_label_and_a_chin_mask_does_not() -> None:
    """Of bare faces some get a mask and its label; masks below the chin keep the bare label."""
    bare = Sample(painted().image, (90, 46, 160, 144), 1, face=(100, 60, 150, 130))
    settings = ClassifierTraining(batch=200, stranger_share=0.0)
    samples = Samples([[bare], [bare]], [[], []])
    _, targets = draw_crops(samples, settings, np.random.default_rng(0))
    assert 0.05 < targets[:, 0].mean() < 0.25
    hidden = replace(bare, face=None)
    _, targets = draw_crops(
        Samples([[hidden], [hidden]], [[], []]), settings, np.random.default_rng(0)
    )
    assert (targets[:, 1] == 1).all()


def test_masks_cover_the_mouth_and_chin_masks_do_not() -> None:
    """The mouth lies at three quarters of a face's height."""
    box = np.array([20, 20, 80, 100], np.float32)
    for seed in range(20):
        for draw, covered in ((draw_mask, True), (draw_chin_mask, False)):
            image = np.full((140, 100, 3), 7, np.uint8)
            draw(image, box, np.random.default_rng(seed))
            assert bool((image[80, 50] != 7).any()) == covered
            assert (image[30, 50] == 7).all()
