"""``linesight-convert inspect``: explains a model file, a Keras model or a bundle.

What a file is, its content decides; its name is never asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from converter.inspection.bundle_folder import inspect_bundle
from converter.inspection.content import read_content
from converter.inspection.errors import InspectionError
from converter.inspection.keras_file import inspect_keras
from converter.inspection.model_file import inspect_model_file
from converter.limits import Limits

__all__ = ["Inspection", "InspectionError", "inspect"]


class Inspection(Protocol):
    """What is known about a model."""

    def lines(self) -> Iterator[str]:
        """For a terminal: aligned, without the line ends."""

    def to_json(self) -> dict[str, Any]:
        """The same and more for a program: nested, a section that does not apply is absent."""


def inspect(path: Path, *, weights: Path | None, limits: Limits) -> Inspection:
    """Explain a ``.tflite`` file, a Keras model in any of its formats, or a bundle's folder.

    Parameters
    ----------
    path
        The file or folder.
    weights
        Those of a network that is a JSON file.
    limits
        Of the processes that read the file.

    Raises
    ------
    InspectionError
        Nobody can tell what it is, or the model file is damaged.
    KerasModelError
        Keras or the scan before it refuses the file.
    ManifestError
        The bundle's manifest breaks the schema.
    """
    content = read_content(path)
    match content.kind:
        case "bundle":
            return inspect_bundle(path)
        case "tflite":
            return inspect_model_file(path, content.read(), limits)
        case "keras":
            return inspect_keras(path, weights, limits)
