"""Digital outputs and inputs, through libgpiod 2 (``pip install 'linesight[gpio]'``)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from edge.errors import ExtraAbsent, LineUnavailable

if TYPE_CHECKING:
    import gpiod

Use = Literal["output", "input", "rising edges"]
"""What a GPIO line is requested for."""

# libgpiod raises EINVAL as ValueError and EOPNOTSUPP as NotImplementedError.
_FAILURES = (OSError, ValueError, NotImplementedError)
_HINTS = {
    errno.ENOENT: "`gpiodetect` lists the chips there are",
    errno.EACCES: "put the user into the group `gpio`, then log in again",
    errno.EPERM: "put the user into the group `gpio`, then log in again",
    errno.EBUSY: "`gpioinfo` names the program that uses it",
    errno.EINVAL: "`gpioinfo` lists the lines of each chip",
}


class GpioOutput:
    """A ``LineOutput`` on a GPIO line; off from the moment it is requested until it is set.

    Off means reject, so whatever ends the service ends in rejects: ``close`` turns the output off
    before it releases it, and without power it is off. Only a killed process cannot turn it off.
    Whether the kernel then does depends on the chip's driver; what must not go on being accepted
    needs a time limit in the machine that reads the output.

    Parameters
    ----------
    chip
        Path of the chip, ``/dev/gpiochip0``.
    line
        The line's number on the chip, from 0.

    Raises
    ------
    LineUnavailable
        The chip or the line is absent, forbidden, or used by another program.
    ExtraAbsent
        The package ``gpiod`` is not installed.
    """

    def __init__(self, chip: str, line: int) -> None:
        self._chip = chip
        self._line = line
        self._request: gpiod.LineRequest | None = request_line(chip, line, "output")
        self._on: bool | None = False  # None: nobody knows

    def set(self, on: bool) -> None:
        """Drive the output, if that changes it.

        Raises
        ------
        LineUnavailable
            It cannot be driven, or is closed.
        """
        with line_errors(self._chip, self._line):
            request = opened(self._request)
            if on == self._on:
                return
            self._on = None  # a write that fails may have driven it: the next one is never left out
            _drive(request, self._line, on)
            self._on = on

    def close(self) -> None:
        """Turn it off and release it. Harmless when called twice; never raises."""
        request, self._request = self._request, None
        if request is None:
            return
        with suppress(*_FAILURES):
            # First, and in any case: a released line may keep the value that it had.
            _drive(request, self._line, False)
        with suppress(*_FAILURES):
            request.release()


class GpioInput:
    """A ``LineInput`` on a GPIO line.

    Parameters
    ----------
    chip, line
        As for ``GpioOutput``.

    Raises
    ------
    LineUnavailable, ExtraAbsent
        As for ``GpioOutput``.
    """

    def __init__(self, chip: str, line: int) -> None:
        self._chip = chip
        self._line = line
        self._request: gpiod.LineRequest | None = request_line(chip, line, "input")

    def get(self) -> bool:
        """Whether it is on now.

        Raises
        ------
        LineUnavailable
            It cannot be read, or is closed.
        """
        from gpiod.line import Value

        with line_errors(self._chip, self._line):
            return opened(self._request).get_value(self._line) is Value.ACTIVE

    def close(self) -> None:
        """Release it. Harmless when called twice; never raises."""
        request, self._request = self._request, None
        release(request)


def request_line(chip: str, line: int, use: Use) -> gpiod.LineRequest:
    """Request one line for one use; an output is off from the start.

    Raises
    ------
    LineUnavailable
        The chip or the line is absent, forbidden, or used by another program.
    ExtraAbsent
        The package ``gpiod`` is not installed, or is older than 2.
    """
    try:
        import gpiod
        from gpiod.line import Direction, Edge, Value  # version 1 has no such module
    except ImportError as error:
        raise ExtraAbsent(
            f"gpio {chip} line {line}: the package gpiod is not installed, or older than 2",
            hint="pip install 'linesight[gpio]'",
        ) from error
    if use == "output":
        settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
    elif use == "input":
        settings = gpiod.LineSettings(direction=Direction.INPUT)
    else:
        settings = gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.RISING)
    with line_errors(chip, line):
        return gpiod.request_lines(chip, consumer="linesight", config={line: settings})


def release(request: gpiod.LineRequest | None) -> None:
    """Release a line, if there is one; never raises."""
    if request is not None:
        with suppress(*_FAILURES):
            request.release()


def opened(request: gpiod.LineRequest | None) -> gpiod.LineRequest:
    """The request, if there is one.

    Raises
    ------
    OSError
        There is none.
    """
    if request is None:
        raise OSError(errno.EBADF, "is not open")
    return request


@contextmanager
def line_errors(chip: str, line: int) -> Iterator[None]:
    """Raise what libgpiod raises as ``LineUnavailable`` that names chip and line."""
    try:
        yield
    except _FAILURES as error:
        number = error.errno if isinstance(error, OSError) else None
        if isinstance(error, ValueError):
            number = errno.EINVAL
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise LineUnavailable(
            f"gpio {chip} line {line}: {reason}",
            hint="" if number is None else _HINTS.get(number, ""),
        ) from error


def _drive(request: gpiod.LineRequest, line: int, on: bool) -> None:
    from gpiod.line import Value

    request.set_value(line, Value.ACTIVE if on else Value.INACTIVE)
