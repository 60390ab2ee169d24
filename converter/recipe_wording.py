"""pydantic's complaints about a recipe in the words of the person who wrote it."""

from __future__ import annotations

import difflib
import json
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails


def line(item: ErrorDetails, tables: dict[str, Any], root: type[BaseModel]) -> str:
    """One of pydantic's complaints as ``key: what is wrong``.

    Parameters
    ----------
    item
        The complaint.
    tables
        The file as TOML has it.
    root
        The model that the whole file was held against.
    """
    path = _path(item, tables)
    place = ".".join(str(part) for part in path) or "file"
    match item["type"]:
        case "extra_forbidden":
            return f"{place}: unknown key{_nearest(str(path[-1]), _keys(path[:-1], tables, root))}"
        case "missing":
            return f"{place}: is missing and has no default"
        case "too_short":
            return f"{place}: needs at least one entry"
        case "union_tag_not_found":
            return f"{place}.kind: is missing and has no default"
        case "union_tag_invalid":
            expected = item["ctx"]["expected_tags"]
            return f"{place}.kind: {item['ctx']['tag']!r} is not one of {expected}"
        case "value_error":
            return f"{place}: {item['ctx']['error']}"
        case _:
            given = json.dumps(item["input"], default=str, ensure_ascii=False)
            given = given if len(given) <= 60 else f"{given[:57]}…"
            return f"{place}: {item['msg'][:1].lower()}{item['msg'][1:]}, not {given}"


def _path(item: ErrorDetails, tables: dict[str, Any]) -> tuple[str | int, ...]:
    """Where it stands in the file: without the tag that pydantic adds for ``kind``."""
    loc = item["loc"]
    if len(loc) > 1 and loc[0] in {"decode", "training"}:
        table = tables.get(str(loc[0]))
        if isinstance(table, dict) and loc[1] == table.get("kind"):
            return (loc[0], *loc[2:])
    return loc


def _keys(path: tuple[str | int, ...], tables: dict[str, Any], root: type[BaseModel]) -> list[str]:
    """The keys that the table at ``path`` may have."""
    model = root
    for part in path:
        waiting: list[Any] = [model.model_fields[str(part)].annotation]
        found: list[type[BaseModel]] = []
        while waiting:
            annotation = waiting.pop(0)
            waiting += get_args(annotation)
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                found.append(annotation)
        kind = tables.get(str(part), {}).get("kind") if len(found) > 1 else None
        model = next((m for m in found if kind in get_args(_kind(m))), found[0])
    return list(model.model_fields)


def _kind(model: type[BaseModel]) -> Any:
    return model.model_fields["kind"].annotation if "kind" in model.model_fields else None


def _nearest(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(words)}"
