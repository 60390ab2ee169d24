"""A station's figures for each number of faces; everything that is compared takes turns."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.commands.bare import Bare, BareModels, Step, run_bare
from edge.commands.measure import WARM_UP, Judged, Latency, rss_mb, run_camera, run_station
from edge.commands.reference import Reference
from edge.commands.targets import Loaded
from edge.contract.bundle import Bundle
from edge.demo.crowd import crowd
from edge.demo.local_broker import LocalBroker
from edge.demo.progress import Update
from edge.demo.summary import percentiles

ROUNDS = 5
"""How often everything has its turn with every number of faces: a busy moment hits all of them.
Shares of two speeds are medians over the turns, in each of which the two stood side by side;
percentiles are of all turns together, since one turn has too few frames for a 99th of its own."""
STAGES = ("preprocess", "infer", "postprocess")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: the models, the variant of each, and with how many threads.

    ``seconds``: of each measurement, over all turns.
    """

    bundles: Sequence[Bundle]
    variants: Sequence[str]
    workers: int
    threads: int
    seconds: float
    folder: Path


class Crowd:
    """One number of faces, and what was measured with it, one entry a turn.

    Parameters
    ----------
    count
        How many faces.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.image, self.boxes = crowd(count)
        self.loops: list[list[Step]] = []
        self.bare: list[Bare] = []
        self.service: list[Judged] = []
        self.camera: list[Latency] = []
        self.reference_s: list[float] = []

    def turn(
        self,
        loaded: Sequence[Loaded],
        setting: Setting,
        broker: LocalBroker,
        reference: Reference | None,
    ) -> None:
        """Bare interpreters, service, service behind a camera, and a frame of the reference."""
        seconds, folder = setting.seconds / ROUNDS, setting.folder
        self.bare.append(run_bare(self.loops, seconds))
        self.service.append(run_station(loaded, self.image, self.boxes, seconds, folder))
        if reference is not None:
            self.reference_s.append(reference.frame_s(self.count))
        self.camera.append(run_camera(loaded, self.image, self.boxes, seconds, folder, broker))

    @property
    def fps(self) -> float:
        """Judged frames a second of the service as fast as it goes."""
        return statistics.median(judged.fps for judged in self.service)

    @property
    def bare_fps(self) -> float:
        """Frames a second of the bare interpreters."""
        return statistics.median(bare.fps for bare in self.bare)

    @property
    def efficiency(self) -> float:
        """Service ÷ bare interpreters."""
        turns = zip(self.service, self.bare, strict=True)
        return statistics.median(judged.fps / bare.fps for judged, bare in turns)

    def report(self) -> dict[str, Any]:
        """What goes into the JSON for this number of faces."""
        cycles = [cycle for judged in self.service for cycle in judged.cycles]
        service_ms = [cycle.frame_ms for cycle in cycles]
        bare_ms = [value for bare in self.bare for value in bare.frame_ms]
        infer_ms = [cycle.infer_ms for cycle in cycles]
        service, bare = _tail(service_ms), _tail(bare_ms)
        found: dict[str, Any] = {
            "fps": round(self.fps, 2),
            "bare_fps": round(self.bare_fps, 2),
            "efficiency": round(self.efficiency, 4),
            "overhead_ms": round(statistics.median(service_ms) - statistics.median(infer_ms), 3),
            "stages": self._stages(),
            "frame_ms": {"service": percentiles(service_ms), "bare": percentiles(bare_ms)},
            "p99_to_p50": {
                "service": round(service, 3),
                "bare": round(bare, 3),
                "ratio": round(service / bare, 3),
            },
            "latency_ms": {
                "verdict": percentiles([v for one in self.camera for v in one.verdict_ms]),
                "puback": percentiles([v for one in self.camera for v in one.puback_ms]),
            },
        }
        if self.reference_s:
            turns = zip(self.service, self.reference_s, strict=True)
            found["reference_fps"] = round(1 / statistics.median(self.reference_s), 3)
            found["ratio"] = round(statistics.median(j.fps * took for j, took in turns), 2)
        return found

    def _stages(self) -> dict[str, Any]:
        """Percentiles of each stage after the warm-up, and of their sum."""
        timings = [timing for judged in self.service for timing in judged.timings[WARM_UP:]]
        stages = {name: [getattr(t, f"{name}_ms") for t in timings] for name in STAGES}
        stages["total"] = [sum(parts) for parts in zip(*stages.values(), strict=True)]
        return {name: percentiles(values) for name, values in stages.items()}


def run_turns(
    counts: Sequence[int],
    setting: Setting,
    broker: LocalBroker,
    reference: Reference | None,
    update: Update,
) -> tuple[list[Crowd], float]:
    """Measure every number of faces in turns.

    Returns
    -------
    list of Crowd, float
        What was measured, and the memory in MiB that the service takes with the most faces, before
        anything is loaded that it is only compared with.

    Raises
    ------
    ModelError, EngineError
        A model cannot be used here.
    StageFailed
        There was not enough time to measure anything, or the reference failed.
    """
    crowds = [Crowd(count) for count in counts]
    steps = ROUNDS * len(crowds) + 1
    with ExitStack() as stack:
        loaded = [
            stack.enter_context(closing(Loaded(setting.bundles, setting.variants, setting.threads)))
            for _ in range(setting.workers)
        ]
        update(0, steps)
        most = max(crowds, key=lambda crowd: crowd.count)
        run_station(loaded, most.image, most.boxes, setting.seconds / ROUNDS, setting.folder)
        memory = rss_mb()
        for _ in loaded:
            models = BareModels(setting.bundles, setting.variants, setting.threads)
            for one in crowds:
                one.loops.append(models.steps(one.image, one.boxes))
        for turn in range(ROUNDS):
            for place, one in enumerate(crowds):
                update(1 + turn * len(crowds) + place, steps)
                one.turn(loaded, setting, broker, reference)
        update(steps, steps)
    return crowds, memory


def ms_per_face(crowds: Sequence[Crowd]) -> float:
    """What a further face costs: the slope of a line through the frames' times.

    Parameters
    ----------
    crowds
        Two at least, of different numbers of faces.
    """
    counts = [one.count for one in crowds]
    slopes = [
        np.polyfit(counts, [1000 / one.service[turn].fps for one in crowds], 1)[0]
        for turn in range(ROUNDS)
    ]
    return float(statistics.median(slopes))


def _tail(frame_ms: Sequence[float]) -> float:
    p50, p99 = np.percentile(frame_ms, (50, 99))
    return float(p99 / p50)
