"""``linesight-convert init``: a commented recipe, as far as a model file tells what goes in.

What it cannot tell is guessed, said to be a guess, and marked ``# CHANGE:``. The recipe loads as it
is; what was guessed wrongly, the gate finds.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from converter.inspection.content import read_content
from converter.limits import Limits
from converter.process import KerasProcess
from converter.starter.text import recipe_text
from edge.errors import UsageError

__all__ = ["recipe_text", "write_recipe"]


def write_recipe(model: Path, out: Path, *, weights: Path | None, limits: Limits) -> None:
    """Write a recipe for a Keras model into a new file.

    Parameters
    ----------
    model
        The Keras model, in any of its formats.
    out
        The recipe; must not be there.
    weights
        Those of a network that is a JSON file.
    limits
        Of the process that loads the model.

    Raises
    ------
    UsageError
        ``out`` is there already or cannot be written, or ``model`` is no Keras model but
        something that this program knows.
    InspectionError
        Nobody can tell what ``model`` is.
    KerasModelError
        Keras or the scan before it refuses the file, or its input or outputs fit no task.
    """
    if out.exists() or out.is_symlink():
        raise UsageError(
            f"{out}: is there already, and is not overwritten", hint="name another with --out FILE"
        )
    if (kind := read_content(model).kind) != "keras":
        what = "a bundle" if kind == "bundle" else "a TensorFlow Lite model"
        raise UsageError(
            f"{model}: is {what}, which is converted already", hint="name the Keras model"
        )
    with KerasProcess(model, weights=weights, limits=limits) as process:
        facts = process.facts
    given = [str(model)] if weights is None else [str(model), "--weights", str(weights)]
    text = recipe_text(facts, model.absolute(), f"--keras {shlex.join(given)}")
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror}") from error
