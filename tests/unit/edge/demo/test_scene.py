"""The demo's default picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.demo import scene
from edge.errors import ExtraAbsent


def test_the_portrait_is_the_one_in_scikit_images_wheel() -> None:
    """The file read directly holds the pixels that skimage.data.astronaut gives."""
    from skimage.data import astronaut

    assert np.array_equal(scene.portrait()[..., ::-1], astronaut())


def test_the_mask_comes_and_goes() -> None:
    """The face is covered in light blue in the first and last part, and bare between."""

    def bluish(moment: float) -> int:
        frame = scene.render(moment).astype(int)
        return int((frame[..., 0] - frame[..., 2] > 50).sum())

    # The same place twice: the person is where it was after half a round.
    for masked in (0.1, 0.9):
        assert bluish(masked) > bluish(0.5) + 3000


def test_the_picture_says_that_the_mask_is_drawn() -> None:
    """The caption is in the frame, plain about where portrait and mask come from."""
    assert "drawn" in scene.CAPTION
    frame = scene.render(0.0)
    assert frame[-26:, :400].min() < 100
    assert frame.shape == (scene.HEIGHT, scene.WIDTH, 3)


def test_the_clip_is_readable(tmp_path: Path) -> None:
    """The written file gives back every frame at its size and pace."""
    path = tmp_path / "clip.avi"
    assert scene.write_clip(path, 1.0) == scene.FPS
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == scene.FPS
    frames = 0
    while True:
        read, image = capture.read()
        if not read:
            break
        frames += 1
        assert np.abs(image.astype(int) - scene.render((frames - 1) / 15)).mean() < 4
    capture.release()
    assert frames == scene.FPS


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is one pip command, or a source of one's own."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(scene, "find_spec", lambda name: None)
    with pytest.raises(ExtraAbsent, match=r"linesight\[demo\]"):
        scene.portrait()
