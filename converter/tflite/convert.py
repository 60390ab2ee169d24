"""One variant of a SavedModel, as the bytes of a model file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from converter.quiet import quiet
from converter.tflite.errors import ConversionError
from converter.tflite.operators import BY_KIND, Operator, left_in_float, read_operators
from converter.tflite.refusal import refusal
from converter.tflite.rewrite import (
    disguise,
    free_float_outputs,
    join_scales,
    name_as,
    reveal,
    split_scales,
)

_Start = Callable[[], Any]  # gives a fresh converter of the SavedModel
_Samples = Callable[[], Iterator[dict[str, npt.NDArray[np.float32]]]]


@dataclass(frozen=True, slots=True)
class VariantJob:
    """What one variant is made of, but for the SavedModel.

    Parameters
    ----------
    variant
        float32, float16, dynamic, int8 or int16x8.
    input_name
        Of the SavedModel's one input.
    input_output
        What int8 and int16x8 take and give: ``integer`` means int8 or int16.
    calibration
        A .npy file of (count, height, width, channels) float32; int8 and int16x8 need one.
    float_layers
        Tensors whose operators stay in float, by the names that the float32 file gives them; of
        transposed convolutions all or none. An output among them is given out in float32. Only
        int8 can leave some out.
    """

    variant: str
    input_name: str
    input_output: Literal["integer", "float32"] = "integer"
    calibration: str = ""
    float_layers: tuple[str, ...] = ()


def convert(saved_model: Path, job: VariantJob) -> bytes:
    """Make one variant; the same SavedModel and job give the same bytes.

    Parameters
    ----------
    saved_model
        A folder with one signature of one input; batch 1, all weights constant.
    job
        Which variant, and what it is calibrated with.

    Raises
    ------
    ConversionError
        TensorFlow refuses, and which operators it stumbles over; or there is no such layer to
        leave in float; or the calibration is not what the model takes.
    """
    import tensorflow as tf  # here, because reading a file back does not need it

    def start() -> Any:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
        # TensorFlow's notes about itself; a file with layers in float would have none either.
        converter.exclude_conversion_metadata = True
        return converter

    with quiet():
        try:
            return bytes(_MAKERS[job.variant](tf, start, job))
        except ConversionError:
            raise
        except Exception as error:
            raise refusal(
                error, job.variant, tf.__version__, lambda: bytes(start().convert())
            ) from error


def _float32(tf: Any, start: _Start, job: VariantJob) -> Any:
    return start().convert()


def _float16(tf: Any, start: _Start, job: VariantJob) -> Any:
    converter = start()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def _dynamic(tf: Any, start: _Start, job: VariantJob) -> Any:
    converter = start()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def _int8(tf: Any, start: _Start, job: VariantJob) -> Any:
    converter = start()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _samples(job)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    operators = read_operators(bytes(start().convert()))
    if job.float_layers or _needs_hand(operators):
        return _selective(tf, converter, operators, job)
    ends = tf.int8 if job.input_output == "integer" else tf.float32
    converter.inference_input_type = converter.inference_output_type = ends
    return converter.convert()


def _selective(tf: Any, converter: Any, operators: list[Operator], job: VariantJob) -> bytes:
    """int8, but for the chosen ones of the operators that the float32 variant has; and with ELU."""
    # The quantizer itself ignores a name that it does not know.
    known = {name for operator in operators for name in operator.outputs}
    if unknown := [name for name in job.float_layers if name not in known]:
        raise ConversionError(
            f"variant {job.variant}: no operator gives {', '.join(unknown)}",
            hint="name layers as the float32 variant does: linesight-convert inspect lists them",
        )
    chosen = left_in_float(operators, job.float_layers)
    if len(chosen) == len(operators):
        raise ConversionError(
            f"variant {job.variant}: with these layers in float nothing is left in integers",
            hint="take the variant float16 or dynamic instead",
        )
    integer = job.input_output == "integer"
    by_name = {operator.outputs[0] for operator in chosen}
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=converter.representative_dataset,
        debug_options=tf.lite.experimental.QuantizationDebugOptions(
            fully_quantize=integer,
            denylisted_nodes=sorted(by_name),
            denylisted_ops=sorted({o.name for o in chosen if o.name in BY_KIND}),
        ),
    )
    debugger.calibrated_model = disguise(split_scales(bytes(debugger.calibrated_model)))
    content = join_scales(bytes(debugger.get_nondebug_quantized_model()))
    if integer:
        content = free_float_outputs(content)
    content = name_as(content, [operator.outputs for operator in operators])
    return reveal(content, [o.outputs[0] for o in operators if o.name == "ELU"])


def _needs_hand(operators: list[Operator]) -> bool:
    """Whether the quantizer by itself would make less of these operators than there is in them."""
    users = Counter(name for operator in operators for name in operator.inputs)
    return any(
        operator.name == "ELU"
        or (operator.name == "CONCATENATION" and any(users[n] > 1 for n in operator.inputs))
        for operator in operators
    )


def _int16x8(tf: Any, start: _Start, job: VariantJob) -> Any:
    if job.float_layers:
        raise ConversionError(
            "variant int16x8: TensorFlow cannot leave single layers of it in float",
            hint="leave layers in float in int8, or leave int16x8 out of [variants]",
        )
    converter = start()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _samples(job)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    # The new one has no int16 of its own: it would calibrate, then calibrate again for the old one.
    converter.experimental_new_quantizer = False
    ends = tf.int16 if job.input_output == "integer" else tf.float32
    converter.inference_input_type = converter.inference_output_type = ends
    return converter.convert()


_MAKERS: dict[str, Callable[[Any, _Start, VariantJob], Any]] = {
    "float32": _float32,
    "float16": _float16,
    "dynamic": _dynamic,
    "int8": _int8,
    "int16x8": _int16x8,
}


def _samples(job: VariantJob) -> _Samples:
    """Each sample once, in the order of the file; the file stays on disk."""
    try:
        samples = np.load(job.calibration, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConversionError(
            f"variant {job.variant}: cannot read the calibration tensors {job.calibration}: {error}"
        ) from error
    if samples.ndim != 4 or samples.dtype != np.float32 or not len(samples):
        raise ConversionError(
            f"variant {job.variant}: the calibration holds {samples.dtype} of shape "
            f"{samples.shape}, not (count, height, width, channels) float32"
        )

    def give() -> Iterator[dict[str, npt.NDArray[np.float32]]]:
        for index in range(len(samples)):
            sample = np.array(samples[index : index + 1])
            if not np.isfinite(sample).all():
                raise ConversionError(
                    f"variant {job.variant}: calibration tensor {index} holds a number that is "
                    f"not finite"
                )
            yield {job.input_name: sample}

    return give
