"""Mosaics of group photos, for crowds larger than the photos hold: ``python -m tools.fold_mosaics
RUN ... --data DIR`` with the folders of :mod:`tools.train_folds`.

Of each fold's held-back photos with 5 to 17 faces four at a time stand side by side, each at half
size, where they hold 18 faces or more together; no photo comes twice. The fold's network judges
them at the threshold at which its precision on whole photos is 0.95. Faces with a shorter side
below 6 px of the input are left out, as in training.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converter.training.pictures import Picture, letterbox
from edge.commands.options import add_json, text_stream, write_json
from edge.errors import DataError, LineSightError
from edge.evaluation.bootstrap import Key, Values, figures, share
from edge.evaluation.ranking import Ranking
from tools.folds import CROWD, PRECISION, read_fold

FACES = range(5, CROWD)
"""Faces of a photo that becomes a part of a mosaic."""

SEED = 7


def mosaics(pictures: Sequence[Picture], height: int, width: int, smallest: float) -> list[Picture]:
    """Four of the pictures at a time as one of (height, width), where they make a crowd.

    Parameters
    ----------
    pictures
        Each in its own size; those with too few or too many faces are passed over.
    height, width
        Of the detector's input, in pixels.
    smallest
        Faces with a shorter side than this in the mosaic are left out.
    """
    fitting = [picture for picture in pictures if len(picture.boxes) in FACES]
    order = np.random.default_rng(SEED).permutation(len(fitting))
    made = []
    for first in range(0, len(order) - 3, 4):
        four = [fitting[k] for k in order[first : first + 4]]
        image = np.empty((height, width, 3), np.uint8)
        boxes = []
        for place, picture in enumerate(four):
            top, left = place // 2 * (height // 2), place % 2 * (width // 2)
            part, scale, across, down = letterbox(picture.image, height // 2, width // 2)
            image[top : top + height // 2, left : left + width // 2] = part
            shift = np.array([left + across, top + down] * 2, np.float32)
            boxes.append(picture.boxes * np.float32(scale) + shift)
        faces = np.concatenate(boxes)
        faces = faces[(faces[:, 2:] - faces[:, :2]).min(axis=1) >= smallest]
        if len(faces) >= CROWD:
            made.append(Picture(four[0].path, image, faces, ("face",) * len(faces)))
    return made


def judge_run(run: Path, data: Path) -> npt.NDArray[np.int64]:
    """Faces and those found of each mosaic of one fold, (mosaics, 2).

    Raises
    ------
    DataError
        The folder is not that of a training, or reaches the precision nowhere.
    """
    import keras
    import tensorflow as tf

    from converter.training.detector import judge_pictures
    from converter.training.pictures import load_pictures
    from converter.training.settings import DetectorTraining
    from converter.training.split import split_boxes

    fold = read_fold(run)
    threshold = Ranking(fold.scores, fold.hits).threshold_at(PRECISION)
    if threshold is None:
        raise DataError(f"{run}: reaches a precision of {PRECISION} nowhere")
    facts = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    settings = DetectorTraining.model_validate(facts["settings"])
    held_back = split_boxes(
        data, fraction=settings.picture_fraction, seed=settings.seed, fold=settings.fold
    ).validation
    made = mosaics(
        load_pictures(data, held_back), settings.height, settings.width, settings.smallest_face
    )
    model = keras.saving.load_model(run / "model.keras")
    judged = judge_pictures(tf.function(lambda x: model(x, training=False)), made, settings)
    rows = [(one.faces, int((one.hit & (one.scores >= threshold)).sum())) for one in judged]
    return np.array(rows, np.int64).reshape(-1, 2)


def table(runs: Sequence[tuple[str, npt.NDArray[np.int64]]]) -> Iterator[str]:
    """A line for each fold, and one for all mosaics together with its 95 % interval."""
    yield f"{'run':<32}{'mosaics':>9}{'faces':>8}{'found':>9}"
    for name, rows in runs:
        faces, found = rows.sum(axis=0)
        yield f"{name[-31:]:<32}{len(rows):>9}{faces:>8}{found / max(faces, 1):>9.4f}"
    report = summarize(np.concatenate([rows for _, rows in runs]))
    low, high = report.get("interval", {}).get("recall", (float("nan"),) * 2)
    yield (
        f"{'all':<32}{report['mosaics']:>9}{report['faces']:>8}{report['recall']:>9.4f}"
        f"  ({low:.4f}-{high:.4f})"
    )


def summarize(rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Recall over all mosaics (faces and found, (mosaics, 2)) with its interval."""

    def statistic(weights: Values) -> dict[Key, Values]:
        return {("recall",): share(weights, rows[:, 1], rows[:, 0])}

    counts = {"mosaics": len(rows), "faces": int(rows[:, 0].sum())}
    return counts | figures(statistic, len(rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge every fold's mosaics, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tools.fold_mosaics", description=__doc__)
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="folder of a fold")
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds boxes/")
    add_json(parser)
    args = parser.parse_args(arguments)
    try:
        runs = [(str(run), judge_run(run, args.data)) for run in args.runs]
    except LineSightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    write_json(args.json, summarize(np.concatenate([rows for _, rows in runs])))
    text_stream(args.json).write("".join(f"{line}\n" for line in table(runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
