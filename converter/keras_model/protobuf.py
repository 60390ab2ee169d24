"""The wire format of protocol buffers, as far as reading a few fields needs it.

TensorFlow's own classes would import all of TensorFlow, which must not happen before the scan.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_TAG = 2**32 - 1


class DamagedMessageError(ValueError):
    """The bytes are no message."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Every field of a message, in the file's order: its number and its value.

    A number is given as an ``int``, anything with a length as the bytes themselves. Repeated and
    unknown fields are given as they come; fields of a fixed width are skipped.

    Raises
    ------
    DamagedMessageError
        Cut short, or a wire type that protocol buffers of version 3 do not have.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if not number or tag > _MAX_TAG:
            raise DamagedMessageError(f"has the field number {number}")
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        elif wire == _BYTES:
            length, at = _varint(message, at)
            if length > len(message) - at:
                raise DamagedMessageError("is cut short")
            yield number, message[at : at + length]
            at += length
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
            if at > len(message):
                raise DamagedMessageError("is cut short")
        else:
            raise DamagedMessageError(f"has the wire type {wire}")


def parts(message: memoryview, number: int) -> list[memoryview]:
    """All values of one field that has a length; none of them may hide: the last does not win.

    Raises
    ------
    DamagedMessageError
        As :func:`fields`, or the field has a value of another wire type.
    """
    found = [value for key, value in fields(message) if key == number]
    if any(isinstance(value, int) for value in found):
        raise DamagedMessageError(f"has a number in field {number}")
    return [value for value in found if isinstance(value, memoryview)]


def text(message: memoryview) -> str:
    """Bytes as a name.

    Raises
    ------
    DamagedMessageError
        They are no UTF-8.
    """
    try:
        return bytes(message).decode()
    except UnicodeDecodeError as error:
        raise DamagedMessageError("has a name that is no text") from error


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise DamagedMessageError("is cut short")
