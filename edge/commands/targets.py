"""What ``eval`` and ``bench`` work on: a station's models, or one bundle."""

from __future__ import annotations

import argparse
import difflib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from edge.app import open_checked
from edge.commands.options import add_models
from edge.contract.bundle import Bundle, choose_variant, find_bundle, load_bundle, search_path
from edge.contract.manifest import VariantName
from edge.errors import ModelError, UsageError
from edge.tasks import ClassificationTask, DetectionTask, SegmentationTask

STATIONS = {
    "face_mask": ("face_detector", "mask_classifier"),
    "steel_defect": ("steel_defect",),
}
"""Station → its bundles, detector first."""


def add_target(parser: argparse.ArgumentParser) -> None:
    """``STATION|BUNDLE`` and ``--models``."""
    parser.add_argument(
        "target",
        metavar="STATION|BUNDLE",
        help="face_mask, steel_defect, or the folder of a bundle",
    )
    add_models(parser)


def bundles_of(target: str, models: Path | None) -> list[Bundle]:
    """The bundles of a station, or the one bundle that a path leads to.

    Raises
    ------
    UsageError
        There is no such station or folder.
    ModelError
        A bundle is missing or its manifest is wrong.
    """
    if target in STATIONS:
        search = search_path(models)
        return [find_bundle(name, search) for name in STATIONS[target]]
    if _is_folder(Path(target)):
        return [load_bundle(Path(target))]
    near = difflib.get_close_matches(target, STATIONS, n=1)
    raise UsageError(
        f"{target!r} is neither a station of this version nor the folder of a bundle",
        hint=f"did you mean {near[0]}?" if near else f"stations: {', '.join(STATIONS)}",
    )


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror}",
            hint="a bundle must be readable by the user who runs this",
        ) from error


class Loaded:
    """A station's tasks, or one bundle's; what does not apply is None.

    Parameters
    ----------
    bundles
        As :func:`bundles_of` gives them.
    variants
        One of each bundle, or ``auto``.
    threads
        Of each interpreter.

    Attributes
    ----------
    variants
        The one that was taken of each bundle.

    Raises
    ------
    UsageError
        A bundle has no such variant.
    ModelError, EngineError
        A bundle cannot be used here.
    """

    def __init__(self, bundles: Sequence[Bundle], variants: Sequence[str], threads: int) -> None:
        self.variants = [
            chosen_variant(bundle, variant)
            for bundle, variant in zip(bundles, variants, strict=True)
        ]
        self.detector: DetectionTask | None = None
        self.classifier: ClassificationTask | None = None
        self.segmenter: SegmentationTask | None = None
        try:
            for bundle, chosen in zip(bundles, self.variants, strict=True):
                self._load(bundle, chosen, threads)
        except BaseException:
            self.close()
            raise

    def _load(self, bundle: Bundle, variant: str, threads: int) -> None:
        task = bundle.manifest.task
        if task == "ellipse":
            raise ModelError(f"{bundle.path}: task {task} comes with a later version")
        engine = open_checked(bundle, variant, threads=threads)
        if task == "detection":
            self.detector = DetectionTask(bundle.manifest, engine)
        elif task == "segmentation":
            self.segmenter = SegmentationTask(bundle.manifest, engine)
        else:
            self.classifier = ClassificationTask(bundle.manifest, engine)

    def close(self) -> None:
        """Release the engines."""
        for task in (self.detector, self.classifier, self.segmenter):
            if task is not None:
                task.close()


def chosen_variant(bundle: Bundle, wanted: str) -> VariantName:
    """The variant that ``--variant`` means.

    Raises
    ------
    UsageError
        The bundle has no such variant; the message lists those it has.
    """
    try:
        return choose_variant(bundle.manifest, wanted)
    except ModelError as error:
        raise UsageError(f"--variant {wanted}: {error.message}", hint="or take auto") from error


def cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))
