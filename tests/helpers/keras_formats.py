"""Makes a model file of every kind that Keras ever wrote, and what the network gives for pictures.

Run as ``python -m tests.helpers.keras_formats FOLDER``, because Keras takes seconds to import.
"""

from __future__ import annotations

import copy
import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

SIZE = 16
PICTURES = 3
FORMATS = {
    "archive.keras": "Keras 3 archive",
    "keras3.h5": "Keras 3 HDF5",
    "keras2.h5": "Keras 2 HDF5",
    "keras2.hdf5": "Keras 2 HDF5",
    "network.model": "Keras 2 HDF5",
    "keras3.json": "Keras JSON with weights",
    "keras2.json": "Keras JSON with weights",
    "saved_model": "SavedModel",
    "saved_model_keras2": "SavedModel",
}
"""Files of one and the same network."""

WEIGHTS = {"keras3.json": "keras3.weights.h5", "keras2.json": "keras2.weights.h5"}


def main(folder: Path) -> None:
    """Write everything, with ``expected.npz``: pictures, and the outputs by file and output."""
    import keras
    import numpy as np

    warnings.simplefilter("ignore")  # Keras calls its own .h5 outdated
    keras.utils.set_random_seed(7)
    images = np.random.default_rng(7).random((PICTURES, SIZE, SIZE, 3), np.float32)
    expected: dict[str, Any] = {"images": images}

    network = _network(keras, np)
    expected["network"] = network(images, training=False).numpy()
    network.save(folder / "archive.keras")
    network.save(folder / "keras3.h5")
    _write_keras2(folder / "keras3.h5", folder / "keras2.h5")
    shutil.copyfile(folder / "keras2.h5", folder / "keras2.hdf5")
    shutil.copyfile(folder / "keras2.h5", folder / "network.model")
    (folder / "keras3.json").write_text(network.to_json())
    network.save_weights(folder / "keras3.weights.h5")
    _split(folder / "keras2.h5", folder / "keras2.json", folder / "keras2.weights.h5")
    network.export(folder / "saved_model", verbose=False)
    _export_as_keras2(network, folder / "saved_model_keras2")

    for name, model in {"list": _list(keras), "dict": _dict(keras), "open": _open(keras)}.items():
        model.save(folder / f"{name}.keras")
        given = model(images, training=False)
        given = given if isinstance(given, dict) else dict(zip("ab", given, strict=True))
        expected |= {f"{name}/{key}": value.numpy() for key, value in given.items()}

    full = _scores(keras, keras.Input((SIZE, SIZE, 3)))
    keras.config.set_dtype_policy("mixed_float16")
    half = _scores(keras, keras.Input((SIZE, SIZE, 3)))
    keras.config.set_dtype_policy("float32")
    half.set_weights(full.get_weights())
    half.save(folder / "half.keras")
    expected["half"] = full(images, training=False).numpy()
    fixed = _scores(keras, keras.Input((SIZE, SIZE, 3), batch_size=5))
    fixed.save(folder / "batch5.keras")
    five = np.concatenate([images, images[:2]])
    expected["batch5"] = fixed(five, training=False).numpy()[:PICTURES]
    single = _scores(keras, keras.Input((SIZE, SIZE, 3), batch_size=1))
    single.save(folder / "batch1.keras")
    runs = [single(images[i : i + 1], training=False).numpy() for i in range(PICTURES)]
    expected["batch1"] = np.concatenate(runs)
    _refused(keras, folder)
    np.savez(folder / "expected.npz", **expected)


def _network(keras: Any, np: Any) -> Any:
    """Every layer whose form changed between Keras 2 and 3, and a model in the model."""
    layers = keras.layers
    inner_image = keras.Input((SIZE // 2, SIZE // 2, 6), name="inner_input")
    x = layers.SeparableConv2D(5, 3, padding="same", name="separable")(inner_image)
    inner = keras.Model(inner_image, layers.BatchNormalization(name="inner_norm")(x), name="inner")
    image = keras.Input((SIZE, SIZE, 3), name="picture")
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Activation("relu", name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = inner(x)
    x = layers.LeakyReLU(name="leaky")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2, name="up")(x)
    x = layers.concatenate([x, layers.Conv2D(2, 1, name="skip")(image)], name="join")
    x = layers.Dropout(0.5, name="dropout")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="scores")(x), name="net")
    draw = np.random.default_rng(3)
    for variable in model.weights:  # also the statistics of the normalizations, which start as 0, 1
        variable.assign(draw.uniform(0.1, 1.0, variable.shape) - 0.4 * ("kernel" in variable.path))
    return model


def _list(keras: Any) -> Any:
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    a = keras.layers.Conv2D(2, 1, activation="sigmoid", name="a")(x)
    b = keras.layers.Conv2D(3, 1, name="b")(x)
    return keras.Model(image, [a, b])


def _dict(keras: Any) -> Any:
    made = _list(keras)
    return keras.Model(made.inputs, {"zone": made.outputs[1], "area": made.outputs[0]})


def _open(keras: Any) -> Any:
    """Any height and width."""
    image = keras.Input((None, None, 3))
    a = keras.layers.Conv2D(2, 3, padding="same", name="a")(image)
    return keras.Model(image, [a, keras.layers.Conv2D(1, 1, name="b")(a)])


def _scores(keras: Any, image: Any) -> Any:
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))


def _refused(keras: Any, folder: Path) -> None:
    """Models that no recipe can describe, and networks that their weights do not fit."""
    layers = keras.layers
    one, two = keras.Input((SIZE, SIZE, 3), name="one"), keras.Input((SIZE, SIZE, 3), name="two")
    keras.Model([one, two], layers.Add()([one, two])).save(folder / "two_inputs.keras")
    row = keras.Input((4,), name="row")
    keras.Model(row, layers.Dense(2)(row)).save(folder / "row.keras")
    first = keras.Input((3, SIZE, SIZE))
    conv = layers.Conv2D(2, 3, data_format="channels_first", name="turned")
    keras.Model(first, conv(first)).save(folder / "first.keras")
    network = json.loads((folder / "keras2.json").read_text())
    by_name = {layer["name"]: layer["config"] for layer in network["config"]["layers"]}
    by_name["scores"]["units"] = 4
    (folder / "shape.json").write_text(json.dumps(network))
    del by_name["skip"]["filters"]
    (folder / "culprit.json").write_text(json.dumps(network))
    small = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Flatten(), layers.Dense(2)])
    (folder / "foreign.json").write_text(small.to_json())


def _write_keras2(keras3: Path, keras2: Path) -> None:
    """The same file as Keras 2.3 would have written it."""
    import h5py

    shutil.copyfile(keras3, keras2)
    with h5py.File(keras2, "r+") as file:
        config = _model(json.loads(file.attrs["model_config"]))
        file.attrs["model_config"] = json.dumps(config)
        for place in (file, file["model_weights"]):
            place.attrs["keras_version"] = "2.3.1"
        for group in file["model_weights"].values():
            listed = group.attrs["weight_names"]
            names = [name if isinstance(name, str) else name.decode() for name in listed]
            renamed = [
                f"{name.replace('depthwise/k', 'depthwise/depthwise_k')}:0" for name in names
            ]
            for old, new in zip(names, renamed, strict=True):
                group.move(old, new)
            group.attrs["weight_names"] = [name.encode() for name in renamed]


def _model(model: dict[str, Any]) -> dict[str, Any]:
    inner = {**model["config"], "layers": [_layer(layer) for layer in model["config"]["layers"]]}
    for ends in ("input_layers", "output_layers"):
        inner[ends] = [inner[ends]] if isinstance(inner[ends][0], str) else inner[ends]
    return {"class_name": "Model", "config": inner}


def _layer(layer: dict[str, Any]) -> dict[str, Any]:
    layer = copy.deepcopy(layer)
    nodes = [
        [[*tensor["config"]["keras_history"], {}] for tensor in _tensors(node["args"])]
        for node in layer["inbound_nodes"]
    ]
    config, kind = layer["config"], layer["class_name"]
    if kind == "Functional":
        return {**_model(layer), "name": config["name"], "inbound_nodes": nodes}
    config["dtype"] = "float32"
    if kind == "InputLayer":
        config["batch_input_shape"] = config.pop("batch_shape")
        config.pop("optional", None)
    if kind == "BatchNormalization":
        config["axis"] = [config["axis"]]
        config.pop("synchronized", None)
    if kind in ("DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"):
        config["groups"] = 1
    if kind == "LeakyReLU":
        config["alpha"] = config.pop("negative_slope")
    config.pop("quantization_config", None)
    return {"class_name": kind, "config": config, "name": config["name"], "inbound_nodes": nodes}


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value]
    return [tensor for part in value for tensor in _tensors(part)]


def _split(whole: Path, network: Path, weights: Path) -> None:
    """``model.to_json()`` and ``model.save_weights()`` of Keras 2."""
    import h5py

    with h5py.File(whole) as file, h5py.File(weights, "w") as target:
        config = json.loads(file.attrs["model_config"])
        network.write_text(json.dumps(config | {"keras_version": "2.3.1", "backend": "tensorflow"}))
        for name, group in file["model_weights"].items():
            file.copy(group, target, name)
        for key, value in file["model_weights"].attrs.items():
            target.attrs[key] = value


def _export_as_keras2(model: Any, folder: Path) -> None:
    """A signature with a fixed batch of 1 and the names that Keras 2 gave."""
    import tensorflow as tf

    module = tf.Module()
    module.model = model
    spec = tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32, "input_1")
    module.serve = tf.function(
        lambda input_1: {"dense": model(input_1, training=False)}, input_signature=[spec]
    )
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
