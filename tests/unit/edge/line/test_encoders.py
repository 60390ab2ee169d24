"""Encoders give the count of now, lose no edge, and say when they have gone."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.errors import LineUnavailable
from edge.line.encoders import CounterEncoder, GpioEncoder, LocalEncoder
from edge.protocols import Encoder
from edge.records import EncoderSample
from tests.fakes_gpiod import CHIP, QUEUE, FakeGpiod


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeGpiod:
    """A machine with one GPIO chip."""
    fake = FakeGpiod()
    fake.install(monkeypatch)
    return fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A counter's folder as the kernel lays it out."""
    count0 = tmp_path / "counter0" / "count0"
    count0.mkdir(parents=True)
    (count0 / "count").write_text("41\n")
    return count0


def clock(monkeypatch: pytest.MonkeyPatch, at_read: Callable[[], None]) -> None:
    """Something happens whenever the encoders' clock is read; it is then always 7."""

    def monotonic_ns() -> int:
        at_read()
        return 7

    monkeypatch.setattr("edge.line.encoders.time", SimpleNamespace(monotonic_ns=monotonic_ns))


@pytest.mark.parametrize("name", ["", "count"])
def test_counter_is_read_anew(folder: Path, name: str) -> None:
    """A counter named by its folder or its file gives the count that it has now."""
    encoder = CounterEncoder(folder / name)
    assert isinstance(encoder, Encoder)
    encoder.open()
    before = time.monotonic_ns()
    assert encoder.read().count == 41
    (folder / "count").write_text("18446744073709551615\n")
    sample = encoder.read()
    assert sample.count == 2**64 - 1
    assert before <= sample.mono_ns <= time.monotonic_ns()


def test_counter_is_read_before_the_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample's time is from after its count."""
    encoder = CounterEncoder(str(folder))
    encoder.open()

    def count_on() -> None:
        (folder / "count").write_text("42\n")

    clock(monkeypatch, count_on)
    assert encoder.read() == EncoderSample(41, 7)
    assert encoder.read() == EncoderSample(42, 7)


def test_ceiling_is_read_when_there_is_one(folder: Path) -> None:
    """The ceiling is known while the counter is open, where the counter has one."""
    encoder = CounterEncoder(folder)
    encoder.open()
    assert encoder.ceiling is None
    (folder / "ceiling").write_text("65535\n")
    encoder.open()
    assert encoder.ceiling == 65535
    encoder.close()
    assert encoder.ceiling is None


@pytest.mark.parametrize("file", ["count", "ceiling"])
@pytest.mark.parametrize(
    "content", ["", "\n", "-1\n", "4.5\n", "0x10\n", "12 13\n", "9" * 21, "١٢\n", "9\n" * 40]
)
def test_garbage_is_no_count(folder: Path, file: str, content: str) -> None:
    """Anything but a decimal number of at most 20 digits is unavailable, named in one line."""
    (folder / file).write_text(content)
    with pytest.raises(LineUnavailable, match=f"counter {folder / file}: holds ") as caught:
        CounterEncoder(folder).open()
    assert "\n" not in str(caught.value)


def test_counter_that_is_not_there(tmp_path: Path, folder: Path) -> None:
    """A counter that is absent, or no counter, is unavailable, by its path."""
    with pytest.raises(LineUnavailable, match=f"counter {tmp_path / 'none'}: No such file"):
        CounterEncoder(tmp_path / "none").open()
    with pytest.raises(LineUnavailable, match=f"counter {tmp_path / 'count'}: No such file"):
        CounterEncoder(tmp_path).open()
    with pytest.raises(LineUnavailable, match=f"{folder / 'count' / 'x'}: Not a directory"):
        CounterEncoder(folder / "count" / "x").open()
    with pytest.raises(LineUnavailable, match=r"counter '/a\\x00b': embedded null"):
        CounterEncoder("/a\0b").open()


def test_counter_behind_a_forbidden_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter in a folder that may not be entered is unavailable, by its path."""

    def is_dir(_: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "is_dir", is_dir)
    with pytest.raises(LineUnavailable, match=f"counter '{folder}': Permission denied"):
        CounterEncoder(folder).open()


def test_counter_that_goes_comes_back(folder: Path) -> None:
    """A counter that has gone is unavailable until it is there again and was opened."""
    encoder = CounterEncoder(folder)
    encoder.open()
    (folder / "count").unlink()
    with pytest.raises(LineUnavailable, match="No such file"):
        encoder.read()
    encoder.close()
    with pytest.raises(LineUnavailable, match="No such file"):
        encoder.open()
    (folder / "count").write_text("3\n")
    encoder.open()
    assert encoder.read().count == 3


def test_edges_are_counted(machine: FakeGpiod) -> None:
    """A GPIO encoder gives all edges since it was opened, and 0 before the first."""
    encoder = GpioEncoder(CHIP, 4)
    assert isinstance(encoder, Encoder)
    machine.rise(4, 9)
    encoder.open()
    before = time.monotonic_ns()
    assert encoder.read().count == 0
    machine.rise(4, 3)
    assert encoder.read().count == 3
    machine.rise(4, QUEUE)
    sample = encoder.read()
    assert sample.count == 3 + QUEUE
    assert before <= sample.mono_ns <= time.monotonic_ns()
    assert encoder.read().count == 3 + QUEUE


def test_edges_are_read_before_the_clock(
    machine: FakeGpiod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edge that comes while the clock is read belongs to the next sample."""
    encoder = GpioEncoder(CHIP, 4)
    encoder.open()
    clock(monkeypatch, lambda: machine.rise(4, 1))
    assert encoder.read() == EncoderSample(0, 7)
    assert encoder.read() == EncoderSample(1, 7)


@pytest.mark.parametrize("edges", [QUEUE + 1, 1000])
def test_edges_that_the_kernel_dropped_count(machine: FakeGpiod, edges: int) -> None:
    """Edges that no longer fitted the kernel's queue are in the count all the same."""
    encoder = GpioEncoder(CHIP, 4)
    encoder.open()
    machine.rise(4, edges)
    assert encoder.read().count == edges
    machine.rise(4, edges)
    machine.rise(4, 1)
    assert encoder.read().count == 2 * edges + 1


def test_the_queue_of_the_stand_in_drops_edges(machine: FakeGpiod) -> None:
    """Counting the events themselves would lose edges: the queue keeps the newest 16."""
    GpioEncoder(CHIP, 4).open()
    machine.rise(4, 1000)
    request = machine.wires[4].request
    assert request is not None
    assert [event.line_seqno for event in request.read_edge_events()] == [*range(985, 1001)]


def test_edge_numbers_wrap(machine: FakeGpiod) -> None:
    """The count goes on where the kernel's 32-bit edge numbers begin again."""
    encoder = GpioEncoder(CHIP, 4)
    encoder.open()
    machine.rise(4, 2**32 - 6)
    assert encoder.read().count == 2**32 - 6
    machine.rise(4, 10)
    assert encoder.read().count == 2**32 + 4


def test_gpio_encoder_that_goes_comes_back(machine: FakeGpiod) -> None:
    """A chip that has gone is unavailable by chip and line; opened again, it counts from 0."""
    encoder = GpioEncoder(CHIP, 4)
    encoder.open()
    machine.rise(4, 5)
    machine.failure = OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    with pytest.raises(LineUnavailable, match=f"{CHIP} line 4: No such device"):
        encoder.read()
    encoder.close()
    with pytest.raises(LineUnavailable, match=f"{CHIP} line 4: No such device"):
        encoder.open()
    machine.failure = None
    encoder.open()
    machine.rise(4, 2)
    assert encoder.read().count == 2


def test_opening_twice_requests_the_line_anew(machine: FakeGpiod) -> None:
    """An encoder releases the line that it has before it requests it again."""
    encoder = GpioEncoder(CHIP, 4)
    encoder.open()
    encoder.open()
    assert machine.released == 1


@pytest.mark.parametrize(
    "encoder",
    [CounterEncoder("/sys/bus/counter/devices/counter0/count0"), GpioEncoder(CHIP, 4)],
    ids=lambda encoder: type(encoder).__name__,
)
def test_what_is_not_open_gives_nothing(encoder: Encoder) -> None:
    """An encoder that is not open is unavailable, and may be closed as often as one likes."""
    encoder.close()
    encoder.close()
    with pytest.raises(LineUnavailable, match="is not open"):
        encoder.read()


def test_local_encoder_gives_the_latest() -> None:
    """A local encoder gives the latest count with its own moment, and nothing before the first."""
    encoder = LocalEncoder()
    assert isinstance(encoder, Encoder)
    encoder.open()
    with pytest.raises(LineUnavailable, match="has not counted yet"):
        encoder.read()
    encoder.advance(3, 10)
    encoder.advance(4, 20)
    assert encoder.read() == EncoderSample(7, 20)
    encoder.set(100, 30)
    encoder.advance(-1, 40)
    assert encoder.read() == EncoderSample(99, 40)
    encoder.close()
    encoder.open()
    assert encoder.read() == EncoderSample(99, 40)


def test_local_encoder_takes_the_time() -> None:
    """Without a moment of its own a count is of now."""
    encoder = LocalEncoder()
    before = time.monotonic_ns()
    encoder.set(5)
    middle = encoder.read().mono_ns
    encoder.advance(1)
    assert before <= middle <= encoder.read().mono_ns <= time.monotonic_ns()


def test_local_encoder_is_turned_from_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No count is lost when a thread turns an encoder while another one does."""
    encoder = LocalEncoder()
    other = threading.Thread(target=encoder.advance, args=(1, 20))

    def interrupt() -> None:
        other.start()
        other.join(0.2)  # without a lock it would be done by then, and its count lost

    clock(monkeypatch, interrupt)
    encoder.advance(1)
    other.join()
    assert encoder.read() == EncoderSample(2, 20)
