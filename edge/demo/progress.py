"""How far a long verb is: a bar on a terminal, a line for each tenth anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

Update = Callable[[int, int], None]
"""Called with what is done and how much there is."""


@contextmanager
def progress(title: str) -> Iterator[Update]:
    """Gives the function to call; writes to stderr. The bar needs rich, of the demo extra."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield _lines(title)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(title: str) -> Update:
    tenth = -1

    def update(done: int, total: int) -> None:
        nonlocal tenth
        now = 10 * done // max(1, total)
        if now != tenth:
            tenth = now
            sys.stderr.write(f"{title}: {done} of {total}\n")

    return update
