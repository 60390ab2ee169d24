"""What a conversion ends in when it does not end in a model file."""

from __future__ import annotations

from collections.abc import Iterable

from edge.contract.errors import ModelError

_NAMED = 5


class ConversionError(ModelError):
    """TensorFlow cannot make a variant, or the file it made is not what was asked for."""


def list_operators(found: Iterable[tuple[str, str]]) -> str:
    """Operators for a message, equal ones together: ``2 × ELU (block_1, block_2), 1 × EXP (end)``.

    Parameters
    ----------
    found
        Pairs of an operator and the name of its layer or output tensor. Of a name that TensorFlow
        has joined from several, the first part stands for all.
    """
    places: dict[str, list[str]] = {}
    for operator, layer in found:
        places.setdefault(operator, []).append(layer.split(";")[0])
    return ", ".join(
        f"{len(layers)} × {operator} ({', '.join(layers[:_NAMED])}"
        f"{f' and {len(layers) - _NAMED} more' if len(layers) > _NAMED else ''})"
        for operator, layers in places.items()
    )
