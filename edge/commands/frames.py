"""How fast a steel_defect station is: frames a second, and from a frame to its alert."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

import numpy as np

from edge.commands.bare import Bare, BareModels, run_bare
from edge.commands.faces import ROUNDS, STAGES, Setting
from edge.commands.measure import WARM_UP, Judged, Latency, rss_mb, run_fast, run_paced
from edge.commands.targets import Loaded
from edge.demo.local_broker import LocalBroker
from edge.demo.progress import Update
from edge.demo.strip import strip_frame
from edge.demo.summary import percentiles
from edge.tasks import SegmentationTask

LINE_FPS = 60.0
"""Pace of the camera behind which latencies are measured."""

TASK = "steel_defect"


class KeptOpen:
    """A task whose engine outlives the service, see :class:`edge.protocols.Task`."""

    def __init__(self, task: SegmentationTask) -> None:
        self.model = task.model
        self.observe = task.observe

    def close(self) -> None:
        """Leave the engine open: whoever loaded it closes it."""


def measure_frames(setting: Setting, broker: LocalBroker, update: Update) -> dict[str, Any]:
    """Run the real service on drawn frames of 1600×256, with defects and without in turn.

    The bare interpreters, the service as fast as it goes, and the service behind a camera of
    :data:`LINE_FPS` with a broker, in turns.

    Returns
    -------
    dict
        ``frame`` with ``fps``, ``stages``, ``latency_ms`` (capture to alert) and ``puback_ms``;
        ``bare_fps``, ``efficiency``, and ``rss_mb``, what the service takes in MiB.

    Raises
    ------
    ModelError, EngineError
        The model cannot be used here.
    StageFailed
        There was not enough time to measure anything.
    """
    images = [strip_frame(seed, defects=seed % 2 == 0) for seed in range(2)]
    seconds, folder = setting.seconds / ROUNDS, setting.folder
    fast: list[Judged] = []
    paced: list[Latency] = []
    bare: list[Bare] = []
    with ExitStack() as stack:
        tasks: list[KeptOpen] = []
        for _ in range(setting.workers):
            loaded = Loaded(setting.bundles, setting.variants, setting.threads)
            stack.enter_context(closing(loaded))
            if loaded.segmenter is not None:
                tasks.append(KeptOpen(loaded.segmenter))
        run_fast(tasks, images, seconds, folder, TASK)
        memory = rss_mb()
        nowhere = np.zeros((0, 4), np.float32)
        loops = [
            BareModels(setting.bundles, setting.variants, setting.threads).steps(images[0], nowhere)
            for _ in tasks
        ]
        for turn in range(ROUNDS):
            update(turn, ROUNDS)
            bare.append(run_bare(loops, seconds))
            fast.append(run_fast(tasks, images, seconds, folder, TASK))
            paced.append(run_paced(tasks, images, LINE_FPS, seconds, folder, broker, TASK))
        update(ROUNDS, ROUNDS)
    return frame_report(fast, paced, bare) | {"rss_mb": round(memory, 1)}


def frame_report(
    fast: Sequence[Judged], paced: Sequence[Latency], bare: Sequence[Bare]
) -> dict[str, Any]:
    """What was measured in turns as the JSON has it."""
    timings = [timing for judged in fast for timing in judged.timings[WARM_UP:]]
    stages = {name: [getattr(one, f"{name}_ms") for one in timings] for name in STAGES}
    stages["total"] = [sum(parts) for parts in zip(*stages.values(), strict=True)]
    turns = zip(fast, bare, strict=True)
    return {
        "frame": {
            "fps": round(statistics.median(judged.fps for judged in fast), 2),
            "stages": {name: percentiles(values) for name, values in stages.items()},
            "latency_ms": percentiles([value for one in paced for value in one.verdict_ms]),
            "puback_ms": percentiles([value for one in paced for value in one.puback_ms]),
        },
        "bare_fps": round(statistics.median(one.fps for one in bare), 2),
        "efficiency": round(statistics.median(judged.fps / one.fps for judged, one in turns), 4),
    }
