"""The child of :mod:`converter.process`: limits itself, then serves requests until its pipe ends.

Only here, after the limits stand, is a model file read and are Keras and TensorFlow imported.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from converter.keras_model import KerasModelError
from converter.limits import allow_seconds, confine, is_memory_short
from converter.tflite.errors import ConversionError
from converter.wire import Message, WireError, decode, encode

if TYPE_CHECKING:
    from converter.keras_model.export import Exported
    from converter.keras_model.load import LoadedModel

_MEMORY = frozenset({"MemoryError", "ResourceExhaustedError"})


def main(arguments: Sequence[str]) -> int:
    """Serve one parent.

    Parameters
    ----------
    arguments
        Process id of the parent, limit of memory in bytes, and the folder to work in.
    """
    parent, memory_bytes, folder = arguments
    confine(int(parent), int(memory_bytes))
    requests, answers = _pipes()
    logging.disable()
    warnings.simplefilter("ignore")
    worker = _Worker(Path(folder))
    while True:
        try:
            request = decode(lambda count: _read(requests, count))
        except EOFError:
            return 0
        except WireError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        for piece in encode(*_answer(worker, request)):
            answers.write(piece)
        answers.flush()


def _answer(worker: _Worker, request: Message) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """What one request gives, or why it gives nothing."""
    kind, message, hint = "", "", ""
    try:
        allow_seconds(float(request.header["seconds"]))
        answer = worker.serve(request)
        return dict(answer.header), answer.arrays
    except KerasModelError as error:
        kind, message, hint = "model", error.message, error.hint
    except ConversionError as error:
        kind, message, hint = "conversion", error.message, error.hint
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent tells the user
        name = type(error).__name__
        # Short of memory, Python raises whatever it was doing: an ImportError, a SystemError.
        kind = "memory" if name in _MEMORY or is_memory_short() else "defect"
        first = next(iter(str(error).strip().splitlines()), "")
        message = f"{worker.path}: {name}: {first}"
        traceback.print_exc()
    return {"error": {"kind": kind, "message": message, "hint": hint}}, {}


@dataclass
class _Worker:
    """The model that the requests are about; ``load`` comes first, then ``export``."""

    folder: Path
    path: Path = Path()
    model: LoadedModel | None = None
    exported: Exported | None = None

    def serve(self, request: Message) -> Message:
        header = request.header
        match header["request"]:
            case "load":
                return self._load(Path(header["path"]), header["weights"])
            case "export":
                return self._export(header)
            case "infer":
                assert self.exported is not None
                return Message({}, self.exported.infer(request.arrays["image"]))
            case "convert":
                return self._convert(header["job"])
            case unknown:
                raise ValueError(f"request {unknown}")

    def _load(self, path: Path, weights: str | None) -> Message:
        from converter.keras_model.source import read_source

        self.path = path
        work = self.folder / "source"
        work.mkdir()
        source = read_source(path, None if weights is None else Path(weights), work)
        # Not before the scan has passed the file.
        from converter.keras_model.load import load

        self.model = load(source, work)
        return Message({"facts": self.model.facts.to_json()})

    def _export(self, header: Mapping[str, Any]) -> Message:
        from converter.keras_model.export import export

        assert self.model is not None
        self.exported = export(
            self.model,
            self._saved_model,
            name=header["name"],
            shape=tuple(header["shape"]),
            outputs=header["outputs"],
            activations=header["activations"],
        )
        return Message({"shapes": {k: list(v) for k, v in self.exported.shapes.items()}})

    def _convert(self, job: dict[str, Any]) -> Message:
        from converter.tflite.convert import VariantJob, convert

        made = VariantJob(**{**job, "float_layers": tuple(job["float_layers"])})
        content = np.frombuffer(convert(self._saved_model, made), np.uint8)
        return Message({}, {"content": content})

    @property
    def _saved_model(self) -> Path:
        return self.folder / "saved_model"


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two ends of the parent's pipes, out of the reach of whoever prints or reads stdin."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _read(pipe: BinaryIO, count: int) -> bytearray:
    content = bytearray(pipe.read(count))
    if len(content) < count:
        raise EOFError
    return content


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
