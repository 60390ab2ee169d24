"""What the face detector finds at which input size, and what that costs: the table of
docs/detector.md.

``python -m tools.detector_sizes --data DIR [--keras FILE] [--json FILE]`` runs the trained network
over the held-back group photos. It is fully convolutional, so one training serves every input: each
row is an integer model made for that size, or several passes of such models whose boxes are merged.
Figures are those of ``linesight eval``; milliseconds are the median of ``invoke`` on one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite.convert import VariantJob, convert
from converter.training.detector_samples import as_sides
from converter.training.pictures import Picture, letterbox, load_pictures, to_tensor
from converter.training.split import split_boxes
from converter.training.targets import decode, suppress
from edge.contract.manifest import CenterDecode
from edge.contract.quantize import dequantize, quantize
from edge.errors import ConfigError, LineSightError
from edge.evaluation.detection import Matched, detection_figures, match
from tools.train_folds import RECIPE, detector_of

KERAS = Path("converter/weights/face_detector/model.keras")

CALIBRATION = 100
"""Training pictures that each integer model learns its ranges from."""

LEAST_SCORE = 0.05


@dataclass(frozen=True, slots=True)
class View:
    """One pass: the input's height and width, and into how many rows and columns of overlapping
    tiles the picture is cut first.
    """

    height: int
    width: int
    tiles: int = 1

    @property
    def name(self) -> str:
        """As the table has it."""
        size = f"{self.height}×{self.width}"
        return size if self.tiles == 1 else f"{self.tiles}×{self.tiles} tiles of {size}"


ROADS: tuple[tuple[View, ...], ...] = (
    (View(256, 352),),
    (View(320, 416),),
    (View(384, 512),),
    (View(448, 608),),
    (View(512, 672),),
    (View(384, 512), View(192, 256)),
    (View(512, 672), View(256, 352)),
    (View(384, 512), View(384, 512, tiles=2)),
)

OVERLAP = 0.2
"""Share of a tile that lies in its neighbour too."""


class Pass:
    """An integer model of one input size.

    Parameters
    ----------
    weights
        Of the trained network.
    size
        Height and width of the input.
    pictures
        Calibrate it.
    """

    def __init__(
        self,
        weights: Sequence[NDArray[np.float32]],
        size: tuple[int, int],
        pictures: Sequence[Picture],
    ) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.height, self.width = size
        content = _integer_model(weights, size, pictures)
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_signature_runner().get_output_details()
        self.ms: list[float] = []

    def detect(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes [n, 4] (x0, y0, x1, y1) in the image's pixels, and scores [n]."""
        canvas, scale, left, top = letterbox(image, self.height, self.width)
        step, zero = self._input["quantization"]
        tensor = quantize(to_tensor(canvas[None]), step, zero, "int8")
        self._interpreter.set_tensor(self._input["index"], tensor)
        began = time.perf_counter()
        self._interpreter.invoke()
        self.ms.append(1e3 * (time.perf_counter() - began))
        found = {
            name: dequantize(
                self._interpreter.get_tensor(entry["index"])[0], *entry["quantization"]
            )
            for name, entry in self._outputs.items()
        }
        boxes, scores = decode(
            found["score"][..., 0], found["offset"], found["size"], threshold=LEAST_SCORE
        )
        return (boxes - np.array([left, top, left, top], np.float32)) / np.float32(scale), scores


def _integer_model(
    weights: Sequence[NDArray[np.float32]], size: tuple[int, int], pictures: Sequence[Picture]
) -> bytes:
    from converter.keras_model.export import export
    from converter.keras_model.load import load
    from converter.keras_model.source import read_source
    from converter.training.architectures import build_face_detector

    with tempfile.TemporaryDirectory(prefix="linesight-") as folder:
        work = Path(folder)
        model = build_face_detector(*size, batch=1)
        model.set_weights(list(weights))
        model.save(work / "model.keras")
        views = [to_tensor(letterbox(picture.image, *size)[0]) for picture in pictures]
        np.save(work / "calibration.npy", np.stack(views))
        (work / "source").mkdir()
        loaded = load(read_source(work / "model.keras", None, work / "source"), work / "source")
        export(
            loaded,
            work / "saved_model",
            name="image",
            shape=(1, *size, 3),
            outputs=("score", "offset", "size"),
            activations={},
        )
        job = VariantJob("int8", "image", calibration=str(work / "calibration.npy"))
        return convert(work / "saved_model", job)


def tiles(image: NDArray[np.uint8], count: int) -> list[tuple[NDArray[np.uint8], tuple[int, int]]]:
    """``count`` × ``count`` views on an image that overlap, each with its left upper corner."""
    height, width = image.shape[:2]
    share = 1 / (count - (count - 1) * OVERLAP)
    rows, columns = -(-height * share // 1), -(-width * share // 1)
    found = []
    for i in range(count):
        for j in range(count):
            top = round(i * (height - rows) / max(count - 1, 1))
            left = round(j * (width - columns) / max(count - 1, 1))
            view = image[top : top + int(rows), left : left + int(columns)]
            found.append((view, (left, top)))
    return found


def look(
    road: Sequence[View], passes: Mapping[tuple[int, int], Pass], image: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes [n, 4] and scores [n] of all passes of a road, merged."""
    boxes, scores = [], []
    for view in road:
        for part, (left, top) in tiles(image, view.tiles):
            found, score = passes[view.height, view.width].detect(part)
            boxes.append(found + np.array([left, top, left, top], np.float32))
            scores.append(score)
    if len(boxes) == 1:
        return boxes[0], scores[0]
    return suppress(np.concatenate(boxes), np.concatenate(scores), iou=0.45)


def measure(
    road: Sequence[View],
    passes: Mapping[tuple[int, int], Pass],
    pictures: Sequence[Picture],
    shipped: tuple[int, int],
    threshold: float,
) -> dict[str, Any]:
    """The figures of one road, with the height and width of the shipped input and its threshold."""
    for step in passes.values():
        step.ms.clear()
    matched: list[Matched] = []
    for picture in pictures:
        boxes, scores = look(road, passes, picture.image)
        height, width = picture.image.shape[:2]
        # One scale for all roads, that of the shipped input, or the ranges would not be the same.
        scale = min(shipped[0] / height, shipped[1] / width)
        truth = as_sides(picture.boxes)
        matched.append(match(as_sides(boxes), scores, truth, (scale, scale)))
    ms = sum(statistics.median(passes[view.height, view.width].ms) * view.tiles**2 for view in road)
    return {"ms": ms, "detection": detection_figures(matched, threshold)}


def _row(name: str, found: dict[str, Any]) -> str:
    detection = found["detection"]
    sure = detection["at_precision"]["0.95"]
    cells = [f"{detection['ap']:.3f}", f"{sure['recall']:.3f}"]
    cells += [f"{entry['recall']:.2f}" for entry in sure["by_faces"].values()]
    cells += [f"{entry['recall']:.2f}" for entry in detection["by_width"].values()]
    return f"| {name} | {' | '.join(cells)} | {found['ms']:.1f} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every road and print the table; the exit code is that of the error, or 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.detector_sizes", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds boxes/")
    parser.add_argument("--keras", type=Path, default=KERAS, help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="write the figures")
    args = parser.parse_args(argv)
    try:
        _tabulate(args)
    except LineSightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _tabulate(args: argparse.Namespace) -> None:
    recipe, training = detector_of(RECIPE)
    if not isinstance(recipe.decode, CenterDecode):
        raise ConfigError(
            f"{RECIPE}: decodes no map of centres", hint='set decode.kind to "center"'
        )
    import keras

    split = split_boxes(
        args.data, fraction=training.picture_fraction, seed=training.seed, fold=training.fold
    )
    step = max(len(split.train) // CALIBRATION, 1)
    calibration = load_pictures(args.data, split.train[::step])
    pictures = load_pictures(args.data, split.validation)
    weights = keras.saving.load_model(args.keras).get_weights()
    sizes = dict.fromkeys((view.height, view.width) for road in ROADS for view in road)
    passes = {size: Pass(weights, size, calibration) for size in sizes}
    found = {}
    head = ["1", "2-5", "6-17", "18+", "0-11", "12-23", "24-47", "48-95", "96+"]
    sys.stdout.write(f"| input | AP | recall at 0.95 | {' | '.join(head)} | ms |\n")
    sys.stdout.write("|---|" + "---:|" * (len(head) + 3) + "\n")
    for road in ROADS:
        name = " + ".join(view.name for view in road)
        found[name] = measure(road, passes, pictures, recipe.input.size, recipe.decode.threshold)
        sys.stdout.write(_row(name, found[name]) + "\n")
        sys.stdout.flush()
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
