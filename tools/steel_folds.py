"""Train a network that marks defects once for each fold, and say what the folds find.

``python -m tools.steel_folds --data DIR --out DIR [--network small] [--folds 5] [--minutes 10]
[--only K] [--json FILE]`` trains ``OUT/<network><k>`` one after the other, each with the recipe's
settings on another share of the pictures, goes on where it was interrupted, and prints Dice,
verdicts and false alarms of each fold and over all of them. Two networks are compared at equal
budget on the same folds. The shipped network is trained longer, on one fold.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from converter.recipe import load_recipe
from converter.training import SegmenterTraining, train
from converter.training.settings import Network
from edge.errors import ConfigError, LineSightError

RECIPE = Path("models/steel_defect/recipe.toml")


def settings_of(
    recipe: Path, network: Network, fold: int, folds: int, minutes: float
) -> SegmenterTraining:
    """The recipe's training with another network, on one of ``folds`` equal shares.

    Raises
    ------
    ConfigError
        The recipe cannot be read, or trains no segmenter.
    """
    training = load_recipe(recipe).recipe.training
    if not isinstance(training, SegmenterTraining):
        raise ConfigError(
            f"{recipe}: trains no segmenter",
            hint='name a recipe whose training.kind is "segmenter"',
        )
    changes: dict[str, object] = {
        "network": network,
        "fold": fold,
        "picture_fraction": 1 / folds,
        "minutes": minutes,
    }
    return SegmenterTraining.model_validate(training.model_dump() | changes)


def summary(trained: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over all folds: means of the figures, and the sums of the verdicts' [TN, FP, FN, TP].

    Parameters
    ----------
    trained
        ``metrics.json`` of each fold.
    """
    shipped = [one["shipped"] for one in trained]
    labels = list(shipped[0]["verdict"])
    verdict = {}
    for label in labels:
        cells = [one["verdict"][label]["counts"] for one in shipped]
        counts = [sum(column) for column in zip(*cells, strict=True)]
        verdict[label] = {
            "counts": counts,
            "accuracy": round((counts[0] + counts[3]) / sum(counts), 4),
        }
    return {
        "folds": len(shipped),
        "dice": {
            key: _mean([one["dice"][key] for one in shipped if key in one["dice"]])
            for key in (*labels, "mean")
        },
        "dice_range": [
            min(one["dice"]["mean"] for one in shipped),
            max(one["dice"]["mean"] for one in shipped),
        ],
        "verdict": verdict,
        "missed": _mean([one["missed"] for one in shipped]),
        "false_alarms": {
            name: _mean([one["false_alarms"][name] for one in shipped])
            for name in shipped[0]["false_alarms"]
        },
    }


def table(network: str, trained: Sequence[dict[str, Any]]) -> str:
    """A line for each fold, and the summary below it."""
    lines = [f"{network:14} {'Dice':>7} {'missed':>7}  false alarms"]
    for one in trained:
        shipped = one["shipped"]
        alarms = ", ".join(f"{key} {value:.3f}" for key, value in shipped["false_alarms"].items())
        name = f"fold {one['settings']['fold']}, {one['epoch']} epochs"
        lines.append(f"{name:14} {shipped['dice']['mean']:7.4f} {shipped['missed']:7.3f}  {alarms}")
    whole = summary(trained)
    low, high = whole["dice_range"]
    lines.append(f"mean           {whole['dice']['mean']:7.4f} ({low:.4f} to {high:.4f})")
    for label, verdict in whole["verdict"].items():
        lines.append(
            f"{label:14} {whole['dice'][label]:7.4f}  [TN FP FN TP] {verdict['counts']}, "
            f"accuracy {verdict['accuracy']:.4f}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Train every fold that is not there yet, then tell; the exit code is the error's, or 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.steel_folds", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the recipe's data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--network", choices=get_args(Network), default="small")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each fold")
    parser.add_argument("--only", type=int, help="train and tell this fold alone")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="write the summary there too")
    args = parser.parse_args(argv)
    if args.folds < 2 or not args.minutes > 0:
        parser.error("needs 2 folds or more, and minutes above 0")
    if args.only is not None and not 0 <= args.only < args.folds:
        parser.error(f"argument --only: {args.only} is not in 0 to {args.folds - 1}")
    try:
        trained = [_trained(args, fold) for fold in _folds(args)]
    except LineSightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(table(args.network, trained) + "\n")
    if args.json is not None:
        args.json.write_text(json.dumps(summary(trained), indent=2) + "\n", encoding="utf-8")
    return 0


def _folds(args: argparse.Namespace) -> Sequence[int]:
    return range(args.folds) if args.only is None else (args.only,)


def _trained(args: argparse.Namespace, fold: int) -> dict[str, Any]:
    """``metrics.json`` of a fold, trained unless it is there."""
    out = args.out / f"{args.network}{fold}"
    done = out / "done"
    if not done.exists():
        out.mkdir(parents=True, exist_ok=True)
        settings = settings_of(args.recipe, args.network, fold, args.folds, args.minutes)
        train(settings, args.data, out, resume=True, progress=_say)
        done.touch()
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return found


def _mean(values: Sequence[float]) -> float:
    return round(statistics.fmean(values), 4)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
