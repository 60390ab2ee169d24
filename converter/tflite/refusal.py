"""Says in one line what TensorFlow's converter says on a hundred."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from converter.tflite.errors import ConversionError, list_operators
from converter.tflite.operators import read_operators

_NO_INTEGERS = re.compile(r"Quantization to 16x8-bit not yet supported for op: '(\w+)'")


def refusal(
    error: Exception, variant: str, version: str, float_model: Callable[[], bytes]
) -> ConversionError:
    """The error that names what TensorFlow stumbled over.

    Parameters
    ----------
    error
        What the converter raised.
    variant, version
        What was to be made, and by which TensorFlow.
    float_model
        Makes the float32 variant, which knows the layers that an operator's kind stands for.
    """
    what = f"variant {variant}: TensorFlow {version}"
    if unknown := list(_unknown(error)):
        return ConversionError(
            f"{what} has no TensorFlow Lite operator for {list_operators(unknown)}",
            hint="replace these layers in the network",
        )
    if kinds := dict.fromkeys(_NO_INTEGERS.findall(str(error))):
        operators = read_operators(float_model())
        places = [(o.name, o.outputs[0]) for o in operators if o.name in kinds]
        return ConversionError(
            f"{what} cannot quantize to it {list_operators(places) or ', '.join(kinds)}",
            hint=f"leave {variant} out of [variants] of the recipe",
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConversionError(
        f"{what} cannot make it: {reason}", hint="leave it out of [variants] of the recipe"
    )


def _unknown(error: Exception) -> Iterator[tuple[str, str]]:
    """Operator and place of each that could not be translated, in the order they run."""
    found: list[Any] = getattr(error, "errors", [])
    for data in reversed(found):
        if data.operator.name:
            # functional/block_1/erfinv/Erfinv@__inference_pruned_1794 called from …
            place = data.location.call[0].name if data.location.call else "?"
            yield data.operator.name.removeprefix("tf."), place.split("@")[0]
