"""Is the extra `convert` installed? Asked without importing it, which takes seconds."""

from __future__ import annotations

from importlib.util import find_spec

from edge.errors import ExtraAbsent


def check_extra(*packages: str) -> None:
    """These packages of the extra ``convert`` are there; none of them is imported.

    Raises
    ------
    ExtraAbsent
        One is not; the message names it.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ExtraAbsent(
                f"this needs the package {package!r}, which is not installed",
                hint="pip install 'linesight[convert]'",
            )
