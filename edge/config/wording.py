"""pydantic's complaints in the words of the person who wrote the file."""

from __future__ import annotations

import difflib
import types
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from edge.config.lines import KeyPath
from edge.config.models import Config

_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, at one key."""

    path: KeyPath
    text: str


def mistakes_of(error: ValidationError) -> list[Mistake]:
    """One mistake for each of pydantic's errors, in the order of the tables."""
    items = [(_path(item), item) for item in error.errors()]
    return [
        Mistake(path, _text(item, path))
        for path, item in items
        # A list whose entries are all wrong is called too short as well.
        if item["type"] != "too_short" or not any(path == p[: len(path)] != p for p, _ in items)
    ]


def _path(item: ErrorDetails) -> KeyPath:
    """The location without what pydantic adds for unions and the like: keys and indexes only."""
    # An unknown key comes last and may be called anything; all others are keys of our models.
    known = len(item["loc"]) - (item["type"] == "extra_forbidden")
    return tuple(
        part
        for place, part in enumerate(item["loc"])
        if place >= known or isinstance(part, int) or "[" not in part
    )


def _text(item: ErrorDetails, path: KeyPath) -> str:
    kind, given, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return "unknown key" + _nearest(str(path[-1]), _keys(path[:-1]))
    if kind == "missing":
        return "is missing and has no default"
    if kind == "value_error":
        return str(context["error"])
    if kind in _KINDS:
        return f"needs {_KINDS[kind]}, not {_shown(given)}"
    if kind == "literal_error":
        options = _options(_field(path))
        return f"{_shown(given)} is not one of {', '.join(map(repr, options))}"
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return f"{given} is out of range; allowed: {_range(_field(path))}"
    if kind == "string_pattern_mismatch":
        return f"{_shown(given)} is not allowed; {_PATTERNS[str(path[-1])]}"
    if kind == "too_short":
        return "needs at least one entry"
    return f"{item['msg'][:1].lower()}{item['msg'][1:]}, not {_shown(given)}"


_IDENTIFIER = "use 1 to 64 of A-Z a-z 0-9 _ -"
_PATTERNS = {
    "node": _IDENTIFIER,
    "id": _IDENTIFIER,
    "root": "use levels of A-Z a-z 0-9 _ . - with / between them, no wildcards",
    "detector": "a bundle's name is a-z, then a-z 0-9 _",
    "classifier": "a bundle's name is a-z, then a-z 0-9 _",
    "segmenter": "a bundle's name is a-z, then a-z 0-9 _",
    "camera": _IDENTIFIER,
    "host": "a host name or address without port, user or spaces",
}


def _shown(value: Any) -> str:
    """A value as it stands in TOML, cut to a length that fits a line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _nearest(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(words)}"


def _model(path: KeyPath) -> type[BaseModel]:
    """The model of the table that a path leads to."""
    model: type[BaseModel] = Config
    for part in path:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = next(a for a in (annotation, *get_args(annotation)) if _is_model(a))
    return model


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _keys(path: KeyPath) -> list[str]:
    return list(_model(path).model_fields)


def _field(path: KeyPath) -> FieldInfo:
    keys = tuple(part for part in path if isinstance(part, str))
    return _model(keys[:-1]).model_fields[keys[-1]]


def _options(field: FieldInfo) -> list[str]:
    """The values of a ``Literal``, also within ``X | None`` and ``tuple[X, ...]``."""
    found: list[str] = []
    waiting: list[Any] = [field.annotation]
    while waiting:
        annotation = waiting.pop(0)
        if isinstance(annotation, str):
            found.append(annotation)
        waiting += [a for a in get_args(annotation) if a is not types.NoneType]
    return found


def _range(field: FieldInfo) -> str:
    """``1 to 64``, from the bounds that the field's type carries."""
    bounds: dict[str, float] = {}
    waiting: list[Any] = [*field.metadata, field.annotation]
    while waiting:
        part = waiting.pop()
        for name in ("ge", "gt", "le", "lt"):
            if isinstance(getattr(part, name, None), (int, float)):
                bounds[name] = getattr(part, name)
        if isinstance(part, FieldInfo):
            waiting += part.metadata
        waiting += getattr(part, "__metadata__", ())
        waiting += get_args(part)
    low = f"{bounds['ge']:g}" if "ge" in bounds else f"above {bounds['gt']:g}"
    return f"{low} to {bounds['le']:.12g}"
