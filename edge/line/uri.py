"""What an encoder, output or input of the line is, as the configuration names it.

=====================================================  ===========================================
URI                                                    meaning
=====================================================  ===========================================
``counter:///sys/bus/counter/devices/counter0/count0``  a counter of Linux's counter subsystem
``gpio:///dev/gpiochip0?line=17``                      a line of a GPIO chip
``local``                                              an encoder that this process turns itself
``mqtt``                                               samples that the broker sends
=====================================================  ===========================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from edge.line.encoders import CounterEncoder, GpioEncoder, LocalEncoder
from edge.line.gpio import GpioInput, GpioOutput
from edge.protocols import Encoder, LineInput, LineOutput

_COUNTER = "counter:///sys/bus/counter/devices/counter0/count0"
_GPIO = "gpio:///dev/gpiochip0?line=17"


@dataclass(frozen=True, slots=True)
class CounterUri:
    """A counter: the folder ``count0``, or the file ``count`` in it."""

    path: Path


@dataclass(frozen=True, slots=True)
class GpioUri:
    """A line of a GPIO chip."""

    chip: str
    line: int


@dataclass(frozen=True, slots=True)
class LocalUri:
    """An encoder that this process turns itself."""


@dataclass(frozen=True, slots=True)
class MqttUri:
    """Samples that the broker sends."""


LineUri = CounterUri | GpioUri | LocalUri | MqttUri


def parse_line_uri(text: str) -> LineUri:
    """Take a URI of the line apart; nothing is opened.

    Raises
    ------
    ValueError
        It is none; one sentence says what to write.
    """
    if text == "local":
        return LocalUri()
    if text == "mqtt":
        return MqttUri()
    scheme, _, rest = text.partition("://")
    raw_path, mark, query = rest.partition("?")
    if scheme.lower() == "counter":
        if mark:
            raise ValueError(f"{text!r} has options, but a counter takes none: write {_COUNTER}")
        return CounterUri(Path(_path(raw_path, text, _COUNTER)))
    if scheme.lower() == "gpio":
        chip = _path(raw_path, text, _GPIO)
        option = re.fullmatch(r"line=([0-9]{1,9})", query)
        if option is None:
            raise ValueError(f"{text!r} does not give the number of a line: write {_GPIO}")
        return GpioUri(chip, int(option[1]))
    raise ValueError(
        f"{text!r} is nothing that a line has: write {_COUNTER}, {_GPIO}, local or mqtt"
    )


def open_encoder(uri: LineUri) -> Encoder | None:
    """The encoder that a URI names, to be opened by whoever reads it.

    None for ``mqtt``: its samples come in by the inbox.
    """
    if isinstance(uri, CounterUri):
        return CounterEncoder(uri.path)
    if isinstance(uri, GpioUri):
        return GpioEncoder(uri.chip, uri.line)
    return LocalEncoder() if isinstance(uri, LocalUri) else None


def open_output(uri: LineUri) -> LineOutput:
    """The output that a URI names, requested and off.

    Raises
    ------
    ValueError
        Only a GPIO line can be an output.
    LineUnavailable, ExtraAbsent
        As for ``GpioOutput``.
    """
    gpio = _digital(uri, "an output")
    return GpioOutput(gpio.chip, gpio.line)


def open_input(uri: LineUri) -> LineInput:
    """The input that a URI names, requested.

    Raises
    ------
    ValueError
        Only a GPIO line can be an input.
    LineUnavailable, ExtraAbsent
        As for ``GpioOutput``.
    """
    gpio = _digital(uri, "an input")
    return GpioInput(gpio.chip, gpio.line)


def _digital(uri: LineUri, use: str) -> GpioUri:
    if not isinstance(uri, GpioUri):
        raise ValueError(f"only a GPIO line can be {use}: write {_GPIO}")
    return uri


def _path(raw: str, text: str, example: str) -> str:
    """An absolute path, percent-decoded, in one line."""
    try:
        path = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        path = ""
    if not path.startswith("/") or not path.isprintable():
        raise ValueError(f"{text!r} does not give an absolute path: write {example}")
    return path
