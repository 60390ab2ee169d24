"""The loop that ``bench`` compares with, in a process of its own that measures on request.

So a frame of it can be timed between two measurements of ours: a ratio whose two halves come from
different moments of a shared machine says little.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from edge.errors import ExtraAbsent, ModelError, StageFailed

START_S = 120.0
"""TensorFlow takes seconds to load, on a small computer a minute."""
FRAME_S = 300.0
"""Longest time of one frame: 10,000 faces on a small computer would take longer, nobody asks."""
END_S = 2.0

_HINT = "pip install 'linesight[convert]', or leave it out with --no-reference"


def is_installed() -> bool:
    """Whether the converter's half of the project and Keras are there."""
    return find_spec("converter") is not None and find_spec("keras") is not None


def check_files(files: Sequence[Path]) -> None:
    """Look whether the detector's files can be read, before anything is measured.

    Raises
    ------
    ModelError
        One cannot.
    """
    for file in files:
        if not (file.is_file() and os.access(file, os.R_OK)):
            raise ModelError(
                f"--reference-detector {file}: no file that can be read",
                hint="name opencv_face_detector_uint8.pb and opencv_face_detector.pbtxt",
            )


class Reference:
    """``python -m converter.reference --serve``, as a context manager that ends it in any case.

    It works with one thread. It also ends by itself when this process dies.

    Parameters
    ----------
    detector
        The two files of the detector that runs on each frame; none: only faces are judged.
    """

    def __init__(self, detector: Sequence[Path] = ()) -> None:
        command = [sys.executable, "-m", "converter.reference", "--serve"]
        self._command = [*command, "--detector", *map(str, detector)] if detector else command
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it; returns when it is warm.

        Raises
        ------
        ExtraAbsent
            TensorFlow or Keras is not installed.
        ModelError
            The detector's files are of another kind.
        StageFailed
            It does not start.
        """
        self._said = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                bufsize=0,
            )
            self._answer(START_S)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it: a frame that it works on is of no use any more."""
        self._end()

    def frame_s(self, faces: int) -> float:
        """Seconds that one frame with so many faces takes it.

        Raises
        ------
        StageFailed
            It died, or does not answer.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # that it died shows when it is to answer
            self._process.stdin.write(b"%d\n" % faces)
        return float(self._answer(FRAME_S)["seconds"])

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = b""
        deadline = time.monotonic() + timeout_s
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise StageFailed(f"bench: the reference did not answer within {timeout_s:g} s")
            part = self._process.stdout.read(4096)
            if not part:
                raise self._failure(self._process.wait())
            line += part
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure(self, code: int) -> ExtraAbsent | ModelError | StageFailed:
        assert self._said is not None
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else f"it ended with {code}"
        if code == 69:
            return ExtraAbsent(f"bench: no reference: {last}", hint=_HINT)
        if code == 78:
            return ModelError(f"bench: no reference: {last}")
        return StageFailed(f"bench: the reference failed: {last}", hint="or use --no-reference")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(END_S)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._said is not None:
            self._said.close()


def reference_or_none(wanted: bool | None, detector: Sequence[Path]) -> Reference | None:
    """The reference that ``--reference``, ``--no-reference`` or neither of them means.

    Without a word it is compared with where it is installed.

    Raises
    ------
    ExtraAbsent
        It is asked for by name and not installed.
    ModelError
        The detector's files cannot be read.
    """
    if wanted is None and not detector:
        wanted = is_installed()
    if wanted is False:
        return None
    check_files(detector)
    if not is_installed():
        raise ExtraAbsent("bench --reference: Keras is not installed", hint=_HINT)
    return Reference(detector)
