"""What a source URI says: scheme, path and options."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl, unquote

from edge.errors import UnsupportedSource

# "file:" may stand without slashes, for relative paths; with other schemes "name:" is a file name.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(file):", re.IGNORECASE)

_Whole = TypeVar("_Whole", bound=int | None)
_Number = TypeVar("_Number", bound=float | None)


@dataclass(frozen=True, slots=True)
class SourceUri:
    """A URI in its parts, percent-decoded; ``authority`` is what follows ``//`` up to a ``/``."""

    scheme: str
    authority: str
    path: str
    options: Mapping[str, str]


def scheme_of(uri: str, camera: str) -> str:
    """The scheme, in lower case: ``file`` for a plain path, ``v4l2`` for a number.

    Raises
    ------
    UnsupportedSource
        There is nothing in the URI.
    """
    if not uri:
        raise UnsupportedSource(
            f"camera {camera!r}: source is empty", hint="name a file, a device or a URI"
        )
    if uri.isascii() and uri.isdigit():
        return "v4l2"
    match = _SCHEME.match(uri)
    return (match[1] or match[2]).lower() if match else "file"


def parse_uri(uri: str, camera: str) -> SourceUri:
    """Take a URI, a plain path or a device number apart.

    A plain path is taken as it stands: ``?``, ``#`` and ``%`` in it have no meaning. In a URI ``?``
    begins the options and ``#`` has no meaning.

    Raises
    ------
    UnsupportedSource
        It is empty, or holds a NUL, bytes that are no UTF-8, or an option without value or twice.
    """
    scheme = scheme_of(uri, camera)
    match = _SCHEME.match(uri)
    if match is None:
        path = f"/dev/video{int(uri)}" if scheme == "v4l2" else uri
        return SourceUri(scheme, "", _clean(path, camera), {})
    rest, _, query = uri[match.end() :].partition("?")
    authority = ""
    if match[1] is not None:
        authority, slash, rest = rest.partition("/")
        rest = slash + rest
    try:
        path = unquote(rest, errors="strict")
        authority = unquote(authority, errors="strict")
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict"
        )
    except ValueError as error:
        raise UnsupportedSource(
            f"camera {camera!r}: the {scheme} source cannot be read: {error}",
            hint="write options as ?name=value&name=value",
        ) from error
    options = dict(pairs)
    if len(options) != len(pairs):
        raise UnsupportedSource(f"camera {camera!r}: a source option stands there twice")
    return SourceUri(scheme, _clean(authority, camera), _clean(path, camera), options)


def _clean(text: str, camera: str) -> str:
    if "\0" in text:
        raise UnsupportedSource(f"camera {camera!r}: the source's path holds a NUL character")
    return text


class Options:
    """Reads the options of one URI by type, then refuses those that nobody asked for."""

    def __init__(self, uri: SourceUri, camera: str) -> None:
        self._values = dict(uri.options)
        self._where = f"camera {camera!r}: option"
        self._scheme = uri.scheme
        self._known: list[str] = []

    def integer(self, name: str, default: _Whole, low: int, high: int) -> int | _Whole:
        """A whole number in [low, high].

        Raises
        ------
        UnsupportedSource
            It is anything else.
        """
        text = self._take(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise UnsupportedSource(
                f"{self._where} {name} = {text!r} is not a whole number from {low} to {high}"
            )
        return int(text)

    def number(self, name: str, default: _Number, low: float, high: float) -> float | _Number:
        """A number in [low, high].

        Raises
        ------
        UnsupportedSource
            It is anything else.
        """
        text = self._take(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise UnsupportedSource(
                f"{self._where} {name} = {text!r} is not a number from {low:g} to {high:g}"
            )
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of ``allowed``; its first when the URI does not say.

        Raises
        ------
        UnsupportedSource
            It is anything else.
        """
        text = self._take(name)
        if text is None:
            return allowed[0]
        if text not in allowed:
            raise UnsupportedSource(
                f"{self._where} {name} = {text!r} is not one of {', '.join(allowed)}"
            )
        return text

    def finish(self) -> None:
        """Check that nothing is left.

        Raises
        ------
        UnsupportedSource
            An option is unknown; the message names it and the nearest that is known.
        """
        for name in self._values:
            nearest = difflib.get_close_matches(name, self._known, n=1)
            meant = f"did you mean {nearest[0]}? " if nearest else ""
            raise UnsupportedSource(
                f"{self._where} {name!r} is unknown",
                hint=f"{meant}{self._scheme} sources take {', '.join(self._known)}",
            )

    def _take(self, name: str) -> str | None:
        self._known.append(name)
        return self._values.pop(name, None)
