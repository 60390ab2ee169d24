"""What trainings on the folds of the group photos say together: ``python -m tools.folds RUN ...``.

A single held-back side holds a handful of crowds. Trained once for each fold, with the same
settings, a detector is judged on every picture by a net that has not seen it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.commands.options import add_json, text_stream, write_json
from edge.errors import DataError, LineSightError
from edge.evaluation.bootstrap import SEED, Key, Statistic, Values, nested, once, resample
from edge.evaluation.ranking import Ranking

PRECISION = 0.95
"""The threshold of a fold is the lowest one with at least this precision on its pictures."""

CROWD = 18
"""From so many faces on a picture shows a crowd, as ``by_faces`` of an evaluation counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """What one training says of the pictures that it did not learn from.

    Parameters
    ----------
    name
        Its folder.
    files
        The pictures.
    faces
        (pictures,) true boxes.
    scores, hits
        Of each picture's detections, (N,) float32 and (N,) bool; a hit has found a face.
    """

    name: str
    files: tuple[str, ...]
    faces: npt.NDArray[np.float64]
    scores: tuple[npt.NDArray[np.float32], ...]
    hits: tuple[npt.NDArray[np.bool_], ...]


def read_fold(run: Path) -> Fold:
    """``judged.json`` of a training.

    Raises
    ------
    DataError
        It cannot be read, or is not what a training writes.
    """
    path = run / "judged.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        fold = Fold(
            str(run),
            tuple(str(row["file"]) for row in rows),
            np.array([row["faces"] for row in rows], np.float64),
            tuple(np.array(row["scores"], np.float32) for row in rows),
            tuple(np.array(row["hit"], np.bool_) for row in rows),
        )
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}", hint="name the folder of a training"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: is not what a training writes: {error!r}") from error
    for file, scores, hits, faces in zip(
        fold.files, fold.scores, fold.hits, fold.faces, strict=True
    ):
        if scores.ndim != 1 or scores.shape != hits.shape or hits.sum() > faces:
            raise DataError(f"{path}: {file}: its scores, hits and faces do not fit together")
    if not fold.files:
        raise DataError(f"{path}: holds no picture")
    return fold


def summarize(folds: Sequence[Fold]) -> dict[str, Any]:
    """Figures of each fold, and their mean over the folds with 95 % intervals.

    For an interval the pictures of each fold are drawn again among themselves, and its threshold is
    read off anew. A figure that a fold lacks (it has no crowd) is absent there, and the mean is
    that of the other folds.

    Parameters
    ----------
    folds
        At least one.

    Raises
    ------
    DataError
        A picture is in two of them.
    """
    seen: dict[str, str] = {}
    for fold in folds:
        for file in fold.files:
            if file in seen:
                raise DataError(
                    f"{file}: was judged in {seen[file]} and in {fold.name}",
                    hint="name one training for each fold",
                )
            seen[file] = fold.name
    rows = []
    values: dict[Key, list[float]] = {}
    draws: dict[Key, list[Values]] = {}
    for number, fold in enumerate(folds):
        ranking, pictures = Ranking(fold.scores, fold.hits), len(fold.files)
        statistic = _statistic(fold, ranking)
        found = once(statistic, pictures)
        drawn = resample(statistic, pictures, widest=len(ranking), seed=SEED + number)
        rows.append(_row(fold, ranking, found))
        for key, value in found.items():
            values.setdefault(key, []).append(value)
            draws.setdefault(key, []).append(drawn[key])
    mean = nested(
        {key: float(np.mean(of_folds)) for key, of_folds in values.items()},
        {key: np.mean(of_folds, axis=0) for key, of_folds in draws.items()},
    )
    return {"precision": PRECISION, "pictures": len(seen), "folds": rows, "mean": mean}


def _statistic(fold: Fold, ranking: Ranking) -> Statistic:
    crowded = np.where(fold.faces >= CROWD, fold.faces, 0)

    def statistic(weights: Values) -> dict[Key, Values]:
        curve = ranking.curve(weights)
        recalls = curve.recall_at(PRECISION, np.stack([fold.faces, crowded], axis=1))
        ap = curve.average_precision(fold.faces)
        return {("recall",): recalls[:, 0], ("ap",): ap, ("crowds", "recall"): recalls[:, 1]}

    return statistic


def _row(fold: Fold, ranking: Ranking, found: Mapping[Key, float]) -> dict[str, Any]:
    """One fold as the report has it; no threshold where none reaches the precision."""
    crowds = fold.faces >= CROWD
    threshold = ranking.threshold_at(PRECISION)
    row = nested(found, {})
    if "crowds" in row:
        row["crowds"] |= {"pictures": int(crowds.sum()), "faces": int(fold.faces[crowds].sum())}
    return {
        "run": fold.name,
        "pictures": len(fold.files),
        "faces": int(fold.faces.sum()),
        **({} if threshold is None else {"threshold": threshold}),
        **row,
    }


def table(report: dict[str, Any]) -> Iterator[str]:
    """A line for each fold and one for the mean, with its interval below."""
    yield (
        f"{'run':<32}{'pictures':>9}{'crowds':>8}{'threshold':>11}{'AP':>9}{'recall':>9}"
        f"{'in crowds':>11}"
    )
    for row in report["folds"]:
        crowds = row.get("crowds", {})
        yield (
            f"{row['run'][-31:]:<32}{row['pictures']:>9}{crowds.get('pictures', 0):>8}"
            f"{_number(row.get('threshold')):>11}{_number(row.get('ap')):>9}"
            f"{_number(row.get('recall')):>9}{_number(crowds.get('recall')):>11}"
        )
    mean = report["mean"]
    parts = [("ap", mean), ("recall", mean), ("recall", mean.get("crowds", {}))]
    ranges = [part.get("interval", {}).get(key, (None, None)) for key, part in parts]
    lines = {
        "mean": [part.get(key) for key, part in parts],
        "95 % from": [low for low, _ in ranges],
        "to": [high for _, high in ranges],
    }
    for name, (ap, recall, in_crowds) in lines.items():
        yield f"{name:<60}{_number(ap):>9}{_number(recall):>9}{_number(in_crowds):>11}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the trainings, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tools.folds", description=__doc__)
    parser.add_argument(
        "runs", metavar="RUN", type=Path, nargs="+", help="folder of one fold's training"
    )
    add_json(parser)
    args = parser.parse_args(arguments)
    try:
        report = summarize([read_fold(run) for run in args.runs])
        write_json(args.json, report)
    except LineSightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    text_stream(args.json).write("".join(f"{line}\n" for line in table(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
