"""Which LiteRT works here: ai-edge-litert, or tflite-runtime where there is no wheel of it."""

from __future__ import annotations

import base64
import functools
import importlib
import importlib.metadata
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edge.errors import RuntimeAbsent

_LOG = logging.getLogger(__name__)

# Two threads that exchange file descriptor 2 at once would leave it exchanged.
_STDERR = threading.Lock()

_CANDIDATES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
)

# y = relu(x) of one float32: small, yet with an operator, so that the probe starts XNNPACK too.
_SMALLEST_MODEL = base64.b64decode(
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAcAAAA2AAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAAAAAM"
    "ABQAEAAMAAgABAAMAAAAEAAAADwAAABAAAAARAAAAAEAAAAQAAAAAAAKAAwAAAAIAAQACgAAAAgAAAAMAAAAAQAAAAEA"
    "AAABAAAAAAAAAAEAAAABAAAAAQAAAAAAAAACAAAANAAAAAQAAADg////CAAAAAwAAAABAAAAeQAAAAIAAAABAAAAAQAA"
    "AAwADAAIAAAAAAAEAAwAAAAIAAAADAAAAAEAAAB4AAAAAgAAAAEAAAABAAAAAQAAABAAAAAMAAwACwAAAAAABAAMAAAA"
    "EwAAAAAAABM="
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime that works: its ``name`` for people and its ``interpreter`` class."""

    name: str
    interpreter: Any


@functools.cache
def find_runtime() -> Runtime:
    """The first runtime that works here, found once for each process.

    An import proves nothing: tflite-runtime imports under numpy 2 and fails when an interpreter is
    built. So one is built.

    Raises
    ------
    RuntimeAbsent
        None works; the message says why, for each.
    """
    reasons = []
    for module, package in _CANDIDATES:
        try:
            interpreter = importlib.import_module(module).Interpreter
            with _quiet_stderr():
                interpreter(model_content=_SMALLEST_MODEL).allocate_tensors()
            return Runtime(f"{package} {importlib.metadata.version(package)}", interpreter)
        except Exception as error:  # noqa: BLE001  a broken binary raises anything
            reasons.append(f"{package}: {first_line(error)}")
    raise RuntimeAbsent(
        f"no inference runtime works here: {'; '.join(reasons)}",
        hint="install the edge extra: pip install 'linesight[edge]'",
    )


def first_line(error: BaseException) -> str:
    """An exception of the runtime in one line; its texts may hold many."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep the runtime's ``INFO:`` lines off the terminal while the block runs.

    LiteRT says once in a process that it has made its XNNPACK delegate, and has no switch for it
    (the logger is not exported to Python). So file descriptor 2 points to a temporary file for
    these milliseconds; every other line follows afterwards.
    """
    with _STDERR, tempfile.TemporaryFile() as heard:
        try:
            terminal = os.dup(2)
        except OSError:  # a service may run with stderr closed
            yield
            return
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            heard.seek(0)
            for line in heard:
                if line.startswith(b"INFO:"):
                    _LOG.debug("%s", line.decode(errors="replace").strip())
                else:
                    os.write(2, line)
