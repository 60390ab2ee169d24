"""A model that is ready to run: manifest, engine and preprocessing that belong together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from edge.contract.manifest import Manifest, TaskName
from edge.contract.preprocess import Preprocessor, Transform
from edge.errors import ModelError
from edge.protocols import Engine
from edge.records import Image, Outputs, Timings


@dataclass(slots=True)
class Stopwatch:
    """Adds up where one frame's time goes, in nanoseconds, over all its models."""

    preprocess: int = 0
    infer: int = 0
    postprocess: int = 0

    @contextmanager
    def measure(self, stage: Literal["preprocess", "infer", "postprocess"]) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        began = time.perf_counter_ns()
        try:
            yield
        finally:
            setattr(self, stage, getattr(self, stage) + time.perf_counter_ns() - began)

    @property
    def timings(self) -> Timings:
        """What was measured, in milliseconds; capture and queue are the pipeline's to fill."""
        return Timings(
            preprocess_ms=self.preprocess / 1e6,
            infer_ms=self.infer / 1e6,
            postprocess_ms=self.postprocess / 1e6,
        )


class LoadedModel:
    """One variant of a bundle with the engine that runs it. Used by one thread.

    Parameters
    ----------
    manifest
        The bundle's.
    engine
        Runs one of its variants; the model takes it over and closes it.
    task
        What the bundle must be for.

    Raises
    ------
    ModelError
        The bundle is for another task, or the engine runs a file that is not of this bundle.
    """

    def __init__(self, manifest: Manifest, engine: Engine, task: TaskName) -> None:
        if manifest.task != task:
            raise ModelError(
                f"model {manifest.name}: its task is {manifest.task}, needed is {task}",
                hint="name another bundle in [models]",
            )
        variants = {str(name): facts for name, facts in manifest.variants.items()}
        facts = variants.get(engine.model.variant)
        if facts is None or facts.sha256 != engine.model.sha256:
            raise ModelError(
                f"model {manifest.name}: the engine runs {engine.model.name} "
                f"{engine.model.variant}, which is not in this manifest"
            )
        self._engine = engine
        self._preprocessor = Preprocessor(manifest.input, facts.inputs[manifest.input.name])
        self._tensor = self._preprocessor.allocate(1)

    def run(
        self, images: Sequence[Image], watch: Stopwatch
    ) -> tuple[Outputs, tuple[Transform, ...]]:
        """Preprocess images (N >= 1, each (H, W, 3) uint8 BGR) and infer them in one call.

        Raises
        ------
        EngineError
            The runtime failed.
        """
        with watch.measure("preprocess"):
            if len(self._tensor) < len(images):
                self._tensor = self._preprocessor.allocate(len(images))
            tensor, transforms = self._preprocessor.prepare(images, self._tensor[: len(images)])
        with watch.measure("infer"):
            outputs = self._engine.infer(tensor)
        return outputs, transforms

    def close(self) -> None:
        """Release the engine. Harmless when called twice."""
        self._engine.close()
