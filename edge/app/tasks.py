"""Models to tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.config import Config
from edge.contract.bundle import Bundle, choose_variant, find_bundle, search_path
from edge.contract.choice import read_choice
from edge.contract.golden import check_golden
from edge.engines import open_engine
from edge.modelcheck import check_bundle
from edge.protocols import Engine, Task
from edge.tasks.classification import ClassificationTask
from edge.tasks.detection import DetectionTask
from edge.tasks.face_mask import FaceMaskTask
from edge.tasks.segmentation import SegmentationTask


def open_task(
    task: str,
    names: Sequence[str],
    *,
    variant: str = "auto",
    threads: int = 2,
    models: Path | None = None,
    models_dir: Path | None = None,
    state_dir: Path | None = None,
    golden: bool = True,
) -> Task:
    """The task of a station, ready to judge frames in one thread.

    Parameters
    ----------
    task, names
        ``face_mask`` with the names of a detector's and a classifier's bundle, or
        ``steel_defect`` with that of a segmenter's.
    variant
        Of every model; ``auto`` takes what was measured or is known to suit this machine.
    threads
        Of each interpreter.
    models, models_dir
        Searched for bundles before the installed ones.
    state_dir
        Where a measured choice of variants is kept, and which models have passed their check.
    golden
        Whether to try the golden vectors first: wrong numbers look like wrong faces later.

    Raises
    ------
    ModelError
        A bundle is missing, damaged, or computes other numbers here than where it was made.
    EngineError
        The runtime is absent or cannot load the model.
    """
    search = search_path(models, models_dir)
    choice = read_choice(state_dir) if state_dir is not None else {}
    bundles = [find_bundle(name, search) for name in names]
    engines: list[Engine] = []
    try:
        for bundle in bundles:
            chosen = choose_variant(bundle.manifest, variant, choice)
            engines.append(
                open_checked(bundle, chosen, threads=threads, golden=golden, cache_dir=state_dir)
            )
        if task == "steel_defect":
            return SegmentationTask(bundles[0].manifest, engines[0])
        return FaceMaskTask(
            DetectionTask(bundles[0].manifest, engines[0]),
            ClassificationTask(bundles[1].manifest, engines[1]),
        )
    except BaseException:
        for engine in engines:
            engine.close()
        raise


def open_checked(
    bundle: Bundle,
    variant: str,
    *,
    threads: int,
    golden: bool = True,
    cache_dir: Path | None = None,
) -> Engine:
    """An engine for one variant of a bundle, after its hash and its golden vectors were checked.

    With ``cache_dir``, as for a station, the golden vectors are tried in a process that may die,
    and what has passed is kept there; without, they are tried here.

    Raises
    ------
    ModelError
        The file is damaged, or computes other numbers here than where it was made.
    EngineError
        The runtime is absent or cannot load the model.
    """
    if golden and cache_dir is not None:
        check_bundle(bundle, variant, threads=threads, cache_dir=cache_dir)
    engine = open_engine(bundle, variant, threads=threads)
    if golden and cache_dir is None:
        try:
            check_golden(bundle, variant, engine.infer)
        except BaseException:
            engine.close()
            raise
    return engine


def open_tasks(config: Config, models: Path | None) -> Sequence[Task]:
    """One task for each worker; the golden vectors are tried once."""
    tasks: list[Task] = []
    try:
        tasks.extend(
            open_task(
                config.station.task,
                config.bundles,
                variant=config.models.variant,
                threads=config.inference.threads,
                models=models,
                models_dir=config.station.models_dir,
                state_dir=config.station.state_dir,
                golden=number == 0,
            )
            for number in range(config.inference.workers)
        )
    except BaseException:
        for task in tasks:
            task.close()
        raise
    return tasks
