"""One interpreter of a model file, for batches of one size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engines.runtime import find_runtime
from edge.engines.spec import Details


class Lane:
    """A LiteRT interpreter that is ready to run ``count`` images at a time.

    The signature only maps names to tensor indices: running by it would set the shape and allocate
    again for every call.

    Parameters
    ----------
    content
        The model file's bytes.
    threads
        CPU threads of one run.
    count
        Images in a batch; 1 is the file's own shape.

    Raises
    ------
    RuntimeAbsent
        No runtime works here.
    ValueError, RuntimeError
        The runtime refuses the file, or this batch size; or the file has not exactly one signature
        with one input.
    """

    def __init__(self, content: bytes, threads: int, count: int = 1) -> None:
        self.count = count
        self._interpreter = find_runtime().interpreter(model_content=content, num_threads=threads)
        if count != 1:
            (detail,) = _signature(self._interpreter)[0].values()
            self._interpreter.resize_tensor_input(detail["index"], (count, *detail["shape"][1:]))
        self._interpreter.allocate_tensors()
        self.inputs, self.outputs = _signature(self._interpreter)
        self._input = next(int(detail["index"]) for detail in self.inputs.values())
        self._indices = {name: int(detail["index"]) for name, detail in self.outputs.items()}

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Run ``count`` images, contiguous; the outputs are copies."""
        self._interpreter.set_tensor(self._input, tensor)
        self._interpreter.invoke()
        return {
            name: np.asarray(self._interpreter.get_tensor(index))
            for name, index in self._indices.items()
        }


def _signature(interpreter: Any) -> tuple[Details, Details]:
    """Input and output details by name.

    The runner dies here: the interpreter refuses to work while anybody else refers into it.
    """
    names = list(interpreter.get_signature_list())
    if len(names) != 1:
        raise ValueError(f"has {len(names)} signatures, expected 1")
    runner = interpreter.get_signature_runner(names[0])
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    if len(inputs) != 1:
        raise ValueError(f"has {len(inputs)} inputs, expected 1")
    return inputs, outputs
