"""The interpreters of a station's models alone: what the service is compared with."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from edge.contract.bundle import Bundle
from edge.contract.manifest import ClassificationDecode
from edge.contract.preprocess import Preprocessor
from edge.engines.lane import Lane
from edge.engines.litert import BATCH
from edge.records import Floats, Image
from edge.tasks.classification import cut

Step = tuple[Lane, npt.NDArray[Any]]
"""An interpreter and the tensor that it runs."""


class BareModels:
    """Interpreters of both models, without the engine around them. Used by one thread.

    Parameters
    ----------
    bundles, variants
        The models, and which variant of each.
    threads
        Of each interpreter.

    Raises
    ------
    ModelError
        A model file is damaged or refused.
    """

    def __init__(self, bundles: Sequence[Bundle], variants: Sequence[str], threads: int) -> None:
        self._models = [
            _Model(bundle, variant, threads)
            for bundle, variant in zip(bundles, variants, strict=True)
        ]

    def steps(self, image: Image, boxes: Floats) -> list[Step]:
        """What one frame needs, in the steps in which the engine goes, with tensors ready made."""
        return [step for model in self._models for step in model.steps(image, boxes)]


class _Model:
    def __init__(self, bundle: Bundle, variant: str, threads: int) -> None:
        self._decode = bundle.manifest.decode
        self._prepare = Preprocessor(bundle.manifest.input, bundle.input_tensor(variant)).prepare
        content = bundle.read_variant(variant)
        self._single = Lane(content, threads)
        crops = isinstance(self._decode, ClassificationDecode)
        self._batch = _batch(content, threads) if crops else None

    def steps(self, image: Image, boxes: Floats) -> list[Step]:
        images = [image]
        if isinstance(self._decode, ClassificationDecode):
            images = cut(image, boxes, self._decode.crop_margin)
        tensor, _ = self._prepare(images)
        steps: list[Step] = []
        start = 0
        while start < len(tensor):
            lane = self._batch if self._batch and len(tensor) - start >= BATCH else self._single
            steps.append((lane, tensor[start : start + lane.count]))
            start += lane.count
        return steps


def _batch(content: bytes, threads: int) -> Lane | None:
    """Steps of several images, where the file follows them."""
    try:
        return Lane(content, threads, BATCH)
    except (RuntimeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Bare:
    """``frame_ms``: what each frame took the loop that it went through."""

    fps: float
    frame_ms: Sequence[float]


def run_bare(loops: Sequence[Sequence[Step]], seconds: float) -> Bare:
    """Run so many loops at once, each in a thread of its own, over its frame's steps."""
    times: list[list[float]] = [[] for _ in loops]
    end = time.perf_counter() + seconds

    def work(steps: Sequence[Step], frame_ms: list[float]) -> None:
        began = time.perf_counter()
        while began < end:
            for lane, tensor in steps:
                lane.run(tensor)
            now = time.perf_counter()
            frame_ms.append(1000 * (now - began))
            began = now

    began = time.perf_counter()
    threads = [
        threading.Thread(target=work, args=(steps, frame_ms))
        for steps, frame_ms in zip(loops, times, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frame_ms = [value for loop in times for value in loop]
    return Bare(len(frame_ms) / (time.perf_counter() - began), frame_ms)
