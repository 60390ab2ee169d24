"""Manifests of models that have no file, and the outputs that such models would give."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract.manifest import Manifest
from edge.contract.quantize import quantize
from edge.contract.transform import Transform

SHA = "0" * 64


def manifest(task: str, variants: dict[str, Any], **facts: Any) -> Manifest:
    """A valid manifest; what is not said is filled in."""
    height, width = facts.pop("size", (64, 96))
    return Manifest.model_validate_json(
        json.dumps(
            {
                "schema": 1,
                "name": f"a_{task}_model",
                "version": "1",
                "task": task,
                "input": {
                    "name": "image",
                    "shape": [1, height, width, 3],
                    "color": "RGB",
                    "resize": {"mode": facts.pop("resize", "letterbox")},
                    "normalize": {"mean": [0.0] * 3, "std": [255.0] * 3},
                },
                "variants": {
                    name: {
                        "file": f"model.{name}.tflite",
                        "sha256": SHA,
                        "bytes": 1,
                        "inputs": {"image": {"dtype": "float32", "shape": [1, height, width, 3]}},
                        "outputs": outputs,
                        "golden_tolerance": 1e-3,
                        "gate": {"metric": "none", "float": 1.0, "value": 1.0, "n": 1},
                    }
                    for name, outputs in variants.items()
                },
                "provenance": {
                    "keras_sha256": SHA,
                    "recipe_sha256": SHA,
                    "data_sha256": SHA,
                    "versions": {},
                    "created": "2025-01-01T00:00:00Z",
                },
                **facts,
            }
        )
    )


def detector_manifest(**decode: Any) -> Manifest:
    """A face detector of 96×64 input pixels, stride 4, with a float32 and an int8 variant."""
    shapes = {"score": [1, 16, 24, 1], "offset": [1, 16, 24, 2], "size": [1, 16, 24, 2]}
    steps = {"score": (1 / 256, -128), "offset": (1 / 64, 0), "size": (1 / 32, 0)}
    return manifest(
        "detection",
        {
            "float32": {n: {"dtype": "float32", "shape": s} for n, s in shapes.items()},
            "int8": {
                n: {"dtype": "int8", "shape": s, "scale": steps[n][0], "zero_point": steps[n][1]}
                for n, s in shapes.items()
            },
        },
        labels=["face"],
        outputs={"score": "center_scores", "offset": "center_offsets", "size": "center_sizes"},
        decode={
            "kind": "center",
            "stride": 4,
            "threshold": 0.5,
            "nms_iou": 0.4,
            "max_detections": 100,
            **decode,
        },
    )


def classifier_manifest(labels: tuple[str, ...] = ("with_mask", "without_mask")) -> Manifest:
    """A classifier with a float32 and a uint8 variant."""
    shape = [1, len(labels)]
    return manifest(
        "classification",
        {
            "float32": {"scores": {"dtype": "float32", "shape": shape}},
            "int8": {
                "scores": {"dtype": "uint8", "shape": shape, "scale": 1 / 250, "zero_point": 0}
            },
        },
        labels=list(labels),
        outputs={"scores": "class_scores"},
        decode={"kind": "classification", "crop_margin": 0.1},
    )


def empty_maps(batch: int = 1) -> dict[str, npt.NDArray[np.float32]]:
    """Float outputs of the detector for images with nothing in them."""
    return {
        "score": np.zeros((batch, 16, 24, 1), np.float32),
        "offset": np.full((batch, 16, 24, 2), 0.5, np.float32),
        "size": np.zeros((batch, 16, 24, 2), np.float32),
    }


def put(
    maps: dict[str, npt.NDArray[np.float32]],
    cell: tuple[int, int],
    score: float,
    *,
    side: tuple[float, float] = (16.0, 16.0),
    offset: tuple[float, float] = (0.5, 0.5),
    index: int = 0,
) -> None:
    """Put a box of ``side`` (width, height) model pixels into a cell (row, column)."""
    maps["score"][index, *cell, 0] = score
    maps["offset"][index, *cell] = offset
    maps["size"][index, *cell] = np.log(np.array(side) / 4)


def as_int8(maps: dict[str, npt.NDArray[np.float32]], of: Manifest) -> dict[str, Any]:
    """The same outputs as the int8 variant gives them."""
    specs = of.variants["int8"].outputs
    return {
        name: quantize(values, specs[name].scale or 1.0, specs[name].zero_point or 0, "int8")
        for name, values in maps.items()
    }


def same_size(of: Manifest) -> Transform:
    """The map of an image that has the size of the model's input."""
    return Transform.fit(of.input.height, of.input.width, of.input)
