"""On which line of a TOML text does a key stand?"""

from __future__ import annotations

import json
import re

KeyPath = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"^\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=")


def find_lines(text: str) -> dict[KeyPath, int]:
    """Line numbers, from 1, of every table header and key; a key within an inline table has none.

    ``tomllib`` keeps no positions, so this reads the lines once more. It is used for error messages
    only, after ``tomllib`` has accepted the text: a miss costs a line number, never a value.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    quote = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if quote:
            quote = "" if line.count(quote) % 2 else quote
            continue
        if header := _HEADER.match(line):
            table = _split(header[2])
            if header[1] == "[[":
                lines.setdefault(table, number)
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_split(key[1])), number)
            quote = next((q for q in ('"""', "'''") if line.count(q) % 2), "")
    return lines


def nearest_line(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """The key's own line, or that of the closest table around it; None when nothing is there."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def dotted(path: KeyPath) -> str:
    """``("camera", 0, "fps")`` as ``camera[0].fps``; keys that are not bare in quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." + (part if _BARE.fullmatch(part) else _quoted(part))
    return text.removeprefix(".")


def _quoted(key: str) -> str:
    # Letters of any language as they are; what would break the line is escaped.
    return json.dumps(key, ensure_ascii=not key.isprintable())


def _split(name: str) -> KeyPath:
    return tuple(part.strip().strip("\"'") for part in name.split("."))
