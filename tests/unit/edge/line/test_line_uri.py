"""A URI names one encoder, output or input; anything else is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.line.encoders import CounterEncoder, GpioEncoder, LocalEncoder
from edge.line.gpio import GpioInput, GpioOutput
from edge.line.uri import (
    CounterUri,
    GpioUri,
    LineUri,
    LocalUri,
    MqttUri,
    open_encoder,
    open_input,
    open_output,
    parse_line_uri,
)
from tests.fakes_gpiod import CHIP, FakeGpiod, Value

COUNTER = "/sys/bus/counter/devices/counter0/count0"


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        (f"counter://{COUNTER}", CounterUri(Path(COUNTER))),
        ("COUNTER:///a%20b/count", CounterUri(Path("/a b/count"))),
        ("gpio:///dev/gpiochip0?line=17", GpioUri("/dev/gpiochip0", 17)),
        ("gpio:///dev/gpiochip1?line=0", GpioUri("/dev/gpiochip1", 0)),
        ("local", LocalUri()),
        ("mqtt", MqttUri()),
    ],
)
def test_uris(text: str, uri: LineUri) -> None:
    """Each kind of URI has its record."""
    assert parse_line_uri(text) == uri


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write counter:///.*, gpio:///.*, local or mqtt"),
        ("local:", "local or mqtt"),
        ("MQTT", "local or mqtt"),
        ("/dev/gpiochip0", "local or mqtt"),
        ("gpio:/dev/gpiochip0?line=1", "local or mqtt"),
        ("serial:///dev/ttyS0", "local or mqtt"),
        ("counter://", "absolute path: write counter:///sys"),
        ("counter://sys/bus", "absolute path: write counter:///sys"),
        ("counter:///a%00b", "absolute path"),
        ("counter:///a%0Ab", "absolute path"),
        ("counter:///%ff", "absolute path"),
        ("counter:///a?", "a counter takes none"),
        ("counter:///a?line=1", "a counter takes none"),
        ("gpio://gpiochip0?line=1", "absolute path: write gpio:///dev/gpiochip0[?]line=17"),
        ("gpio:///dev/gpiochip0", "number of a line: write gpio:///dev/gpiochip0[?]line=17"),
        ("gpio:///dev/gpiochip0?line=", "number of a line"),
        ("gpio:///dev/gpiochip0?line=-1", "number of a line"),
        ("gpio:///dev/gpiochip0?line=١", "number of a line"),
        ("gpio:///dev/gpiochip0?line=1\n", "number of a line"),
        ("gpio:///dev/gpiochip0?line=9999999999", "number of a line"),
        ("gpio:///dev/gpiochip0?line=1&line=2", "number of a line"),
        ("gpio:///dev/gpiochip0?line=1&bias=up", "number of a line"),
    ],
)
def test_what_is_none(text: str, says: str) -> None:
    """Anything else is refused in one line that quotes it and says what to write."""
    with pytest.raises(ValueError, match=says) as caught:
        parse_line_uri(text)
    assert str(caught.value).startswith(repr(text))
    assert "\n" not in str(caught.value)


def test_encoders() -> None:
    """Each URI opens its encoder, and none where the samples come from the broker."""
    assert isinstance(open_encoder(CounterUri(Path(COUNTER))), CounterEncoder)
    assert isinstance(open_encoder(GpioUri(CHIP, 17)), GpioEncoder)
    assert isinstance(open_encoder(LocalUri()), LocalEncoder)
    assert open_encoder(MqttUri()) is None


def test_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPIO URI opens the output, which is off, or the input that it names."""
    machine = FakeGpiod()
    machine.install(monkeypatch)
    assert isinstance(open_output(GpioUri(CHIP, 17)), GpioOutput)
    assert isinstance(open_input(GpioUri(CHIP, 18)), GpioInput)
    assert machine.wires[17].driven == [Value.INACTIVE]
    assert machine.wires[18].driven == []


@pytest.mark.parametrize("uri", [CounterUri(Path(COUNTER)), LocalUri(), MqttUri()])
def test_only_gpio_is_a_line(uri: LineUri) -> None:
    """What is no GPIO line is neither an output nor an input."""
    with pytest.raises(ValueError, match=r"an output: write gpio:///dev/gpiochip0[?]line=17"):
        open_output(uri)
    with pytest.raises(ValueError, match=r"an input: write gpio:///dev/gpiochip0[?]line=17"):
        open_input(uri)
