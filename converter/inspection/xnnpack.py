"""Which operators XNNPACK takes, measured: this machine's runtime loads the file and is asked.

XNNPACK is the library of fast CPU kernels inside the runtime. What it does not take runs on the
runtime's own, slower kernels.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.limits import Limits
from converter.tflite import Operator

_ROOT = Path(__file__).parents[2]
_START = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from converter.inspection.trial import main; raise SystemExit(main(sys.argv[1:]))"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the runtime said.

    Parameters
    ----------
    taken
        For each operator whether XNNPACK takes it; None for one that the runtime tells nothing of,
        as those of other graphs than the main one, or whose results nobody uses. Empty when there
        is no answer.
    refused
        Why there is none.
    """

    taken: tuple[bool | None, ...] = ()
    refused: str = ""


def ask(content: bytes, operators: Sequence[Operator], limits: Limits) -> Answer:
    """Let the runtime load a model file in a limited process.

    Parameters
    ----------
    content
        The file.
    operators
        Those of the file, in its order.
    limits
        Of the process.
    """
    arguments = (_ROOT, os.getpid(), limits.memory_bytes, limits.seconds)
    try:
        run = subprocess.run(
            [sys.executable, "-P", "-c", _START, *map(str, arguments)],
            input=content,
            capture_output=True,
            timeout=limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(refused=f"the runtime took longer than {limits.seconds:g} s")
    if run.returncode:
        return Answer(refused=_obituary(run.returncode, run.stderr))
    try:
        answer = json.loads(run.stdout)
        if "refused" in answer:
            return Answer(refused=str(answer["refused"]))
        return Answer(_match(answer["nodes"], operators))
    except (KeyError, TypeError, ValueError):
        return Answer(refused="the runtime answered nonsense")


def _match(nodes: Sequence[Any], operators: Sequence[Operator]) -> tuple[bool | None, ...]:
    """Both are in the file's order; the operators are without those that unpack weights."""
    found: list[bool | None] = []
    ahead = iter(nodes)
    for operator in operators:
        if operator.subgraph:
            found.append(None)
            continue
        same = (node for node in ahead if tuple(node["outputs"]) == operator.outputs)
        node = next(same, None)
        found.append(None if node is None or node["taken"] is None else bool(node["taken"]))
    return tuple(found)


def _obituary(code: int, stderr: bytes) -> str:
    if code < 0:
        return f"the runtime died of it ({signal.Signals(-code).name})"
    words = stderr.decode(errors="replace").split("\n")
    last = next((line for line in reversed(words) if line.strip()), "")
    return f"the runtime ended with {code}: {' '.join(last.split())}"
