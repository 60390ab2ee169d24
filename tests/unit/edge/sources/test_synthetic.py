"""Pictures computed from their number."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest

from edge.protocols import Source
from edge.records import Frame, Image
from edge.sources import open_source
from edge.sources.scenes import Blobs, Cast
from tests.helpers.media import decoded, frames_of

MANY = 1_000_000_000


def _opened(scene: str) -> Source:
    source = open_source(f"synthetic://{scene}", camera="door")
    source.open()
    return source


def _first(scene: str) -> Frame:
    frame = decoded(_opened(scene).read())
    assert frame is not None
    return frame


def _digest(source: Source, count: int) -> str:
    """One hash over the pixels of some frames."""
    total = hashlib.sha256()
    for frame in frames_of(source, count):
        total.update(frame.image.tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("scene", ["blobs?faces=3&", "noise?", "gradient?", "black?"])
def test_another_process_computes_the_same_bytes(scene: str) -> None:
    """The URI and the number decide every byte."""
    scene += "width=80&height=60&pace=fast"
    code = (
        "from tests.unit.edge.sources.test_synthetic import _digest, _opened; "
        f"print(_digest(_opened({scene!r}), 5))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()

    assert _digest(_opened(scene), 5) == there


@pytest.mark.parametrize("scene", ["blobs", "noise"])
def test_another_seed_gives_other_pictures(scene: str) -> None:
    """The seed matters."""
    options = "width=80&height=60&pace=fast"

    assert _digest(_opened(f"{scene}?{options}&seed=1"), 2) != _digest(
        _opened(f"{scene}?{options}&seed=2"), 2
    )


@pytest.mark.parametrize(
    ("scene", "different"),
    [("blobs?faces=0&", 64), ("noise?", 64), ("gradient?", 64), ("black?", 1)],
)
def test_only_black_stands_still(scene: str, different: int) -> None:
    """Of every scene but black 64 frames in a row are all different; the ground of blobs too."""
    frames = frames_of(_opened(f"{scene}width=80&height=60&pace=fast"), 64)

    assert len({frame.image.tobytes() for frame in frames}) == different


def test_unless_said_otherwise_it_is_as_a_small_camera() -> None:
    """640 × 480 pixels at 15 frames/s without end; the URI wins over the camera's keys."""
    source = _opened("black")
    frame = decoded(source.read())
    assert frame is not None
    asked = open_source("synthetic://black?width=32", camera="door", width=64, height=48, fps=2.0)
    asked.open()
    other = decoded(asked.read())
    assert other is not None

    assert (frame.width, frame.height, source.live) == (640, 480, False)
    assert source.due_ns - frame.captured_ns == pytest.approx(1e9 / 15, abs=2)
    assert (other.width, other.height) == (32, 48)
    assert asked.due_ns - other.captured_ns == 500_000_000


def _discs(image: Image) -> dict[str, int]:
    """How many pixels are bluish and reddish."""
    blue, red = image[..., 0].astype(int), image[..., 2].astype(int)
    return {"bluish": int((blue - red > 60).sum()), "reddish": int((red - blue > 60).sum())}


def test_a_disc_has_the_size_that_the_test_models_look_for() -> None:
    """At 640 × 480 a disc is 80 pixels wide, which is 16 at the model's 128 × 96."""
    image = _first("blobs").image
    rows, columns = np.nonzero(image[..., 2] > 200)

    assert np.ptp(rows) + 1 == pytest.approx(80, abs=2)
    assert np.ptp(columns) + 1 == pytest.approx(80, abs=2)
    assert _discs(image)["reddish"] == pytest.approx(np.pi * 40**2, rel=0.02)


def test_masked_discs_are_bluish_and_the_others_reddish() -> None:
    """Of five discs two are masked: the coloured areas are as two to three."""
    found = _discs(_first("blobs?faces=5&masked=2").image)

    assert found["bluish"] / found["reddish"] == pytest.approx(2 / 3, rel=0.01)


def test_masks_come_and_go_at_the_frames_named() -> None:
    """From ``mask_from`` until before ``mask_to`` every disc is bluish."""
    frames = frames_of(_opened("blobs?mask_from=3&mask_to=6&pace=fast&width=80&height=60"), 9)

    bluish = [_discs(frame.image)["bluish"] > 0 for frame in frames]

    assert bluish == [False] * 3 + [True] * 3 + [False] * 3


@pytest.mark.parametrize("faces", [1, 2, 7, 32, 100])
def test_discs_stay_whole_apart_and_move_smoothly(faces: int) -> None:
    """However many there are, every disc stays within the picture and clear of the others, and
    moves by less than a quarter of its width from frame to frame.
    """
    blobs = Blobs(640, 480, 0, Cast(faces, 0, MANY, MANY))
    radius = blobs.diameter_px / 2
    places = np.array([[blobs.center(f, n) for f in range(faces)] for n in range(300)])

    assert (places - radius).min() >= 0
    assert ((places + radius).max(axis=(0, 1)) <= (640, 480)).all()
    gaps = np.linalg.norm(places[:, :, None] - places[:, None], axis=3)
    assert gaps[:, ~np.eye(faces, dtype=bool)].min(initial=np.inf) > blobs.diameter_px
    assert np.linalg.norm(np.diff(places, axis=0), axis=2).max() < blobs.diameter_px / 4


def test_a_live_source_loses_what_nobody_takes() -> None:
    """``live=1``: a reader that was away for six frames gets the one of now; the gap shows."""
    source = _opened("black?fps=50&live=1&width=32&height=24")
    first = source.read()
    assert first is not None
    until_ns = first.captured_ns + 130_000_000
    while time.monotonic_ns() < until_ns:
        time.sleep(0.005)
    late = source.read()
    assert late is not None

    assert source.live
    assert late.sequence == (late.captured_ns - first.captured_ns) // 20_000_000
    assert late.sequence >= 6
    assert source.due_ns == first.captured_ns + (late.sequence + 1) * 20_000_000


def test_a_source_that_waits_loses_nothing() -> None:
    """The twin: without ``live`` the same absence costs no frame."""
    source = _opened("black?fps=50&width=32&height=24")
    first = source.read()
    assert first is not None
    until_ns = first.captured_ns + 130_000_000
    while time.monotonic_ns() < until_ns:
        time.sleep(0.005)
    late = source.read()
    assert late is not None

    assert late.sequence == 1
