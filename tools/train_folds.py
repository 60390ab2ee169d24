"""Train the face detector once for each fold, so that every group photo is held back once.

``python -m tools.train_folds --data DIR --out DIR [--folds 5] [--minutes 15]`` writes
``OUT/fold<k>``, one after the other, and goes on where it was interrupted; ``python -m tools.folds
OUT/fold*`` then says what they find together. The shipped network is trained longer, on one split.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from converter.recipe import load_recipe
from converter.training import DetectorTraining, train

RECIPE = Path("models/face_detector/recipe.toml")


def settings_of(
    recipe: Path, fold: int, folds: int, minutes: float, *, from_scratch: bool = False
) -> DetectorTraining:
    """The recipe's training on one of ``folds`` equal shares, with its start or without.

    Raises
    ------
    TypeError
        The recipe trains no detector.
    """
    training = load_recipe(recipe).recipe.training
    if not isinstance(training, DetectorTraining):
        raise TypeError(f"{recipe}: trains no detector")
    changes: dict[str, object] = {
        "fold": fold,
        "picture_fraction": 1 / folds,
        "minutes": minutes,
    }
    if from_scratch:
        changes["start_from_labeller"] = False
    return training.model_copy(update=changes)


def main(argv: Sequence[str] | None = None) -> int:
    """Train every fold that is not there yet."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_folds", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds boxes/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=15.0, help="for each fold")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="default: %(default)s")
    parser.add_argument("--only", type=int, help="train this fold alone")
    parser.add_argument(
        "--from-scratch", action="store_true", help="begin with random weights, all else alike"
    )
    args = parser.parse_args(argv)
    known = args.out / "labels.json"
    for fold in range(args.folds) if args.only is None else (args.only,):
        out = args.out / f"fold{fold}"
        if (out / "judged.json").exists():
            continue
        out.mkdir(parents=True, exist_ok=True)
        if known.exists():  # the labeller need not look at the same pictures five times
            shutil.copy(known, out)
        settings = settings_of(
            args.recipe, fold, args.folds, args.minutes, from_scratch=args.from_scratch
        )
        train(settings, args.data, out, resume=True, progress=_say)
        if (out / "labels.json").exists():
            shutil.copy(out / "labels.json", known)
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
