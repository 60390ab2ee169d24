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

from pydantic import ValidationError

from converter.recipe import Recipe, load_recipe
from converter.training import DetectorTraining, train
from edge.errors import ConfigError, LineSightError

RECIPE = Path("models/face_detector/recipe.toml")


def detector_of(path: Path) -> tuple[Recipe, DetectorTraining]:
    """A recipe, and the training of a detector in it.

    Raises
    ------
    ConfigError
        The recipe cannot be read, or trains no detector.
    """
    recipe = load_recipe(path).recipe
    if not isinstance(recipe.training, DetectorTraining):
        raise ConfigError(
            f"{path}: trains no detector",
            hint='name a recipe whose training.kind is "face_detector"',
        )
    return recipe, recipe.training


def settings_of(
    recipe: Path, fold: int, folds: int, minutes: float, *, from_scratch: bool = False
) -> DetectorTraining:
    """The recipe's training on one of ``folds`` equal shares, with its start or without.

    Raises
    ------
    ConfigError
        The recipe trains no detector, or its training cannot have such a fold or so many minutes.
    """
    _, training = detector_of(recipe)
    changes: dict[str, object] = {
        "fold": fold,
        "picture_fraction": 1 / folds,
        "minutes": minutes,
    }
    if from_scratch:
        changes["start_from_labeller"] = False
    try:
        return DetectorTraining.model_validate(training.model_dump() | changes)
    except ValidationError as error:
        said = "; ".join(_line(item["loc"], item["msg"]) for item in error.errors())
        raise ConfigError(f"{recipe}: {said}") from error


def _line(place: tuple[int | str, ...], said: str) -> str:
    key = ".".join(("training", *map(str, place)))
    return f"{key}: {said.removeprefix('Value error, ')}"


def main(argv: Sequence[str] | None = None) -> int:
    """Train every fold that is not there yet; the exit code is that of the error, or 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_folds", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds boxes/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=_folds, default=5)
    parser.add_argument("--minutes", type=_minutes, default=15.0, help="for each fold")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="default: %(default)s")
    parser.add_argument("--only", type=int, help="train this fold alone")
    parser.add_argument(
        "--from-scratch", action="store_true", help="begin with random weights, all else alike"
    )
    args = parser.parse_args(argv)
    if args.only is not None and not 0 <= args.only < args.folds:
        parser.error(f"argument --only: {args.only} is not in 0 to {args.folds - 1}")
    try:
        _train(args)
    except LineSightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _train(args: argparse.Namespace) -> None:
    known = args.out / "labels.json"
    for fold in range(args.folds) if args.only is None else (args.only,):
        out = args.out / f"fold{fold}"
        if (out / "judged.json").exists():
            continue
        out.mkdir(parents=True, exist_ok=True)
        if known.exists() and not (out / "labels.json").exists():
            shutil.copy(known, out)  # the labeller need not look at the same pictures five times
        settings = settings_of(
            args.recipe, fold, args.folds, args.minutes, from_scratch=args.from_scratch
        )
        train(settings, args.data, out, resume=True, progress=_say)
        if (out / "labels.json").exists():
            shutil.copy(out / "labels.json", known)


def _folds(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"{number} is less than 2")
    return number


def _minutes(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
