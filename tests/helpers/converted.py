"""Small networks, exported as the converter does it, and the model files made from them.

Run as ``python -m tests.helpers.converted FOLDER GROUP``, because TensorFlow takes seconds to
import: writes ``<network>.<job>.tflite`` and, where the conversion is refused, ``refused.json``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from converter.tflite import ConversionError, VariantJob, convert, read_operators, unlike_layers

ROOT = Path(__file__).resolve().parents[2]
SIZE = 32
PICTURES = 24
PLANTED = 1000.0
"""The first channel of the planted layer is larger than the others by this factor."""

PIXELS = 300.0
"""The span of a box, beside a score of 0 … 1."""

Floats = np.ndarray[Any, np.dtype[np.float32]]


def make(folder: Path, group: str, *, hash_seed: int = 0) -> Path:
    """Run this module in a process of its own; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "tests.helpers.converted", folder, group],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        check=True,
    )
    return folder


def pictures(seed: int, count: int = PICTURES) -> list[Floats]:
    """Inputs of all networks here, one by one: patches of colour with a little noise, -1 … 1."""
    random = np.random.default_rng(seed)
    patches = random.uniform(-1, 1, (count, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    noisy = (patches + random.normal(0, 0.05, patches.shape)).clip(-1, 1).astype(np.float32)
    return [noisy[index : index + 1] for index in range(count)]


def main(folder: Path, group: str) -> None:
    """Write all files of one group."""
    warnings.simplefilter("ignore")
    np.save(folder / "calibration.npy", np.concatenate(pictures(seed=1)))
    refused = {}
    for network, jobs in _GROUPS[group]().items():
        for name, job in jobs(folder):
            try:
                content = convert(folder / network, job)
            except ConversionError as error:
                refused[f"{network}.{name}"] = str(error)
            else:
                (folder / f"{network}.{name}.tflite").write_bytes(content)
    (folder / "refused.json").write_text(json.dumps(refused))


Jobs = Callable[[Path], Iterator[tuple[str, VariantJob]]]


def _variants() -> dict[str, Jobs]:
    """Every variant of a network with every kind of weights; some layers of it in float."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    x = image = keras.Input((SIZE, SIZE, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(6.0, name="clip")(layers.BatchNormalization(name="norm")(x))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="deep")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="wide")(x)
    x = layers.Conv2DTranspose(8, 2, strides=2, name="up")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    _export(keras.Model(image, layers.Dense(4, activation="softmax", name="scores")(x)), "network")

    def jobs(folder: Path) -> Iterator[tuple[str, VariantJob]]:
        calibration = str(folder / "calibration.npy")
        for variant in ("float32", "float16", "dynamic"):
            yield variant, VariantJob(variant, "image")
        operators = read_operators((folder / "network.float32.tflite").read_bytes())
        every = tuple(operator.outputs[0] for operator in operators)
        wide, up = (next(name for name in every if layer in name) for layer in ("wide", "up"))
        for ends in ("integer", "float32"):
            for variant in ("int8", "int16x8"):
                yield f"{variant}.{ends}", VariantJob(variant, "image", ends, calibration)
            kept = {"wide": (wide,), "last": every[-1:], "up": (up,)}
            for layer, names in kept.items():
                yield f"int8.{ends}.{layer}", VariantJob("int8", "image", ends, calibration, names)
        yield "int8.nothing", VariantJob("int8", "image", "integer", calibration, every)
        yield "int8.unknown", VariantJob("int8", "image", "integer", calibration, ("nowhere",))
        yield "int16x8.wide", VariantJob("int16x8", "image", "integer", calibration, (wide,))
        broken = np.concatenate(pictures(seed=1))
        broken[3, 0, 0, 0] = np.nan
        for name, samples in {"nan": broken, "flat": broken[0], "none": broken[:0]}.items():
            np.save(folder / f"{name}.npy", samples)
            yield name, VariantJob("int8", "image", "integer", str(folder / f"{name}.npy"))
        yield "missing", VariantJob("int8", "image", "integer", str(folder / "missing.npy"))

    return {"network": jobs}


def _refused() -> dict[str, Jobs]:
    """Networks that TensorFlow cannot convert, or not to every variant."""
    import keras
    import tensorflow as tf

    class Odd(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        """Does what no layer of Keras does."""

        def __init__(self, function: Callable[[Any], Any], name: str) -> None:
            super().__init__(name=name)
            self.function = function

        def call(self, x: Any) -> Any:
            return self.function(x)

    def chain(name: str, *steps: Any) -> None:
        x = image = keras.Input((SIZE, SIZE, 3), name="image")
        for step in steps:
            x = around = step(keras.layers.Conv2D(4, 3, padding="same")(x))
            x = keras.layers.MaxPooling2D()(x)
            x = keras.layers.Concatenate()([keras.layers.UpSampling2D()(x), around])
        x = keras.layers.GlobalAveragePooling2D()(x)
        _export(keras.Model(image, keras.layers.Dense(3, name="scores")(x)), name)

    chain("elu", keras.layers.ELU(name="elu_a"), keras.layers.ELU(name="elu_b"))
    chain("sum", Odd(lambda x: tf.cumsum(x, 1), "sum_a"))
    chain(
        "unknown",
        Odd(tf.math.erfinv, "odd_a"),
        Odd(tf.math.erfinv, "odd_b"),
        Odd(lambda x: tf.math.igamma(tf.abs(x) + 1.0, tf.abs(x) + 1.0), "odd_c"),
    )

    def plain(folder: Path) -> Iterator[tuple[str, VariantJob]]:
        for variant in ("float32", "int8", "int16x8"):
            calibration = str(folder / "calibration.npy")
            yield variant, VariantJob(variant, "image", "integer", calibration)

    def elu(folder: Path) -> Iterator[tuple[str, VariantJob]]:
        yield from plain(folder)
        operators = read_operators((folder / "elu.float32.tflite").read_bytes())
        calibration = str(folder / "calibration.npy")
        for name, operator in (("first", operators[1]), ("conv", operators[0])):
            yield name, VariantJob("int8", "image", "integer", calibration, operator.outputs)

    return {"elu": elu, "sum": plain, "unknown": plain}


def _planted() -> dict[str, Jobs]:
    """Networks that int8 spoils at one place, each with a twin that it does not."""
    for name, factor in {"planted": PLANTED, "sound": 1.0}.items():
        _export(_uneven(factor), name)
    for name, span in {"boxes": PIXELS, "fractions": 1.0}.items():
        for form in ("map", "list"):
            _export(_joined(span, flat=form == "list"), f"{name}_{form}")
    _export(_one_head(), "head")
    _export(_skipped(), "skip")

    def jobs(network: str) -> Jobs:
        def give(folder: Path) -> Iterator[tuple[str, VariantJob]]:
            calibration = str(folder / "calibration.npy")
            yield "float32", VariantJob("float32", "image")
            content = (folder / f"{network}.float32.tflite").read_bytes()
            names = [operator.outputs[0] for operator in read_operators(content)]
            yield "int8", VariantJob("int8", "image", "integer", calibration)
            if network == "sound":
                yield "int16x8", VariantJob("int16x8", "image", "integer", calibration)
            elif network == "planted":
                kept = tuple(
                    n for n in names if any(f"/{p}_" in n for p in ("big", "deep", "small"))
                )
                yield "healed", VariantJob("int8", "image", "integer", calibration, kept)
                for one in ("big", "deep", "small"):
                    less = tuple(name for name in kept if f"/{one}_" not in name)
                    yield (
                        f"without_{one}",
                        VariantJob("int8", "image", "integer", calibration, less),
                    )
            elif kept := unlike_layers(content, pictures(seed=2)):
                yield "healed", VariantJob("int8", "image", "integer", calibration, kept)

        return give

    networks = ["planted", "sound", "head", "skip"]
    networks += [f"{name}_{form}" for name in ("boxes", "fractions") for form in ("map", "list")]
    return {network: jobs(network) for network in networks}


def _uneven(factor: float) -> Any:
    """One channel is enlarged, taken through a depthwise convolution, and made small again."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(3)
    x = image = keras.Input((SIZE, SIZE, 3), name="image")
    for index in range(2):
        x = layers.Conv2D(16, 3, padding="same", activation="relu", name=f"body{index}")(x)
    big = layers.Conv2D(16, 1, activation="relu", name="big")
    deep = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="deep")
    small = layers.Conv2D(16, 1, activation="relu", name="small")
    x = small(deep(big(x)))
    for index in range(2):
        x = layers.Conv2D(16, 3, padding="same", activation="relu", name=f"tail{index}")(x)
    scores = layers.Dense(4, name="scores")(layers.GlobalAveragePooling2D(name="pool")(x))
    for layer, turn in ((big, factor), (deep, 1.0), (small, 1 / factor)):
        weights, bias = layer.get_weights()
        channel = weights[:, :, :1] if layer is not big else weights[..., :1]
        channel[...] = (np.abs(channel) if layer is not small else channel) * turn
        layer.set_weights([weights, bias])
    return keras.Model(image, scores)


def _joined(span: float, *, flat: bool) -> Any:
    """Boxes and scores, each by a head of its own, given out as one tensor."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(5)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu", name="stem")(image)
    boxes = layers.Conv2D(4, 3, strides=4, padding="same", name="box")(x)
    boxes = layers.Rescaling(span, name="pixels")(boxes)
    score = layers.Conv2D(1, 3, strides=4, padding="same", activation="sigmoid", name="score")(x)
    if flat:
        boxes = layers.Reshape((4, 4), name="box_list")(boxes)
        score = layers.Reshape((4, 1), name="score_list")(score)
    return keras.Model(image, layers.Concatenate(name="found")([boxes, score]))


def _skipped() -> Any:
    """A tensor of ones goes on by itself, and is joined with one of hundreds, as in a U-Net."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(8)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    small = layers.Conv2D(8, 3, padding="same", activation="relu", name="encoder")(image)
    large = layers.Conv2D(8, 3, padding="same", activation="relu", name="decoder")(small)
    large = layers.Rescaling(PIXELS, name="grown")(large)
    joined = layers.Concatenate(name="joined")([small, large])
    own = layers.Conv2D(4, 3, padding="same", name="own")(small)
    both = layers.Conv2D(4, 3, padding="same", name="both")(joined)
    both = layers.Rescaling(1 / PIXELS, name="shrunk")(both)
    return keras.Model(image, layers.Add(name="sum")([own, both]))


def _one_head() -> Any:
    """A dense layer that gives a number of hundreds beside three around 1."""
    import keras

    keras.utils.set_random_seed(6)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Conv2D(8, 5, strides=4, activation="relu", name="stem")(image)
    head = keras.layers.Dense(4, name="head")
    found = head(keras.layers.Flatten(name="flat")(x))
    weights, bias = head.get_weights()
    weights[:, 0] *= PIXELS
    head.set_weights([weights, bias])
    return keras.Model(image, found)


def _export(model: Any, name: str) -> None:
    from converter.keras_model.export import export
    from converter.keras_model.facts import ModelFacts, TensorFacts
    from converter.keras_model.load import LoadedModel

    (output,) = model.output_names
    image = TensorFacts("image", (None, SIZE, SIZE, 3), "float32")
    given = TensorFacts(output, tuple(model.outputs[0].shape), "float32")
    facts = ModelFacts("Keras 3 archive", "0" * 64, "3", 0, (image,), (given,), ())
    loaded = LoadedModel(Path(name), facts, lambda images: {output: model(images, training=False)})
    folder = Path(sys.argv[1]) / name
    shape = (1, SIZE, SIZE, 3)
    export(loaded, folder, name="image", shape=shape, outputs=[output], activations={})


_GROUPS = {"variants": _variants, "refused": _refused, "planted": _planted}

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
