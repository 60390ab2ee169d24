"""HTML from nested calls: what is not markup already is escaped, so nothing can be forgotten."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

VOID = frozenset({"meta", "img", "link", "br", "rect", "line"})
"""Elements without content; written ``<x/>``, which HTML and SVG both take."""

_HIDDEN = dict.fromkeys(
    (
        *(code for code in range(0x20) if chr(code) not in "\n\t"),
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),  # marks that turn the direction of what follows: a name could
        *range(0x2066, 0x206A),  # make its neighbours read backwards
        *range(0xD800, 0xE000),  # halves of characters, from file names that are not UTF-8
        0xFFFE,
        0xFFFF,
    ),
    "\N{REPLACEMENT CHARACTER}",
)


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Any text as HTML, without characters that no page may contain."""
    return Markup(html.escape(text.translate(_HIDDEN)))


def element(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """One element.

    Parameters
    ----------
    name
        The tag.
    children
        Escaped, unless they are :class:`Markup`.
    attributes
        Values are escaped, one that is None is left out. ``class_`` stands for ``class``, other
        underscores for hyphens.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Parts one after the other, escaped unless they are :class:`Markup`."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def section(ident: str, title: str, *children: str) -> Markup:
    """A part of the page with its heading; empty text when there is nothing in it."""
    if not any(children):
        return Markup()
    return element("section", element("h2", title), *children, id=ident)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Markup:
    """A table that scrolls in itself where the screen is narrow.

    Parameters
    ----------
    heads
        Of the columns, units in them.
    rows
        Cells; none gives no table. A row whose first cell is an element keeps it.
    words
        How many columns, from the left, hold words; the others are figures, aligned right.
    """
    body = [
        element("tr", *(_cell("td", cell, index >= words) for index, cell in enumerate(row)))
        for row in rows
    ]
    if not body:
        return Markup()
    head = element("tr", *(_cell("th", cell, i >= words) for i, cell in enumerate(heads)))
    inner = element("table", element("thead", head), element("tbody", *body))
    return element("div", inner, class_="wide")


def lines(items: Iterable[str], kind: str | None = None) -> Markup:
    """A list; empty text when there is nothing to list."""
    found = [element("li", item) for item in items]
    return element("ul", *found, class_=kind) if found else Markup()


def _cell(tag: str, content: str, figure: bool) -> Markup:
    return element(tag, content, class_="figure" if figure else None)


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
