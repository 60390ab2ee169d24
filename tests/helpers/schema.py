"""Holds a value against one of the JSON Schemas that the package ships."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).resolve().parents[2] / "edge" / "messages" / "schemas"

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_NOTES = frozenset({"$defs", "$id", "$schema", "description", "title"})
_RULES = _NOTES | {
    *("$ref", "additionalProperties", "anyOf", "const", "enum", "items", "maxItems", "maximum"),
    *("minItems", "minimum", "pattern", "patternProperties", "prefixItems", "properties"),
    *("required", "type"),
}


def violations(name: str, value: object) -> list[str]:
    """What breaks the shipped schema ``name`` (a file name), as ``place: reason``.

    Only what our own schemas need of JSON Schema 2020-12.

    Raises
    ------
    NotImplementedError
        The schema has a keyword that is not known here, which would pass unchecked.
    """
    root = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    return list(_check(root, root, value, "$"))


def _check(root: Any, schema: Any, value: Any, at: str) -> Iterator[str]:
    if schema is True:
        return
    if schema is False:
        yield f"{at}: is not allowed"
        return
    if strange := set(schema) - _RULES:
        raise NotImplementedError(f"{at}: {sorted(strange)}")
    if "$ref" in schema:
        yield from _check(root, root["$defs"][schema["$ref"].rpartition("/")[2]], value, at)
    if "anyOf" in schema and all(any(_check(root, s, value, at)) for s in schema["anyOf"]):
        yield f"{at}: {value!r} fits none of anyOf"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{at}: {value!r} is no {schema['type']}"
    elif isinstance(value, dict):
        yield from _check_object(root, schema, value, at)
    elif isinstance(value, list):
        yield from _check_array(root, schema, value, at)
    elif isinstance(value, str):
        if not re.search(schema.get("pattern", ""), value):
            yield f"{at}: {value!r} does not match {schema['pattern']}"
    elif isinstance(value, int | float):
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        if not low <= value <= high:
            yield f"{at}: {value!r} is not in [{low}, {high}]"


def _is(value: object, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _check_object(root: Any, schema: Any, value: Mapping[str, Any], at: str) -> Iterator[str]:
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{at}: lacks {key}"
    for key, inner in value.items():
        place = f"{at}.{key}"
        patterns = schema.get("patternProperties", {})
        fitting = [rule for pattern, rule in patterns.items() if re.search(pattern, key)]
        if key in schema.get("properties", {}):
            fitting.append(schema["properties"][key])
        for rule in fitting or [schema.get("additionalProperties", True)]:
            yield from _check(root, rule, inner, place)


def _check_array(root: Any, schema: Any, value: list[Any], at: str) -> Iterator[str]:
    low, high = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if not low <= len(value) <= high:
        yield f"{at}: has {len(value)} items, not {low} to {high}"
    first = schema.get("prefixItems", [])
    for index, inner in enumerate(value):
        rule = first[index] if index < len(first) else schema.get("items", True)
        yield from _check(root, rule, inner, f"{at}[{index}]")
