"""Run model files. Importing this package loads no inference runtime."""

from __future__ import annotations

from edge.contract.bundle import Bundle
from edge.protocols import Engine

__all__ = ["open_engine", "runtime_name"]


def open_engine(bundle: Bundle, variant: str, *, threads: int = 2) -> Engine:
    """Load one variant of a bundle with the runtime of this Python environment.

    Parameters
    ----------
    bundle
        The bundle.
    variant
        One it has, see :func:`edge.contract.bundle.choose_variant`.
    threads
        How many CPU threads one inference may use.

    Raises
    ------
    RuntimeAbsent
        No inference runtime works here.
    HashMismatch
        The model file is not the one that the manifest describes.
    SpecMismatch
        Its tensors are not those that the manifest promises.
    ModelError
        The bundle has no such variant, or the runtime cannot load it.
    """
    from edge.engines.litert import LiteRTEngine

    return LiteRTEngine(bundle, variant, threads=threads)


def runtime_name() -> str:
    """The runtime that engines run on, such as ``ai-edge-litert 2.3.0``.

    Raises
    ------
    RuntimeAbsent
        No inference runtime works here.
    """
    from edge.engines.runtime import find_runtime

    return find_runtime().name
