"""Digital lines fail safe, and say what is wrong with them."""

from __future__ import annotations

import errno
import inspect
import os
import sys
from types import ModuleType

import gpiod
import gpiod.line
import pytest

from edge.errors import ExtraAbsent, LineUnavailable
from edge.line.gpio import GpioInput, GpioOutput
from edge.protocols import LineInput, LineOutput
from tests import fakes_gpiod
from tests.fakes_gpiod import CHIP, LINES, FakeGpiod, Value

OFF, ON = Value.INACTIVE, Value.ACTIVE


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeGpiod:
    """A machine with one GPIO chip."""
    fake = FakeGpiod()
    fake.install(monkeypatch)
    return fake


def gone() -> OSError:
    """What a chip that was pulled out gives."""
    return OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def test_output_is_off_before_the_first_set(machine: FakeGpiod) -> None:
    """An output that was on is off as soon as it is requested."""
    machine.wires[17].level = ON
    output = GpioOutput(CHIP, 17)
    assert isinstance(output, LineOutput)
    assert machine.wires[17].driven == [OFF]
    assert machine.consumers == ["linesight"]


def test_output_follows_set(machine: FakeGpiod) -> None:
    """An output is driven when what is asked for changes, and only then."""
    output = GpioOutput(CHIP, 17)
    for on in (False, True, True, False, False, True):
        output.set(on)
        assert machine.wires[17].level is (ON if on else OFF)
    assert machine.wires[17].driven == [OFF, ON, OFF, ON]


def test_output_is_off_after_close(machine: FakeGpiod) -> None:
    """Closing turns an output off before it is released, once."""
    output = GpioOutput(CHIP, 17)
    output.set(True)
    output.close()
    output.close()
    assert machine.wires[17].driven == [OFF, ON, OFF]
    assert machine.wires[17].request is None
    assert machine.released == 1


def test_release_alone_leaves_an_output_on(machine: FakeGpiod) -> None:
    """Without the write in ``close`` a released output could stay on."""
    GpioOutput(CHIP, 17).set(True)
    request = machine.wires[17].request
    assert request is not None
    request.release()
    assert machine.wires[17].level is ON


def test_close_turns_off_what_it_believes_to_be_off(machine: FakeGpiod) -> None:
    """Closing drives an output even when the last that was set is off."""
    output = GpioOutput(CHIP, 17)
    machine.wires[17].level = ON
    output.close()
    assert machine.wires[17].level is OFF


def test_a_failed_write_is_repeated(machine: FakeGpiod) -> None:
    """After a write that failed, the next ``set`` writes whatever it was before."""
    output = GpioOutput(CHIP, 17)
    machine.failure = gone()
    with pytest.raises(LineUnavailable, match=f"{CHIP} line 17: No such device"):
        output.set(True)
    machine.failure = None
    machine.wires[17].level = ON  # the write did reach the wire
    output.set(False)
    assert machine.wires[17].level is OFF


def test_closing_what_is_gone_raises_nothing(machine: FakeGpiod) -> None:
    """Closing releases lines of a chip that has gone, and raises nothing."""
    output, entry = GpioOutput(CHIP, 17), GpioInput(CHIP, 18)
    machine.failure = gone()
    output.close()
    entry.close()
    assert machine.released == 2


def test_closed_lines_are_unavailable(machine: FakeGpiod) -> None:
    """A closed output is never driven, and a closed input never read."""
    output, entry = GpioOutput(CHIP, 17), GpioInput(CHIP, 18)
    output.close()
    entry.close()
    with pytest.raises(LineUnavailable, match="line 17: is not open"):
        output.set(False)
    with pytest.raises(LineUnavailable, match="line 18: is not open"):
        entry.get()


def test_input_gives_the_level(machine: FakeGpiod) -> None:
    """An input says whether it is on now, and is never driven."""
    entry = GpioInput(CHIP, 18)
    assert isinstance(entry, LineInput)
    assert entry.get() is False
    machine.wires[18].level = ON
    assert entry.get() is True
    entry.close()
    entry.close()
    assert machine.wires[18].driven == []
    assert machine.released == 1


def test_input_that_fails_names_the_line(machine: FakeGpiod) -> None:
    """An input of a chip that has gone is unavailable, by chip and line."""
    entry = GpioInput(CHIP, 18)
    machine.failure = gone()
    with pytest.raises(LineUnavailable, match=f"{CHIP} line 18: No such device"):
        entry.get()


@pytest.mark.parametrize(
    ("chip", "line", "failure", "says"),
    [
        ("/dev/gpiochip9", 1, None, "/dev/gpiochip9 line 1: No such file.*gpiodetect"),
        (CHIP, LINES, None, f"{CHIP} line {LINES}: Invalid argument.*gpioinfo"),
        (CHIP, 5, None, f"{CHIP} line 5: Device or resource busy.*gpioinfo"),
        (CHIP, 6, PermissionError(errno.EACCES, "Permission denied"), "line 6: .*group `gpio`"),
        (CHIP, 6, NotImplementedError(), f"{CHIP} line 6: NotImplementedError"),
    ],
)
@pytest.mark.parametrize("kind", [GpioOutput, GpioInput])
def test_what_cannot_be_requested_is_unavailable(
    machine: FakeGpiod,
    kind: type[GpioOutput | GpioInput],
    chip: str,
    line: int,
    failure: Exception | None,
    says: str,
) -> None:
    """A line that cannot be requested is named in one line, with what to do about it."""
    GpioInput(CHIP, 5)
    machine.failure = failure
    with pytest.raises(LineUnavailable, match=says) as caught:
        kind(chip, line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("package", [None, ModuleType("gpiod")], ids=["absent", "version 1"])
@pytest.mark.parametrize("kind", [GpioOutput, GpioInput])
def test_without_libgpiod_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
    kind: type[GpioOutput | GpioInput],
    package: ModuleType | None,
) -> None:
    """Without the package, or with its first version, the error names the extra."""
    monkeypatch.setitem(sys.modules, "gpiod", package)
    monkeypatch.delitem(sys.modules, "gpiod.line")
    with pytest.raises(ExtraAbsent, match=r"pip install 'linesight\[gpio\]'"):
        kind(CHIP, 17)


@pytest.mark.parametrize(
    ("fake", "real"),
    [
        (FakeGpiod.request_lines, gpiod.request_lines),
        (fakes_gpiod.LineRequest.set_value, gpiod.LineRequest.set_value),
        (fakes_gpiod.LineRequest.get_value, gpiod.LineRequest.get_value),
        (fakes_gpiod.LineRequest.wait_edge_events, gpiod.LineRequest.wait_edge_events),
        (fakes_gpiod.LineRequest.read_edge_events, gpiod.LineRequest.read_edge_events),
        (fakes_gpiod.LineRequest.release, gpiod.LineRequest.release),
        (fakes_gpiod.LineSettings, gpiod.LineSettings),
        (fakes_gpiod.EdgeEvent, gpiod.EdgeEvent),
    ],
    ids=lambda side: f"{side.__module__}.{side.__qualname__}",
)
def test_the_stand_in_has_the_real_parameters(fake: object, real: object) -> None:
    """Each parameter of the stand-in exists in libgpiod, with the same default and in order."""
    assert callable(fake)
    assert callable(real)
    theirs = dict(inspect.signature(real).parameters)
    ours = {
        name: parameter
        for name, parameter in inspect.signature(fake).parameters.items()
        if name != "self"
    }
    assert [name for name in theirs if name in ours] == list(ours)
    for name, parameter in ours.items():
        assert getattr(parameter.default, "name", parameter.default) == getattr(
            theirs[name].default, "name", theirs[name].default
        )


@pytest.mark.parametrize("enum", ["Direction", "Edge", "Value"])
def test_the_stand_in_has_real_members(enum: str) -> None:
    """Each direction, edge and value of the stand-in is one of libgpiod's."""
    assert {member.name for member in getattr(fakes_gpiod, enum)} <= {
        member.name for member in getattr(gpiod.line, enum)
    }


@pytest.mark.parametrize("kind", [GpioOutput, GpioInput])
@pytest.mark.parametrize("chip", ["/dev/no-such-chip", "/dev/null"])
def test_libgpiod_itself_refuses_what_is_no_chip(
    kind: type[GpioOutput | GpioInput], chip: str
) -> None:
    """With the real package, a chip that is absent or none is unavailable."""
    with pytest.raises(LineUnavailable, match=f"gpio {chip} line 17: No such"):
        kind(chip, 17)
