"""Golden vectors: images and what a model made of them when the bundle was written.

The images are stored, not the tensors, so a device proves its preprocessing together with its
runtime. They come from a seeded generator, never from data that could not be shipped.

File ``golden.npz``: ``input/<i>`` (H, W, 3) uint8 BGR, and ``<variant>/<output>/<i>`` for each
variant, output name and image.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.contract.bundle import Bundle
from edge.contract.errors import BundleNotFound, GoldenMismatch, ModelError
from edge.contract.preprocess import Preprocessor

Image = npt.NDArray[np.uint8]
Arrays = Mapping[str, npt.NDArray[Any]]

INTEGER_TOLERANCE = 1  # steps of the quantized output
_MAX_BYTES = 256 * 2**20  # unpacked; a guard against zip bombs, forty times what we ship
_HINT = "convert the model again"


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """``images``: (H, W, 3) uint8 BGR; ``outputs``: variant → for each image name → array."""

    images: tuple[Image, ...]
    outputs: Mapping[str, tuple[Arrays, ...]]


@dataclass(frozen=True, slots=True)
class GoldenReport:
    """A check that passed: the largest difference of each output.

    Steps for integer outputs, for float32 ones the fraction of the expected tensor's largest
    magnitude.
    """

    variant: str
    images: int
    differences: Mapping[str, float]


def golden_inputs(shape: Sequence[int], seed: int, count: int = 4) -> tuple[Image, ...]:
    """Pictures that no camera took: gradient, noise, shapes, and a mix that must be resized.

    Parameters
    ----------
    shape
        The model's input, (1, height, width, channels).
    seed
        The same seed gives the same pictures.
    count
        How many; beyond four the kinds repeat with other random numbers.

    Returns
    -------
    tuple of (H, W, 3) uint8
        BGR. Every fourth one has odd sides near 3/2 the model's height and 5/4 its width, so that
        resize and padding are checked too; the others have the model's size.
    """
    rng = np.random.default_rng(seed)
    height, width = int(shape[1]), int(shape[2])
    images = []
    for index in range(count):
        kind = index % 4
        if kind == 0:
            image = _gradient(rng, height, width)
        elif kind == 1:
            image = _noise(rng, height, width)
        elif kind == 2:
            image = _shapes(rng, np.full((height, width, 3), 30, np.uint8))
        else:
            other_height, other_width = (3 * height // 2) | 1, (5 * width // 4) | 1
            image = _shapes(rng, _gradient(rng, other_height, other_width))
        images.append(image)
    return tuple(images)


def write_golden(
    path: Path, images: Sequence[Image], outputs: Mapping[str, Sequence[Arrays]]
) -> None:
    """Write ``golden.npz``; the same arrays give the same bytes.

    Parameters
    ----------
    path
        The file, usually ``bundle.golden_path``.
    images
        (H, W, 3) uint8 BGR.
    outputs
        Variant → for each image the model's raw outputs for it, each (1, ...).
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        f"input/{index}": image for index, image in enumerate(images)
    }
    for variant, runs in outputs.items():
        for index, run in enumerate(runs):
            for name, array in run.items():
                arrays[f"{variant}/{name}/{index}"] = array
    # A mapping, not keywords: mypy cannot know that no key is called like a parameter.
    save: Callable[..., None] = np.savez_compressed
    save(path, **arrays)


def read_golden(path: Path) -> Golden:
    """Read ``golden.npz``.

    Raises
    ------
    BundleNotFound
        There is no such file.
    ModelError
        It is no npz, holds more than 256 MiB or objects, or a key that does not belong.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > _MAX_BYTES:
            raise ModelError(f"{path}: holds {size >> 20} MiB, more than {_MAX_BYTES >> 20} MiB")
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError as error:
        raise BundleNotFound(f"{path}: no golden vectors", hint=_HINT) from error
    except ModelError:
        raise
    except Exception as error:  # damage surfaces as whatever zipfile, zlib or numpy meet
        raise ModelError(f"{path}: cannot be read: {error}", hint=_HINT) from error
    return _grouped(path, arrays)


def check_golden(
    bundle: Bundle, variant: str, run: Callable[[npt.NDArray[Any]], Arrays]
) -> GoldenReport:
    """Run the golden images through preprocessing and model, compare with what is stored.

    An integer output may differ by one step. In a float32 output every element may differ by the
    variant's ``golden_tolerance`` times the largest magnitude in the expected tensor (or 1e-6 when
    that is smaller): relative to the tensor, since single elements are often nearly 0. NaN and
    infinity never pass.

    Parameters
    ----------
    bundle
        The bundle.
    variant
        Its variant that ``run`` runs.
    run
        Tensor (1, height, width, channels) → raw outputs by name: ``Engine.infer``.

    Raises
    ------
    GoldenMismatch
        An output differs; the message names the output, the image and the largest difference.
    ModelError
        There are no golden vectors for this variant, or they cannot be read.
    """
    manifest = bundle.manifest
    specs = bundle.variant(variant).outputs
    tolerance = bundle.variant(variant).golden_tolerance
    golden = read_golden(bundle.golden_path)
    if variant not in golden.outputs:
        raise ModelError(f"{bundle.golden_path}: nothing for variant {variant}", hint=_HINT)
    preprocessor = Preprocessor(manifest.input, bundle.input_tensor(variant))
    worst = dict.fromkeys(specs, 0.0)
    for index, (image, expected) in enumerate(
        zip(golden.images, golden.outputs[variant], strict=True)
    ):
        tensor, _ = preprocessor.prepare([image])
        got = run(tensor)
        for name, spec in specs.items():
            where = f"{bundle.path}: variant {variant}, output {name}, golden image {index}"
            if name not in expected:
                raise ModelError(f"{bundle.golden_path}: no {variant}/{name}/{index}", hint=_HINT)
            wrong = _unlike(got.get(name), expected[name])
            if wrong:
                raise GoldenMismatch(f"{where}: {wrong}")
            integer = spec.dtype != "float32"
            difference = _difference(got[name], expected[name])
            worst[name] = max(worst[name], difference)
            limit = INTEGER_TOLERANCE if integer else tolerance
            if not difference <= limit:
                unit = "steps" if integer else "of the largest value"
                raise GoldenMismatch(
                    f"{where}: differs by {difference:.4g} {unit}, allowed {limit:.4g}",
                    hint="another runtime or preprocessing than the converter's: "
                    "take another variant or convert the model again",
                )
    return GoldenReport(variant, len(golden.images), worst)


def _grouped(path: Path, arrays: Arrays) -> Golden:
    """Sort flat keys into images and outputs, refusing gaps and strange keys."""
    count = sum(key.startswith("input/") for key in arrays)
    outputs: dict[str, list[dict[str, npt.NDArray[Any]]]] = {}
    images: dict[int, Image] = {}
    for key, array in arrays.items():
        parts = key.split("/")
        index = int(parts[-1]) if parts[-1].isascii() and parts[-1].isdigit() else count
        if index >= count or len(parts) not in (2, 3) or (len(parts) == 2) != (parts[0] == "input"):
            raise ModelError(f"{path}: key {key!r} does not belong there", hint=_HINT)
        if len(parts) == 2:
            if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
                raise ModelError(f"{path}: {key} is no BGR image", hint=_HINT)
            images[index] = array
        else:
            runs = outputs.setdefault(parts[0], [{} for _ in range(count)])
            runs[index][parts[1]] = array
    if not images:
        raise ModelError(f"{path}: holds no images", hint=_HINT)
    return Golden(
        tuple(images[index] for index in range(count)),
        {variant: tuple(runs) for variant, runs in outputs.items()},
    )


def _unlike(got: npt.NDArray[Any] | None, expected: npt.NDArray[Any]) -> str:
    """Why two arrays cannot be compared at all, or nothing."""
    if got is None:
        return "the engine does not give it"
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return f"is {got.dtype.name} {got.shape}, expected {expected.dtype.name} {expected.shape}"
    return ""


def _difference(got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    if not got.size:
        return 0.0
    if got.dtype.kind in "iu":
        return float(np.abs(got.astype(np.int64) - expected.astype(np.int64)).max())
    largest = float(np.abs(expected).max())
    if not (math.isfinite(largest) and np.isfinite(got).all()):
        return math.inf
    return float(np.abs(got.astype(np.float64) - expected).max()) / max(largest, 1e-6)


def _gradient(rng: np.random.Generator, height: int, width: int) -> Image:
    """A ramp of another direction in each channel, over the whole range of grey values."""
    rows = np.linspace(0.0, 1.0, height)[:, np.newaxis, np.newaxis]
    columns = np.linspace(0.0, 1.0, width)[np.newaxis, :, np.newaxis]
    slope = rng.uniform(-1.0, 1.0, (2, 1, 1, 3))
    ramp = rows * slope[0] + columns * slope[1]
    low, high = ramp.min(), ramp.max()
    return np.asarray((ramp - low) / max(high - low, 1e-9) * 255.0).astype(np.uint8)


def _noise(rng: np.random.Generator, height: int, width: int) -> Image:
    """Independent grey values; in blocks for large inputs, because noise does not compress."""
    block = max(1, min(height, width) // 64)
    small = rng.integers(0, 256, (-(-height // block), -(-width // block), 3), dtype=np.uint8)
    return np.ascontiguousarray(small.repeat(block, 0).repeat(block, 1)[:height, :width])


def _shapes(rng: np.random.Generator, image: Image) -> Image:
    """Eight filled rectangles and discs of random place, size and color, drawn into ``image``."""
    height, width = image.shape[:2]
    rows, columns = np.ogrid[:height, :width]
    for index in range(8):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        radius = rng.uniform(0.05, 0.2) * min(height, width) + 0.5
        dy, dx = np.abs(rows + 0.5 - y), np.abs(columns + 0.5 - x)
        inside = (np.maximum(dy, dx) if index % 2 else np.hypot(dy, dx)) <= radius
        image[inside] = rng.integers(0, 256, 3, dtype=np.uint8)
    return image
