"""Try a model in a process that may die, before the station's own process loads it.

A file that the runtime accepts can still end the process that runs it: SIGSEGV, an endless loop,
all the memory. So a child with limits loads it first, holds its tensors to the manifest and replays
the golden vectors. ``modelcheck.json`` of the state directory keeps what has passed.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.contract.bundle import Bundle
from edge.errors import (
    BundleNotFound,
    EngineError,
    GoldenMismatch,
    HashMismatch,
    ManifestError,
    ModelError,
    SpecMismatch,
)
from edge.modelcheck.cache import key_of, read_passed, write_passed

__all__ = ["CACHE", "Limits", "check_bundle"]

_LOG = logging.getLogger(__name__)

CACHE = "modelcheck.json"
_KINDS: dict[str, type[ModelError]] = {
    kind.__name__: kind
    for kind in (
        BundleNotFound,
        GoldenMismatch,
        HashMismatch,
        ManifestError,
        ModelError,
        SpecMismatch,
    )
}
_OUT_OF_MEMORY = ("bad_alloc", "MemoryError", "Cannot allocate memory", "out of memory")
_HINT = "the file is damaged or made to do harm: convert the model again"
_LAST_WORDS = 16384
# Address space is limited: a thread and an arena for each of 64 processors would not fit.
_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
# -I looks neither at the environment nor at the working directory: only this very package.
_START = (
    "import sys; root = sys.argv.pop(1); sys.path.insert(0, root); import edge; "
    "sys.path.remove(root); from edge.modelcheck.child import main; "
    "raise SystemExit(main(sys.argv[1:]))"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the child: address space, seconds on the wall clock and of the processors."""

    memory_bytes: int = 1024 * 2**20
    seconds: float = 20.0
    processor_seconds: int = 30


_LIMITS = Limits()


def check_bundle(
    bundle: Bundle,
    variant: str,
    *,
    threads: int,
    cache_dir: Path | None,
    limits: Limits = _LIMITS,
    start: str = _START,
) -> None:
    """Load a variant and replay its golden vectors in a child process, unless that passed before.

    Parameters
    ----------
    bundle, variant
        What to try.
    threads
        CPU threads of one inference.
    cache_dir
        Where what has passed is kept, usually the state directory; None keeps nothing.
    limits
        Of the child.
    start
        Its program.

    Raises
    ------
    ModelError
        The file is damaged, crashes, hangs, wants too much memory or computes other numbers.
    EngineError
        No runtime works here, or no process can be started.
    """
    facts = bundle.variant(variant)
    path = bundle.path / facts.file
    passed = key_of(bundle, variant)
    if cache_dir is not None and passed in read_passed(cache_dir / CACHE):
        return
    bundle.read_variant(variant)
    _try(path, [str(bundle.path.resolve()), variant, facts.sha256, str(threads)], limits, start)
    if cache_dir is not None:
        try:
            write_passed(cache_dir / CACHE, passed)
        except OSError as error:
            _LOG.warning("%s: not kept: %s", cache_dir / CACHE, error)


def _try(path: Path, arguments: Sequence[str], limits: Limits, start: str) -> None:
    root = str(Path(__file__).resolve().parents[2])
    bounds = (os.getpid(), limits.memory_bytes, limits.processor_seconds)
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", start, root, *map(str, bounds), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(f"{path}: model check cannot start: {error.strerror}") from error
    with child:
        try:
            answer, words = _listen(child, time.monotonic() + limits.seconds)
        except TimeoutError as error:
            raise _failed(path, f"no end within {limits.seconds:g} s") from error
        finally:
            child.kill()
            code = child.wait()
    _judge(path, code, answer, words, limits)


def _listen(child: subprocess.Popen[bytes], deadline: float) -> tuple[str, str]:
    """The ends of what it wrote to stdout and stderr, until it has ended."""
    assert child.stdout is not None
    assert child.stderr is not None
    heard = {child.stdout.fileno(): b"", child.stderr.fileno(): b""}
    with selectors.DefaultSelector() as selector:
        for pipe in heard:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                piece = os.read(key.fd, _LAST_WORDS)
                if piece:
                    heard[key.fd] = (heard[key.fd] + piece)[-_LAST_WORDS:]
                else:
                    selector.unregister(key.fd)
    try:
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    answer, words = (content.decode(errors="replace") for content in heard.values())
    return answer, words


def _judge(path: Path, code: int, answer: str, words: str, limits: Limits) -> None:
    """Raise what the child found, or what it died of."""
    told: Any = None
    with suppress(ValueError, RecursionError):
        told = json.loads(answer)
    if code == 0 and told == {"passed": True}:
        return
    lines = [line for line in words.splitlines() if line.strip() and not line.startswith("INFO:")]
    said = f": {_one_line(lines[-1])}" if lines else ""
    if any(sign in answer + words for sign in _OUT_OF_MEMORY):
        reason = f"needs more memory than {limits.memory_bytes >> 20} MiB"
    elif code == 1 and isinstance(told, dict) and set(told) == {"kind", "message", "hint"}:
        kind, message, hint = (_one_line(str(told[key])) for key in ("kind", "message", "hint"))
        if kind in _KINDS:
            raise _KINDS[kind](message, hint=hint)
        reason = message
    elif code == -signal.SIGXCPU:
        reason = f"more than {limits.processor_seconds} s of processor time"
    elif code < 0:
        reason = f"interpreter crashed ({signal.Signals(-code).name}){said}"
    else:
        reason = f"exit {code}{said}"
    raise _failed(path, reason)


def _failed(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path}: model check failed: {reason}", hint=_HINT)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text.strip())[:1000]
