"""The limited process that scans, loads and runs a Keras model, as the converter sees it.

A model file is code until proven otherwise, so this process imports neither Keras nor TensorFlow:
:mod:`converter.worker` does, in a child with limits, and only plain data comes back.
"""

from __future__ import annotations

import logging
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt

from converter.extra import check_extra
from converter.keras_model import KerasModelError, ModelFacts
from converter.limits import Limits
from converter.tflite import ConversionError, VariantJob
from converter.wire import Arrays, Message, WireError, decode, encode
from edge.contract.manifest import InputSpec, TensorSpec

__all__ = ["KerasProcess", "Limits"]

_LOG = logging.getLogger(__name__)
_ROOT = Path(__file__).parents[1]
_START = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from converter.worker import main; raise SystemExit(main(sys.argv[1:]))"
)
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "tensorflow",
    "CUDA_VISIBLE_DEVICES": "",
    # What the order of a set decides must not differ between two runs.
    "PYTHONHASHSEED": "0",
}
_OUT_OF_MEMORY = ("bad_alloc", "MemoryError", "OOM when", "Cannot allocate memory", "out of memory")
_CHATTER = re.compile(r"[IW]\d{4} |WARNING")
_CRASHES = (-signal.SIGABRT, -signal.SIGBUS, -signal.SIGSEGV)
_BATCH, _BATCH_PIXELS = 8, 2**19
_PIECE = 2**20
_LIMITS = Limits()
_LAST_WORDS = 4096
_NO_ARRAYS: Arrays = {}


class KerasProcess:
    """A Keras model in a child process; use it as a context manager, from one thread.

    The child cannot outlive the thread that started it: the kernel kills it.

    Parameters
    ----------
    path
        The model file or SavedModel folder.
    weights
        Those of a network that is a JSON file; None looks beside it.
    limits
        Of the child.

    Attributes
    ----------
    facts
        What was read of the model.
    folder
        Temporary folder, removed by :meth:`close`; for files that the child shall read.

    Raises
    ------
    KerasModelError
        The scan or Keras refuses the file, or reading it goes beyond the limits.
    ExtraAbsent
        TensorFlow, Keras or h5py is not installed.
    """

    facts: ModelFacts
    folder: Path

    def __init__(
        self, path: Path, *, weights: Path | None = None, limits: Limits = _LIMITS
    ) -> None:
        check_extra("tensorflow", "keras", "h5py")
        self._path, self._limits = path, limits
        self._outputs: dict[str, TensorSpec] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="linesight-convert-"))
        try:
            self._heard = (self.folder / "stderr").open("ab+")
            self._child = self._start()
            header = {"path": str(path), "weights": None if weights is None else str(weights)}
            answer = self._ask("load", header)
            try:
                self.facts = ModelFacts.from_json(answer.header["facts"])
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self._nonsense(error)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def export(
        self, spec: InputSpec, outputs: Sequence[str], activations: Mapping[str, str]
    ) -> dict[str, TensorSpec]:
        """Write the one SavedModel that every variant is made of.

        Parameters
        ----------
        spec
            The input that the recipe promises.
        outputs
            The recipe's names of the outputs. A model with a dictionary of outputs must have these
            keys, one with a list these layer names; a single output takes the single name.
        activations
            Output → ``softmax`` or ``sigmoid``, appended to it.

        Returns
        -------
        dict
            Output → float32, batch 1; sorted by name.

        Raises
        ------
        KerasModelError
            The model has not this input or not these outputs, or the limits were met.
        """
        header = {
            "name": spec.name,
            "shape": list(spec.shape),
            "outputs": list(outputs),
            "activations": dict(activations),
        }
        answer = self._ask("export", header)
        try:
            shapes = {str(name): tuple(shape) for name, shape in answer.header["shapes"].items()}
            found = {
                name: TensorSpec(dtype="float32", shape=shape)
                for name, shape in sorted(shapes.items())
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._nonsense(error)
        self._outputs = found
        return dict(found)

    def infer(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """What Keras itself gives, after :meth:`export`.

        Parameters
        ----------
        tensor
            (N, height, width, channels) float32.

        Returns
        -------
        dict
            Output → (N, ...) float32.

        Raises
        ------
        KerasModelError
            The limits were met.
        """
        _, height, width, _ = tensor.shape
        step = min(_BATCH, max(1, _BATCH_PIXELS // (height * width)))
        parts = [self._infer(tensor[at : at + step]) for at in range(0, len(tensor), step)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def convert(self, job: VariantJob) -> bytes:
        """One variant of the SavedModel that :meth:`export` wrote.

        Raises
        ------
        ConversionError
            TensorFlow refuses it.
        KerasModelError
            The limits were met.
        """
        answer = self._ask("convert", {"job": asdict(job)})
        if set(answer.arrays) != {"content"}:
            self._nonsense()
        return answer.arrays["content"].tobytes()

    def close(self) -> None:
        """End the child and remove the folder; a second call does nothing."""
        if child := getattr(self, "_child", None):
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                pipe.close()
        if heard := getattr(self, "_heard", None):
            heard.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = (_ROOT, os.getpid(), self._limits.memory_bytes, self.folder)
        child = subprocess.Popen(
            # -P: a `keras.py` in the working directory is not Keras.
            [sys.executable, "-P", "-c", _START, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._heard,
            bufsize=0,
            # A settings file of Keras at home may turn the axes around; Ctrl-C is ours to handle.
            env={
                **os.environ,
                **_ENVIRONMENT,
                "KERAS_HOME": str(self.folder),
                "TMPDIR": str(self.folder),
            },
            start_new_session=True,
        )
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        return child

    def _infer(self, tensor: npt.NDArray[Any]) -> Arrays:
        answer = self._ask("infer", {}, {"image": np.asarray(tensor, np.float32)})
        expected = {name: (len(tensor), *spec.shape[1:]) for name, spec in self._outputs.items()}
        if {name: array.shape for name, array in answer.arrays.items()} != expected:
            self._nonsense()
        return answer.arrays

    def _ask(self, what: str, header: Mapping[str, Any], arrays: Arrays = _NO_ARRAYS) -> Message:
        deadline = time.monotonic() + self._limits.seconds
        full = {**header, "request": what, "seconds": self._limits.seconds}
        try:
            self._send(encode(full, arrays), deadline)
            answer = decode(lambda count: self._read(count, deadline))
        except TimeoutError as error:
            self._child.kill()
            raise KerasModelError(
                f"{self._path}: {what} took longer than {self._limits.seconds:g} s",
                hint="allow more with --timeout",
            ) from error
        except (BrokenPipeError, EOFError) as error:
            raise self._obituary(what) from error
        except WireError as error:
            self._nonsense(error)
        if "error" in answer.header:
            self._refuse(answer.header["error"], what)
        return answer

    def _refuse(self, error: Any, what: str) -> NoReturn:
        """Raise here what was raised in the child."""
        if not isinstance(error, dict):
            self._nonsense()
        kind, message, hint = (str(error.get(key, "")) for key in ("kind", "message", "hint"))
        if kind == "memory":
            raise self._memory(what)
        _LOG.debug("%s", self._words())
        if kind == "conversion":
            raise ConversionError(message, hint=hint)
        raise KerasModelError(message, hint=hint)

    def _send(self, pieces: Iterator[memoryview], deadline: float) -> None:
        assert self._child.stdin is not None
        pipe = self._child.stdin.fileno()
        for piece in pieces:
            at = 0
            while at < len(piece):
                _wait(pipe, select.POLLOUT, deadline)
                with suppress(BlockingIOError):
                    at += os.write(pipe, piece[at : at + _PIECE])

    def _read(self, count: int, deadline: float) -> bytearray:
        """Exactly so many bytes; memory grows with what really comes."""
        assert self._child.stdout is not None
        pipe = self._child.stdout.fileno()
        content = bytearray()
        while len(content) < count:
            _wait(pipe, select.POLLIN, deadline)
            with suppress(BlockingIOError):
                piece = os.read(pipe, min(_PIECE, count - len(content)))
                if not piece:
                    raise EOFError
                content += piece
        return content

    def _nonsense(self, cause: Exception | None = None) -> NoReturn:
        self._child.kill()
        raise KerasModelError(
            f"{self._path}: the process that reads it answered nonsense"
            f"{f' ({cause})' if isinstance(cause, WireError) else ''}"
        ) from cause

    def _memory(self, what: str) -> KerasModelError:
        return KerasModelError(
            f"{self._path}: {what} needs more memory than {self._gibibytes}",
            hint="allow more with --memory",
        )

    def _obituary(self, what: str) -> KerasModelError:
        """What a child died of that has closed its pipes."""
        try:
            code = self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._nonsense()
        words = self._words()
        if any(sign in words for sign in _OUT_OF_MEMORY):
            return self._memory(what)
        if code == -signal.SIGXCPU:
            return KerasModelError(
                f"{self._path}: {what} took more processor time than "
                f"{self._limits.seconds:g} s on each processor",
                hint="allow more with --timeout",
            )
        cause = f"exit {code}" if code >= 0 else signal.Signals(-code).name
        told = [line for line in words.splitlines() if not _CHATTER.match(line)]
        said = f": {told[-1]}" if told else ""
        hint = ""
        if code == -signal.SIGKILL:
            hint = "the kernel kills so when the machine is short of memory"
        elif code in _CRASHES:  # native code seldom asks whether it got the memory
            hint = f"if it needs more than {self._gibibytes}, allow more with --memory"
        return KerasModelError(
            f"{self._path}: {what}: the process that reads it died ({cause}){said}", hint=hint
        )

    @property
    def _gibibytes(self) -> str:
        return f"{self._limits.memory_bytes / 2**30:.3g} GiB"

    def _words(self) -> str:
        """The end of what the child has written to stderr."""
        size = os.fstat(self._heard.fileno()).st_size
        # Not by seeking: the child writes at the same position.
        words = os.pread(self._heard.fileno(), _LAST_WORDS, max(0, size - _LAST_WORDS))
        return words.decode(errors="replace").strip()


def _wait(pipe: int, event: int, deadline: float) -> None:
    """Until the pipe can be used."""
    poll = select.poll()
    poll.register(pipe, event)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError
