"""Makes the variants of a model, each until it holds its gate or cannot."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from converter.card import signed
from converter.measure import Bench, Measured
from converter.process import KerasProcess
from converter.recipe import Recipe
from converter.say import Say
from converter.tflite import (
    ConversionError,
    ModelFile,
    VariantJob,
    read_back,
    read_operators,
    unlike_layers,
    verify,
    worst_layers,
)
from edge.contract.manifest import VariantName

INTEGER: tuple[VariantName, ...] = ("int8", "int16x8")
"""Variants whose activations are integers: they need calibration."""


class VariantMaker:
    """Converts variants of the model that a process has exported.

    Parameters
    ----------
    process
        With the exported model.
    recipe
        What is asked for.
    calibration
        The file of tensors that the integer variants are calibrated with.
    say
        Hears how far it is.
    """

    def __init__(self, process: KerasProcess, recipe: Recipe, calibration: Path, say: Say) -> None:
        self._process = process
        self._recipe = recipe
        self._calibration = calibration
        self._say = say

    def make(self, variant: VariantName, float_layers: tuple[str, ...] = ()) -> ModelFile:
        """Convert one variant and verify that it is what was asked for.

        Raises
        ------
        ConversionError
            TensorFlow refuses, or the file is not of the kind that was asked for.
        """
        integer = variant in INTEGER
        job = VariantJob(
            variant,
            self._recipe.input.name,
            self._recipe.quantize.input_output if integer else "float32",
            str(self._calibration) if integer else "",
            float_layers,
        )
        if integer and not float_layers:
            self._say(f"{variant}: is converted and calibrated")
        made = read_back(self._process.convert(job), variant)
        verify(made, self._recipe, float_layers)
        operators = len(read_operators(made.content))
        left = f", {len(float_layers)} layers in float" if float_layers else ""
        self._say(f"{variant}: {len(made.content):,} bytes, {operators} operators{left}")
        return made

    def proven(self, variant: VariantName, bench: Bench, reference: ModelFile) -> Measured:
        """Make a variant and measure it; one of integers is mended if it misses its gate.

        What is tried first is the part of the network that forces outputs of unlike range into one
        scale; then the layers that add the most error, twice as many each time, up to the recipe's
        ``quantize.float_layers``.

        Parameters
        ----------
        variant
            Which one.
        bench
            Measures it.
        reference
            The float32 variant.

        Returns
        -------
        Measured
            The first that passes; if none does, the plain one with what was tried.
        """
        kept = (*self._kept(variant, reference), *self._unlike(variant, bench, reference))
        plain = self._measured(variant, bench, reference, kept)
        if plain.passed or variant != "int8":
            return plain
        most = self._recipe.quantize.float_layers
        count = 1
        while count <= most:
            layers = (*kept, *worst_layers(plain.layers, count))
            self._say(f"{variant}: misses its gate; again with {len(layers)} layers in float")
            try:
                mended = self._measured(variant, bench, reference, layers)
            except ConversionError as error:
                self._say(f"warning: {error.message}")
                break
            if mended.passed:
                return mended
            count *= 2
        cannot = (
            f"does not hold with {count // 2} of its worst layers in float either"
            if count > 1
            else "may leave no layer in float (quantize.float_layers)"
        )
        return replace(plain, reasons=(*plain.reasons, cannot))

    def _measured(
        self, variant: VariantName, bench: Bench, reference: ModelFile, layers: tuple[str, ...]
    ) -> Measured:
        made = reference if variant == "float32" else self.make(variant, layers)
        found = bench.measure(made, reference, layers)
        self._say(
            f"{variant}: {self._recipe.gate.metric} {found.score.value:.4f}, "
            f"{signed(found.score.value - bench.baseline.value)} against Keras, "
            f"decides alike on {100 * found.agreed:.2f} % of {len(found.score.decisions)}"
        )
        return found

    def _kept(self, variant: VariantName, reference: ModelFile) -> tuple[str, ...]:
        """What the recipe keeps in float, by the names of the float32 file's tensors."""
        if variant != "int8":
            return ()
        given = [name for o in read_operators(reference.content) for name in o.outputs]
        found: dict[str, None] = {}
        for layer in self._recipe.quantize.keep_float:
            # Keras numbers the scopes of its layers: conv2d_2 becomes model_1/conv2d_2_1/….
            scope = re.compile(rf"(^|/){re.escape(layer)}(_\d+)?/")
            mine = [name for name in given if scope.search(name.partition(";")[0])]
            if not mine:
                raise ConversionError(
                    f"quantize.keep_float: the network has no layer {layer!r}",
                    hint="linesight-convert inspect lists the layers",
                )
            found |= dict.fromkeys(mine)
        return tuple(found)

    def _unlike(self, variant: VariantName, bench: Bench, reference: ModelFile) -> tuple[str, ...]:
        """Layers that must stay in float lest parts of one output share a scale they cannot."""
        if variant != "int8":
            return ()
        layers = unlike_layers(reference.content, bench.held_back.tensors(16))
        if layers:
            self._say(
                f"{variant}: an output holds values of unlike range; "
                f"{', '.join(layers)} stay in float"
            )
        return layers
