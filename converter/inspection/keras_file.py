"""What is in a Keras model, and what converting it will meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.inspection.layers import float_in_int8, is_logits, no_int16x8, normalizing
from converter.inspection.text import facts, name, number, shape, share, table
from converter.keras_model import LayerFacts, ModelFacts, TensorFacts
from converter.limits import Limits
from converter.process import KerasProcess


@dataclass(frozen=True, slots=True)
class KerasInspection:
    """All that is known about a Keras model."""

    path: Path
    facts: ModelFacts

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return sum(layer.macs for layer in self.facts.layers)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before converting it, a sentence each."""
        return tuple(_notes(self.facts))

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        found = self.facts
        version = f", written by Keras {found.keras_version}" if found.keras_version else ""
        yield f"{self.path}: {found.format}{version}"
        yield ""
        yield from facts(
            {
                "sha256": found.sha256,
                "parameters": number(found.parameters),
                "multiply-accumulates": f"{number(self.macs)} an image" if self.macs else "",
                "layers": number(len(found.layers)) if found.layers else "",
            }
        )
        yield ""
        yield "Inputs and outputs"
        ends = [("input", end) for end in found.inputs]
        ends += [("output", end) for end in found.outputs]
        yield from table(
            ("", "name", "shape", "type", "activation"),
            (
                (what, name(end.name), shape(end.shape), end.dtype, end.activation)
                for what, end in ends
            ),
        )
        if self.notes:
            yield ""
            yield "To know before converting it"
            yield from (f"  - {note}" for note in self.notes)
        if found.layers:
            yield ""
            yield "Layers"
            yield from self._layers()

    def to_json(self) -> dict[str, Any]:
        """Nested; what is not known is absent; an open side of a shape is -1."""
        found = self.facts
        version = {"keras_version": found.keras_version} if found.keras_version else {}
        return {
            "file": str(self.path),
            "format": found.format,
            **version,
            "sha256": found.sha256,
            "parameters": found.parameters,
            "macs": self.macs,
            "inputs": {end.name: _end(end) for end in found.inputs},
            "outputs": {end.name: _end(end) for end in found.outputs},
            "notes": list(self.notes),
            "layers": [
                {**layer.to_json(), "output_shape": _sides(layer.output_shape)}
                for layer in found.layers
            ],
        }

    def _layers(self) -> Iterator[str]:
        macs = self.macs
        rows = (
            (
                name(layer.name),
                layer.kind,
                shape(layer.output_shape),
                number(layer.parameters),
                number(layer.macs),
                share(layer.macs, macs) if macs else "",
            )
            for layer in self.facts.layers
        )
        head = ("layer", "kind", "output", "parameters", "macs", "share")
        return table(head, rows, right="parameters macs share")


def inspect_keras(path: Path, weights: Path | None, limits: Limits) -> KerasInspection:
    """Explain a Keras model; a limited process loads it.

    Raises
    ------
    KerasModelError
        Keras or the scan before it refuses the file, or the limits were met.
    """
    with KerasProcess(path, weights=weights, limits=limits) as process:
        return KerasInspection(path, process.facts)


def _notes(found: ModelFacts) -> Iterator[str]:
    yield from _notes_on_ends(found)
    if inside := normalizing(found.layers):
        yield (
            f"{_list(inside)}: pixels are normalized inside; input.normalize of the recipe must "
            "not do it again"
        )
    if floats := float_in_int8(found.layers):
        yield f"int8: {_list(floats)} cannot be quantized whole, a part stays in float"
    if refused := no_int16x8(found.layers):
        yield f"int16x8: TensorFlow refuses it because of {_list(refused)}"


def _notes_on_ends(found: ModelFacts) -> Iterator[str]:
    for end in found.inputs:
        if None in end.shape[1:3]:
            yield f"{end.name}: any height and width; input.size of the recipe fixes them"
        if end.shape[:1] == (1,):
            yield f"{end.name}: fixed to one image, so images of a batch run one after the other"
    for end in found.outputs:
        if is_logits(end):
            yield (
                f"{end.name}: may end in logits (activation linear); if they are, "
                "[activations] of the recipe appends softmax or sigmoid"
            )


def _list(layers: list[LayerFacts]) -> str:
    """``3 × ELU (elu, elu_1, elu_2)``, for each kind."""
    kinds: dict[str, list[str]] = {}
    for layer in layers:
        kinds.setdefault(layer.kind, []).append(layer.name)
    return ", ".join(
        f"{len(names)} × {kind} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for kind, names in kinds.items()
    )


def _end(end: TensorFacts) -> dict[str, Any]:
    activation = {"activation": end.activation} if end.activation else {}
    return {"shape": _sides(end.shape), "type": end.dtype, **activation}


def _sides(sides: tuple[int | None, ...]) -> list[int]:
    return [-1 if side is None else side for side in sides]
