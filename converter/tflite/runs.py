"""Runs a model so that what flows between its operators can be looked at."""

from __future__ import annotations

from typing import Any

from converter.tflite.single import Floats, plain_interpreter, to_floats, to_quanta


class Run:
    """A model whose inner tensors can be looked at.

    Parameters
    ----------
    content
        A model file of one input.

    Attributes
    ----------
    inputs, outputs
        Names of the signature → names of the tensors.
    """

    def __init__(self, content: bytes) -> None:
        self._interpreter = plain_interpreter(content, experimental_preserve_all_tensors=True)
        self._interpreter.allocate_tensors()
        runner = self._interpreter.get_signature_runner()
        self.inputs = {n: str(d["name"]) for n, d in runner.get_input_details().items()}
        self.outputs = {n: str(d["name"]) for n, d in runner.get_output_details().items()}
        self._details: dict[str, Any] = {
            details["name"]: details for details in self._interpreter.get_tensor_details()
        }

    def invoke(self, tensor: Floats) -> None:
        """Run it on (1, height, width, channels) float32."""
        (details,) = self._interpreter.get_input_details()
        self._interpreter.set_tensor(details["index"], to_quanta(tensor, details))
        self._interpreter.invoke()

    def floats(self, name: str) -> Floats:
        """The real numbers of a tensor, as the last run left them."""
        details = self._details[name]
        return to_floats(self._interpreter.get_tensor(details["index"]), details)
