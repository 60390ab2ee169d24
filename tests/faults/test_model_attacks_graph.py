"""SavedModels whose operators leave the graph are refused; none is run by the scan (F27-F30)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from converter.keras_model.source import read_source
from tests.helpers.keras_files import (
    message,
    node,
    refused,
    saved_model,
    write_saved_model,
)
from tests.helpers.opened import watched

HOSTILE: dict[str, tuple[bytes, str]] = {
    "ReadFile": (saved_model({"f": [node("ReadFile", "read")]}, offered=["f"]), "reads or writes"),
    "WriteFile": (saved_model({"f": [node("WriteFile")]}, offered=["f"]), "reads or writes files"),
    "PyFunc": (saved_model({"f": [node("PyFunc")]}, offered=["f"]), "calls Python code"),
    "EagerPyFunc": (saved_model({"f": [node("EagerPyFunc")]}), "calls Python code"),
    "PrintV2": (saved_model({"f": [node("PrintV2")]}, offered=["f"]), "reads or writes files"),
    "table": (saved_model({"f": [node("HashTableV2")]}, offered=["f"]), "looks up a table"),
    "iterator": (saved_model({"f": [node("IteratorV2")]}, offered=["f"]), "is none that"),
    "custom": (saved_model({"f": [node("EvilOp")]}, offered=["f"]), "'EvilOp', which is none"),
    "main graph": (saved_model({}, main=[node("ReadFile")]), "in the main graph is the operator"),
    "saver in main": (saved_model({}, main=[node("SaveV2")]), "reads or writes files"),
    "offered saver": (saved_model({"f": [node("SaveV2")]}, offered=["f"]), "in function 'f'"),
    "called saver": (
        saved_model({"f": [node("PartitionedCall", "c", "g")], "g": [node("RestoreV2")]}),
        "in function 'g' is the operator 'RestoreV2'",
    ),
    "saver that stands in": (
        saved_model({"f": [node("MatMul")], "g": [node("RestoreV2")]}, stand_ins=["g"]),
        "in function 'g' is the operator 'RestoreV2'",
    ),
    "saver as operator": (
        saved_model({"f": [node("g")], "g": [node("RestoreV2")]}, offered=["f"]),
        "in function 'g' is the operator 'RestoreV2'",
    ),
    "saver of an object": (
        saved_model({"g": [node("SaveV2")]}, objects=[message((8, message((1, "g"))))]),
        "in function 'g' is the operator 'SaveV2'",
    ),
    "operator as function": (
        saved_model({"f": [node("If", "x", "ReadFile")]}, offered=["f"]),
        "'ReadFile' is called in function 'f', but is no function",
    ),
    "hidden operator": (
        saved_model({"MatMul": [node("ReadFile")], "f": [node("MatMul")]}),
        "of one name",
    ),
    "two operators": (
        saved_model({"f": [node("MatMul") + message((2, "ReadFile"))]}, offered=["f"]),
        "without a single operator",
    ),
    "asset": (saved_model({}, more=message((6, b"\n\x01x"))), "names assets"),
    "asset object": (saved_model({}, objects=[message((5, b"x"))]), "names an asset"),
    "resource": (saved_model({}, objects=[message((10, b""))]), "a table or another resource"),
    "registered": (saved_model({}, objects=[message((13, "Evil.x"))]), "a registered Python class"),
    "TensorFlow 1": (message((1, 1), (2, message((2, b"")))), "a graph of TensorFlow 1"),
    "two graphs": (saved_model({}) + saved_model({})[2:], "holds 2 graphs"),
    "group": (b"\x13\x14", "has the wire type 3"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_operators_that_leave_the_graph_are_refused(name: str, tmp_path: Path) -> None:
    """F27: files, Python, tables and unknown operators are refused wherever they may hide."""
    content, said = HOSTILE[name]
    assert said in refused(write_saved_model(tmp_path / "m", content))


def test_functions_of_the_saver_pass_where_nothing_calls_them(tmp_path: Path) -> None:
    """F27: the function that writes checkpoints, which every SavedModel has, passes uncalled."""
    content = saved_model(
        {"f": [node("MatMul")], "traced_save": [node("SaveV2")]},
        main=[node("StatefulPartitionedCall", "s", "traced_save")],
        offered=["f"],
    )
    assert read_source(write_saved_model(tmp_path / "m", content), None, tmp_path).config is None


@pytest.mark.parametrize("name", ["variables/more", "saved_model.pb", "assets/x", "extra"])
def test_links_in_a_saved_model_are_refused(name: str, tmp_path: Path) -> None:
    """F30: a symbolic link in the folder is refused and its target not opened."""
    canary = tmp_path / "canary"
    canary.write_bytes(saved_model({"f": []}))
    folder = write_saved_model(tmp_path / "m", saved_model({"f": []}))
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(canary)
    with watched(canary) as opened:
        assert "is a link or a special file" in refused(folder)
        assert not opened()
        (folder / name).read_bytes()
        assert opened()


@pytest.mark.parametrize("name", ["saved_model.cpb", "saved_model.pbtxt", "assets/words.txt"])
def test_second_graphs_and_assets_are_refused(name: str, tmp_path: Path) -> None:
    """F30: what TensorFlow would read beside or instead of the scanned graph is refused."""
    folder = write_saved_model(tmp_path / "m", saved_model({"f": []}))
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    assert name.rpartition("/")[2] in refused(folder)


@pytest.mark.convert
def test_graph_that_writes_a_file(tmp_path: Path) -> None:
    """F27: TensorFlow's own SavedModel with tf.io.write_file is refused; called, it writes."""
    import tensorflow as tf

    canary = tmp_path / "canary"

    def write(x: Any) -> Any:
        tf.io.write_file(str(canary), "x")
        return x * 2.0

    module: Any = tf.Module()
    module.serve = tf.function(write, input_signature=[tf.TensorSpec((1,), tf.float32)])
    folder = tmp_path / "m"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    assert "is the operator 'WriteFile', which reads or writes files" in refused(folder)
    assert not canary.exists()
    tf.saved_model.load(str(folder)).serve(tf.constant([1.0]))
    assert canary.exists()


@pytest.mark.convert
def test_benign_models_that_keras_wrote_pass(tmp_path: Path) -> None:
    """F25-F30 refuse nothing that Keras writes for a usual network: archive, HDF5, SavedModel."""
    import keras

    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255.0)(image)
    x = layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(x)
    x = layers.BatchNormalization()(x * 2.0 + 1.0)
    x = layers.DepthwiseConv2D(3)(x[:, 1:-1])
    x = layers.UpSampling2D(interpolation="bilinear")(layers.PReLU(shared_axes=[1, 2])(x))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, keras.Sequential([layers.Dense(2, activation="softmax")])(x))
    model.compile("adam", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of HDF5
        model.save(tmp_path / "m.keras")
        model.save(tmp_path / "m.h5")
    model.export(tmp_path / "m", verbose=False)
    found = []
    for name in ("m.keras", "m.h5", "m"):
        work = tmp_path / f"work_{name}"
        work.mkdir()
        found.append(read_source(tmp_path / name, None, work).format)
    assert found == ["Keras 3 archive", "Keras 3 HDF5", "SavedModel"]


def test_constant_bomb_in_a_graph_is_refused(tmp_path: Path) -> None:
    """F29: a constant or a variable that says it has 4 billion elements is refused."""
    shape = message((2, message((1, 2**16))), (2, message((1, 2**16))))
    tensor = message((1, 1), (2, shape))
    const = node("Const") + message((5, message((1, "value"), (2, message((8, tensor))))))
    content = saved_model({"f": [const]}, offered=["f"])
    assert "a constant with which" in refused(write_saved_model(tmp_path / "a", content))
    variable = saved_model({"f": []}, offered=["f"], objects=[message((7, tensor))])
    assert "a variable with which" in refused(write_saved_model(tmp_path / "b", variable))
