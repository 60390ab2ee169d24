"""Runs a variant with LiteRT on the CPU; its XNNPACK kernels are on by default."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract.bundle import Bundle
from edge.engines.lane import Lane
from edge.engines.runtime import first_line
from edge.engines.spec import check_tensor, check_tensors
from edge.errors import EngineError, ModelError
from edge.records import ModelRef, Outputs

_LOG = logging.getLogger(__name__)

BATCH = 8
"""Images in one step of a batch.

Measured on two x86 threads, 32 images of 96 pixels through a small float32 classifier took 13.0 ms
one by one, 11.1, 10.3, 10.5 and 11.0 ms in steps of 4, 8, 16 and 32, and 9.2 ms on two interpreters
in two threads of ours; int8 13.5 ms, then 12.4, 12.4, 12.3 and 12.2 ms, and 12.4 ms.
"""


class LiteRTEngine:
    """One variant of a bundle, loaded from bytes that were verified. Used by one thread.

    A batch runs in steps of :data:`BATCH` images on an interpreter of its own, made when the first
    such batch comes; what remains runs one by one. A file that cannot follow the batch, because a
    shape inside it is fixed to 1, runs one by one altogether.

    Parameters
    ----------
    bundle, variant
        What to load.
    threads
        CPU threads of one inference.

    Raises
    ------
    RuntimeAbsent, HashMismatch, SpecMismatch, ModelError
        See :func:`edge.engines.open_engine`.
    """

    def __init__(self, bundle: Bundle, variant: str, *, threads: int = 2) -> None:
        manifest, facts = bundle.manifest, bundle.variant(variant)
        self.model = ModelRef(manifest.name, manifest.version, variant, facts.sha256)
        self._path = bundle.path / facts.file
        self._spec = bundle.input_tensor(variant)
        self._threads = threads
        self._content = bundle.read_variant(variant)
        try:
            self._single: Lane | None = Lane(self._content, threads)
        except (RuntimeError, ValueError) as error:
            if isinstance(error, EngineError):  # no runtime at all
                raise
            raise ModelError(
                f"{self._path}: cannot be loaded: {first_line(error)}",
                hint="convert the model again, or install a newer ai-edge-litert",
            ) from error
        check_tensors(self._path, "input", self._single.inputs, facts.inputs)
        check_tensors(self._path, "output", self._single.outputs, facts.outputs)
        self._batch: Lane | None = None
        self._batch_tried = False

    def infer(self, tensor: npt.NDArray[Any]) -> Outputs:
        """Run the model once, see :class:`edge.protocols.Engine`."""
        if self._single is None:
            raise EngineError(f"{self._path}: the engine is closed")
        check_tensor(self._path, tensor, self._spec)
        images = np.ascontiguousarray(tensor)
        try:
            if len(images) == 1:
                return self._single.run(images)
            return self._run(self._single, images)
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"{self._path}: {first_line(error)}") from error

    def close(self) -> None:
        """Release the interpreters and the file's bytes."""
        self._single = self._batch = None
        self._content = b""

    def _run(self, single: Lane, images: npt.NDArray[Any]) -> Outputs:
        if len(images) >= BATCH and not self._batch_tried:
            self._batch_tried = True
            self._batch = self._batch_lane(single)
        parts = []
        start = 0
        while start < len(images):
            left = len(images) - start
            lane = self._batch if self._batch is not None and left >= BATCH else single
            parts.append(lane.run(images[start : start + lane.count]))
            start += lane.count
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _batch_lane(self, single: Lane) -> Lane | None:
        """A second interpreter for batches, if it computes what the first one does.

        A file that was converted for one image may refuse another batch size, or accept it and mix
        the images up; so the lane must first agree on noise.
        """
        try:
            lane = Lane(self._content, self._threads, BATCH)
            noise = _noise(self._spec.dtype, (BATCH, *self._spec.shape[1:]))
            batch = lane.run(noise)
        except (RuntimeError, ValueError) as error:
            _LOG.info("%s: runs images one by one: %s", self._path, first_line(error))
            return None
        for index in range(BATCH):
            for name, expected in single.run(noise[index : index + 1]).items():
                if not _agree(batch[name][index : index + 1], expected):
                    _LOG.info("%s: runs images one by one: %s differs", self._path, name)
                    return None
        return lane


def _noise(dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    rng = np.random.default_rng(0)
    if dtype == "float32":
        return rng.uniform(-1.0, 1.0, shape).astype(np.float32)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def _agree(got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Equal but for rounding: one step of an integer, 1e-4 of a float tensor's largest value."""
    if got.shape != expected.shape:
        return False
    difference = np.abs(got.astype(np.float64) - expected)
    limit = 1.0 if expected.dtype.kind != "f" else 1e-4 * float(np.abs(expected).max())
    return bool((difference <= limit).all())
