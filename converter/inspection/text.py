"""Facts as a person reads them: numbers with commas, aligned columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

NAME_WIDTH = 44
"""Characters of a name in a table; TensorFlow joins names to ones of several hundred."""

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def number(value: int) -> str:
    """``1,234,567``."""
    return f"{value:,}"


def count(value: int, what: str) -> str:
    """``1 output``, ``1,200 outputs``."""
    return f"{number(value)} {what}{'' if value == 1 else 's'}"


def size(value: int) -> str:
    """``194,744 bytes (194.7 kB)``."""
    for unit, name in _UNITS:
        if value >= unit:
            return f"{number(value)} bytes ({value / unit:.1f} {name})"
    return f"{number(value)} bytes"


def share(part: int, whole: int) -> str:
    """Of a whole that is not 0, in percent; 100 % and 0 % only where it is all or nothing."""
    percent = 100.0 * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.1f} %".replace(".0 %", " %")


def shape(sides: Sequence[int | None]) -> str:
    """``1 × 64 × 64 × 3``; an open side is ``any``, a tensor of one number has no sides."""
    return " × ".join("any" if side in (None, -1) else str(side) for side in sides) or "one number"


def name(text: str) -> str:
    """The first of the names that TensorFlow has joined, in one line, shortened in its middle."""
    first = "".join(c if c.isprintable() else "?" for c in text.split(";")[0])
    if len(first) <= NAME_WIDTH:
        return first
    half = (NAME_WIDTH - 1) // 2
    return f"{first[:half]}…{first[len(first) - (NAME_WIDTH - 1 - half) :]}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> Iterator[str]:
    """Aligned columns.

    Parameters
    ----------
    head
        Titles of the columns; all empty for a table without a head.
    rows
        A text for each column.
    right
        Titles of the columns that are aligned at the right, in words.
    """
    body = [list(row) for row in rows]
    lines = [list(head), *body] if any(head) else body
    widths = [max((len(line[at]) for line in lines), default=0) for at in range(len(head))]
    to_right = set(right.split())
    for line in lines:
        cells = (
            cell.rjust(width) if title in to_right else cell.ljust(width)
            for cell, width, title in zip(line, widths, head, strict=True)
        )
        yield f"  {'  '.join(cells)}".rstrip()


def facts(rows: Mapping[str, str]) -> Iterator[str]:
    """One line for each that is not empty, with what it is on the left."""
    said = {key: value for key, value in rows.items() if value}
    width = max(map(len, said), default=0)
    for key, value in said.items():
        yield f"  {key.ljust(width)}  {value}"
