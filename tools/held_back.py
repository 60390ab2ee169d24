"""The pictures that a recipe holds back, a line each, as ``linesight eval --only FILE`` takes them.

``python -m tools.held_back RECIPE --data DIR [--source boxes] > FILE``; then ``linesight eval
face_mask --data DIR/boxes --only FILE`` measures on pictures that neither training nor calibration
has seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from converter.parity import HeldBack
from converter.recipe import Recipe, load_recipe
from converter.representative import split_items
from edge.errors import LineSightError, UsageError


def held_back(recipe: Recipe, data: Path, source: str | None = None) -> tuple[str, ...]:
    """Names below ``data / source``, sorted, each once, of the recipe's seed, fraction and fold.

    Parameters
    ----------
    recipe
        What splits the pictures.
    data
        The folder that conversion names with ``--data``.
    source
        The folder below it whose pictures are wanted; may be left out where only one holds any.

    Raises
    ------
    UsageError
        No pictures of such a folder are held back, or there are several and none is named.
    DataError
        A folder or its labels are missing or unreadable.
    """
    judged = HeldBack.of(recipe, data, split_items(recipe, data))
    names: dict[str, set[str]] = {}
    for item in judged.items:
        names.setdefault(item.source, set()).add(judged.name_of(item))
    if source is None and len(names) == 1:
        (source,) = names
    if source is None or source not in names:
        raise UsageError(
            f"--source {source}: holds no picture back" if source else "--source: which folder?",
            hint=f"name one of {', '.join(sorted(names))}: an evaluation is of one folder",
        )
    return tuple(sorted(names[source]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the names."""
    parser = argparse.ArgumentParser(prog="python -m tools.held_back", description=__doc__)
    parser.add_argument("recipe", metavar="RECIPE", type=Path, help="recipe.toml of the model")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True)
    parser.add_argument(
        "--source", metavar="NAME", help="folder below DIR, where several are split"
    )
    args = parser.parse_args(arguments)
    try:
        names = held_back(load_recipe(args.recipe).recipe, args.data, args.source)
    except LineSightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write("".join(f"{name}\n" for name in names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
