"""The camera over the drawn strip, the encoder beside it, and how well the two agree."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edge.demo.coil import Coil
from edge.demo.line_camera import StripEncoder, StripSource
from edge.demo.motion import Motion
from edge.errors import SourceUnavailable
from edge.line.position import EncoderPositioner
from edge.line.speed import SpeedPositioner
from edge.protocols import Encoder
from edge.records import EncoderSample, Frame

PX = 0.5
COUNT_MM = 0.1
MS = 1_000_000
MOTION = Motion(1000.0, variation=0.3, period_s=2.0, ramp_s=0.5)


class Clock:
    """The monotonic clock, set by hand."""

    def __init__(self) -> None:
        self.ns = 7_000_000_000

    def monotonic_ns(self) -> int:
        """Now."""
        return self.ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What camera and encoder take for the time."""
    found = Clock()
    monkeypatch.setattr(time, "monotonic_ns", found.monotonic_ns)
    return found


def _coil(length_mm: float = 3000.0) -> Coil:
    return Coil.standard(1, length_mm=length_mm, mm_per_px=PX)


def _source(coil: Coil, motion: Motion = MOTION, fps: float = 10.0) -> StripSource:
    return StripSource(coil, motion, "line", width_px=400, height_px=200, fps=fps)


def _read(source: StripSource) -> Frame:
    frame = source.read()
    assert frame is not None
    return frame


def test_a_frame_shows_the_strip_at_its_moment(clock: Clock) -> None:
    """However late it was taken: picture and ``captured_ns`` belong together."""
    coil = _coil()
    source = _source(coil)
    source.open()
    began_ns = clock.ns
    for late_ns in (0, 100 * MS, 263 * MS, 1_000_001):
        clock.ns += late_ns
        frame = _read(source)
        assert frame.captured_ns == clock.ns
        position_mm = MOTION.mm((clock.ns - began_ns) / 1e9)
        assert np.array_equal(frame.image, coil.window(position_mm, 400, 200))


def test_frames_that_nobody_took_are_lost(clock: Clock) -> None:
    """Frame k is due k / fps after the opening; a reader that comes late gets the newest."""
    source = _source(_coil())
    assert (source.live, source.due_ns) == (True, 0)
    source.open()
    began_ns = clock.ns
    assert _read(source).sequence == 0
    assert source.due_ns == began_ns + 100 * MS
    clock.ns = source.due_ns
    assert _read(source).sequence == 1
    clock.ns = began_ns + 555 * MS
    assert _read(source).sequence == 5
    assert source.due_ns == began_ns + 600 * MS


def test_the_source_ends_when_the_strip_has_left_the_picture(clock: Clock) -> None:
    """One frame behind the tail, not before."""
    motion = Motion(1000.0, 0.0, ramp_s=0.0)
    source = _source(_coil(1000.0), motion)  # 1000 mm and 200 of the picture
    source.open()
    clock.ns += 1199 * MS
    _read(source)
    clock.ns += 2 * MS
    assert (source.read(), source.read(), source.due_ns) == (None, None, 0)


def test_a_source_that_is_not_open_says_so() -> None:
    """Before it was opened, and after it was closed, which may be done at any time."""
    source = _source(_coil())
    source.close()
    for _ in range(2):
        with pytest.raises(SourceUnavailable, match="not open"):
            source.read()
        source.open()
        source.close()
    for fps in (0.0, float("nan"), 1001.0):
        with pytest.raises(ValueError, match="fps"):
            _source(_coil(), fps=fps)


def test_the_encoder_counts_from_the_cameras_opening(clock: Clock) -> None:
    """Nothing before; then whole steps of what the picture shows, and anew when it begins anew."""
    source = _source(_coil())
    encoder = StripEncoder(source.run, COUNT_MM)
    assert isinstance(encoder, Encoder)
    encoder.open()
    assert encoder.read() == EncoderSample(0, clock.ns)
    clock.ns += 500 * MS
    assert encoder.read().count == 0
    source.open()
    clock.ns += 800 * MS
    assert encoder.read() == EncoderSample(MOTION.count(0.8, COUNT_MM), clock.ns)
    assert encoder.read().count > 1000
    source.close()
    assert encoder.read().count > 1000
    source.open()
    assert encoder.read().count == 0
    encoder.close()
    with pytest.raises(ValueError, match="mm_per_count"):
        StripEncoder(source.run, 0.0)


def test_picture_and_encoder_agree(clock: Clock) -> None:
    """The picture at the encoder's position is the frame within a fifth of a pixel."""
    coil = _coil()
    source = _source(coil)
    encoder = StripEncoder(source.run, COUNT_MM)
    source.open()
    for _ in range(20):
        clock.ns += 97 * MS
        counted_mm = encoder.read().count * COUNT_MM
        seen = _read(source).image.astype(int)
        steps = [counted_mm + k * PX for k in range(-2, 3)]
        off = [np.abs(coil.window(mm, 400, 200) - seen).sum() for mm in steps]
        assert int(np.argmin(off)) == 2
        assert 0.0 <= source.run.mm(clock.ns) - counted_mm < COUNT_MM + 1e-9


def _errors(positioner: EncoderPositioner | SpeedPositioner) -> list[tuple[float, float]]:
    """By how much the positions of frames are wrong, and by how much they say they may be."""
    began_ns = 5_000_000_000
    found = []
    counted_ns = began_ns
    for k in range(120):
        frame_ns = began_ns + round(k * 1e9 / 17) + 1_234_567 * (k > 0)
        while isinstance(positioner, EncoderPositioner) and counted_ns <= frame_ns + 5 * MS:
            count = MOTION.count((counted_ns - began_ns) / 1e9, COUNT_MM)
            positioner.tell(EncoderSample(count, counted_ns))
            counted_ns += 5 * MS
        position = positioner.at(frame_ns)
        assert position is not None
        true_mm = MOTION.mm((frame_ns - began_ns) / 1e9)
        found.append((abs(position.mm - true_mm), position.error_mm))
    return found


def test_an_encoder_tells_the_position_within_a_pixel() -> None:
    """Counts every 5 ms, at a speed that varies by 30 %: and never worse than it says itself."""
    errors = _errors(EncoderPositioner(COUNT_MM))
    assert max(error for error, _ in errors) < PX
    assert all(error <= bound for error, bound in errors)


def test_a_constant_speed_does_not() -> None:
    """The same strip, taken to run at its mean speed: off by many pixels, and out of its bound."""
    errors = _errors(SpeedPositioner(1000.0))
    assert max(error for error, _ in errors) > 100 * PX
    assert any(error > bound for error, bound in errors)
