"""The process that may die: it loads a model and replays its golden vectors."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

from edge.contract.bundle import load_bundle
from edge.contract.golden import check_golden
from edge.engines import open_engine, runtime_name
from edge.errors import LineSightError, ManifestError


def main(arguments: Sequence[str]) -> int:
    """The child: bounded first, then it reads what is foreign."""
    parent, memory, seconds, folder, variant, sha256, threads = arguments
    _confine(int(parent), int(memory), int(seconds))
    try:
        runtime_name()  # tries a model of ours by a temporary file; from now on none is written
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        bundle = load_bundle(Path(folder))
        if bundle.variant(variant).sha256 != sha256:
            raise ManifestError(f"{folder}/manifest.json: was exchanged during the model check")
        engine = open_engine(bundle, variant, threads=int(threads))
        check_golden(bundle, variant, engine.infer)
    except LineSightError as error:
        told = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
        os.write(1, json.dumps(told).encode())
        return 1
    os.write(1, json.dumps({"passed": True}).encode())
    return 0


def _confine(parent: int, memory: int, seconds: int) -> None:
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
    ):
        resource.setrlimit(what, (most, most))
    signal.alarm(seconds)  # also of one that sleeps when its parent has been killed
    if os.getppid() != parent:  # nobody waits for the answer
        raise SystemExit(1)
