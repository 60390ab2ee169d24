"""What is known about a loaded Keras model, without the model: plain data that crosses a pipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One input or output of a model.

    Parameters
    ----------
    name
        As the model calls it.
    shape
        Batch first; ``None`` where the size is open.
    dtype
        Such as ``float32``.
    activation
        Of the layer that gives an output: ``softmax``, ``sigmoid``, ``linear``; empty when unknown
        and for an input.
    """

    name: str
    shape: Shape
    dtype: str
    activation: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and text."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`, also after a trip through JSON."""
        return cls(**{**data, "shape": tuple(data["shape"])})


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer of a model.

    Parameters
    ----------
    name
        As the model calls it.
    kind
        Its Keras class, such as ``Conv2D``.
    output_shape
        Batch first; ``None`` where the size is open.
    parameters
        Number of its weights.
    macs
        Multiply-accumulates for one image; 0 where it has none.
    """

    name: str
    kind: str
    output_shape: Shape
    parameters: int
    macs: int

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and text."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`, also after a trip through JSON."""
        return cls(**{**data, "output_shape": tuple(data["output_shape"])})


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A loaded model.

    Parameters
    ----------
    format
        ``Keras 3 archive``, ``Keras 3 HDF5``, ``Keras 2 HDF5``, ``Keras JSON with weights`` or
        ``SavedModel``.
    sha256
        Of the file's bytes, in hex; of several files, of their sorted names and hashes.
    keras_version
        That wrote the file; empty when the file does not say.
    parameters
        Number of weights.
    inputs, outputs
        In the model's order.
    layers
        In the model's order, wrapped and nested ones resolved.
    """

    format: str
    sha256: str
    keras_version: str
    parameters: int
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    layers: tuple[LayerFacts, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and text."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`, also after a trip through JSON."""
        parts: dict[str, Any] = {
            "inputs": tuple(TensorFacts.from_json(tensor) for tensor in data["inputs"]),
            "outputs": tuple(TensorFacts.from_json(tensor) for tensor in data["outputs"]),
            "layers": tuple(LayerFacts.from_json(layer) for layer in data["layers"]),
        }
        return cls(**{**data, **parts})
