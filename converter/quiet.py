"""Keep TensorFlow's own chatter off the terminal, without losing what a person must see."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Send what native code writes to stderr to the log, level DEBUG, while the block runs.

    TensorFlow's converter writes a dozen lines a variant there that have no switch and tell a user
    nothing ("fully_quantize: 0, inference_type: 6"); what went wrong comes as an exception.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    with tempfile.TemporaryFile() as heard, warnings.catch_warnings():
        # TensorFlow warns of its own use of its own interpreter.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            heard.seek(0)
            for line in heard:
                _LOG.debug("%s", line.decode(errors="replace").rstrip())
