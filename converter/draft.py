"""The manifest while the bundle is being made: variants are measured under it before it is done."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from pydantic import ValidationError

from converter.baseline import KerasEngine
from converter.recipe import RecipeFile
from converter.tflite import ModelFile
from edge import __version__
from edge.contract.errors import ManifestError
from edge.contract.manifest import Gate, Manifest, Provenance, TensorSpec, Variant

FLOAT_TOLERANCE = 1e-3
"""Share of the largest value by which a float output may differ on another machine."""

INTEGER_TOLERANCE = 1.0
"""Steps by which an integer output may differ."""

REQUANTIZED_TOLERANCE = 0.02
"""As ``FLOAT_TOLERANCE``, for float outputs of a network that works in integers inside: one step of
int8 more or less, at the last layer, is 1/255 of its range, and a few layers may each add one.
"""

_PACKAGES = (
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "numpy",
    "opencv-python-headless",
)


class Draft:
    """Manifests of one bundle, from what is known so far.

    Parameters
    ----------
    file
        The recipe.
    keras_sha256, data_sha256
        Of the Keras file, and of the representative data set.
    """

    def __init__(self, file: RecipeFile, keras_sha256: str, data_sha256: str) -> None:
        self._recipe = file.recipe
        self._provenance = Provenance(
            keras_sha256=keras_sha256,
            recipe_sha256=file.sha256,
            data_sha256=data_sha256,
            versions=versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    @property
    def created(self) -> str:
        """When this conversion began, UTC, ISO 8601."""
        return self._provenance.created

    def of(self, files: Sequence[ModelFile], gates: Mapping[str, Gate]) -> Manifest:
        """The manifest of these files; a variant that has not passed its gate yet says n = 1.

        Raises
        ------
        ManifestError
            Their outputs have not the shapes that labels and decode of the recipe ask for.
        """
        pending = Gate(metric=self._recipe.gate.metric, float_=0.0, value=0.0, n=1)
        return self._of(
            {
                made.variant: self._variant(
                    made.variant,
                    hashlib.sha256(made.content).hexdigest(),
                    len(made.content),
                    made.inputs,
                    made.outputs,
                    gates.get(made.variant, pending),
                )
                for made in files
            }
        )

    def of_keras(self, engine: KerasEngine) -> Manifest:
        """A manifest under which the Keras model passes for the variant float32.

        Raises
        ------
        ManifestError
            As in :meth:`of`.
        """
        shape = self._recipe.input_spec.shape
        spec = {self._recipe.input.name: TensorSpec(dtype="float32", shape=shape)}
        gate = Gate(metric=self._recipe.gate.metric, float_=0.0, value=0.0, n=1)
        sha256 = engine.model.sha256
        return self._of(
            {"float32": self._variant("float32", sha256, 1, spec, engine.outputs, gate)}
        )

    def _variant(
        self,
        name: str,
        sha256: str,
        size: int,
        inputs: dict[str, TensorSpec],
        outputs: dict[str, TensorSpec],
        gate: Gate,
    ) -> Variant:
        return Variant(
            file=f"model.{name}.tflite",
            sha256=sha256,
            bytes=size,
            inputs=inputs,
            outputs=outputs,
            golden_tolerance=_tolerance(name, outputs),
            gate=gate,
        )

    def _of(self, variants: Mapping[str, Variant]) -> Manifest:
        recipe = self._recipe
        facts = {
            "schema": 1,
            "name": recipe.name,
            "version": recipe.version,
            "task": recipe.task,
            "labels": recipe.labels,
            "input": recipe.input_spec,
            "outputs": recipe.outputs,
            "decode": recipe.decode,
            "variants": variants,
            "provenance": self._provenance,
        }
        try:
            return Manifest.model_validate(facts)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ManifestError(
                f"{recipe.name}: the model is not what the recipe promises: {reason}",
                hint="set labels, outputs and decode of the recipe to those of the training",
            ) from error


def _tolerance(variant: str, outputs: Mapping[str, TensorSpec]) -> float:
    if variant in ("float32", "float16"):
        return FLOAT_TOLERANCE
    if all(spec.dtype != "float32" for spec in outputs.values()):
        return INTEGER_TOLERANCE
    return REQUANTIZED_TOLERANCE


def versions() -> dict[str, str]:
    """What made the bundle: package → version, with Python and ourselves."""
    found = {"linesight": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
