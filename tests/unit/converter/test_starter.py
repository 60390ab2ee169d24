"""A new recipe: it loads as it is, guesses openly, and never takes the place of another file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from converter.keras_model import KerasModelError, LayerFacts, ModelFacts, TensorFacts
from converter.limits import Limits
from converter.process import KerasProcess
from converter.recipe import Recipe, load_recipe
from converter.starter import recipe_text, write_recipe
from edge.errors import UsageError
from tests.helpers.bundles import TINT_CLASSIFIER

PICTURE = TensorFacts("input_1", (None, 64, 96, 3), "float32")


def _facts(
    *outputs: TensorFacts,
    picture: TensorFacts = PICTURE,
    layers: tuple[LayerFacts, ...] = (),
) -> ModelFacts:
    return ModelFacts("Keras 3 archive", "0" * 64, "3.15.1", 1234, (picture,), outputs, layers)


def _layer(name: str, kind: str) -> LayerFacts:
    return LayerFacts(name, kind, (None, 4, 4, 8), 0, 0)


def _vector(count: int, activation: str) -> TensorFacts:
    return TensorFacts("dense", (None, count), "float32", activation)


def _map(name: str, channels: int, activation: str, stride: int = 4) -> TensorFacts:
    return TensorFacts(name, (None, 64 // stride, 96 // stride, channels), "float32", activation)


def _loaded(tmp_path: Path, facts: ModelFacts, name: str = "my model.keras") -> tuple[Recipe, str]:
    """What the new recipe says, and its text."""
    text = recipe_text(facts, Path(name), "--keras model.keras")
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path).recipe, text


def test_softmax_vector_is_a_classification(tmp_path: Path) -> None:
    """A vector of softmax scores is a classification with a label to be renamed for each."""
    recipe, text = _loaded(tmp_path, _facts(_vector(3, "softmax")))
    assert (recipe.name, recipe.task, recipe.gate.metric) == (
        "my_model",
        "classification",
        "accuracy",
    )
    assert recipe.labels == ("label_0", "label_1", "label_2")
    assert recipe.outputs == {"dense": "class_scores"}
    assert recipe.activations == {}
    assert recipe.input_spec.shape == (1, 64, 96, 3)
    assert text.index("# CHANGE: what the numbers stand for") < text.index("labels = ")


def test_one_sigmoid_is_a_binary_score(tmp_path: Path) -> None:
    """One number of a sigmoid is the score of the second of two labels."""
    recipe, text = _loaded(tmp_path, _facts(_vector(1, "sigmoid")))
    assert recipe.outputs == {"dense": "binary_score"}
    assert recipe.labels == ("label_0", "label_1")
    assert "the second is the one that the score is for" in text


@pytest.mark.parametrize(
    ("count", "activation", "role"),
    [(3, "softmax", "class_scores"), (1, "sigmoid", "binary_score")],
)
def test_logits_get_an_activation(count: int, activation: str, role: str, tmp_path: Path) -> None:
    """A linear vector gets a softmax, a single linear number a sigmoid."""
    recipe, _ = _loaded(tmp_path, _facts(_vector(count, "linear")))
    assert recipe.outputs == {"dense": role}
    assert recipe.activations == {"dense": activation}


def test_unknown_activation_is_left_to_the_reader(tmp_path: Path) -> None:
    """Where the file does not tell, nothing is appended, and the text says what to look at."""
    recipe, text = _loaded(tmp_path, _facts(_vector(3, "")))
    assert recipe.activations == {}
    assert "# CHANGE: nobody can tell whether these are scores" in text


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
@pytest.mark.parametrize("stride", [1, 4])
def test_map_is_a_segmentation(activation: str, stride: int, tmp_path: Path) -> None:
    """One map is a segmentation with a label for each channel, of the stride that shapes tell."""
    recipe, _ = _loaded(tmp_path, _facts(_map("mask", 4, activation, stride)))
    assert (recipe.task, recipe.gate.metric, len(recipe.labels)) == ("segmentation", "dice", 4)
    assert recipe.outputs == {"mask": "class_masks"}
    assert recipe.decode.kind == "segmentation"
    assert recipe.decode.stride == stride
    assert recipe.activations == ({"mask": "sigmoid"} if activation == "linear" else {})


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("score", "offset", "size"), (0, 1, 2)),
        (("wh", "reg", "hm"), (2, 1, 0)),
        (("a", "b", "c"), (0, 1, 2)),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_center_heads_are_a_detection(
    names: tuple[str, str, str], order: tuple[int, int, int], channels: int, tmp_path: Path
) -> None:
    """Three maps of one size are a detection; names and activations tell which is which."""
    score = order[0]
    outputs = [
        _map(name, channels if at == score else 2, "sigmoid" if at == score else "linear")
        for at, name in enumerate(names)
    ]
    recipe, _ = _loaded(tmp_path, _facts(*outputs))
    roles = ("center_scores", "center_offsets", "center_sizes")
    assert recipe.outputs == {names[at]: role for at, role in zip(order, roles, strict=True)}
    assert recipe.decode.kind == "center"
    assert recipe.decode.stride == 4
    assert (recipe.task, len(recipe.labels)) == ("detection", channels)


@pytest.mark.parametrize(
    "outputs",
    [
        (_vector(3, "softmax"), _vector(1, "sigmoid")),
        (_map("a", 1, "sigmoid"), _map("b", 2, "linear"), _map("c", 2, "linear", stride=8)),
        (_map("a", 1, "sigmoid"), _map("b", 4, "linear"), _map("c", 2, "linear")),
        (TensorFacts("boxes", (None, 100, 4), "float32"),),
        (TensorFacts("mask", (None, 60, 90, 4), "float32", "sigmoid"),),
        (TensorFacts("any", (None, None), "float32", "softmax"),),
    ],
)
def test_outputs_of_no_task_are_explained(outputs: tuple[TensorFacts, ...]) -> None:
    """Outputs that fit no task are named, beside the roles that there are."""
    with pytest.raises(KerasModelError, match=f"{outputs[0].name} .* fit no task") as caught:
        recipe_text(_facts(*outputs), Path("m.keras"), "")
    assert "class_scores" in caught.value.hint
    assert "center_offsets" in caught.value.hint


@pytest.mark.parametrize("channels", [2, 4, None])
def test_input_that_is_no_picture(channels: int | None) -> None:
    """An input of other than one or three channels is refused."""
    picture = TensorFacts("input_1", (None, 64, 64, channels), "float32")
    with pytest.raises(KerasModelError, match="a picture has 1 or 3"):
        recipe_text(_facts(_vector(2, "softmax"), picture=picture), Path("m.keras"), "")


def test_open_size_is_to_be_filled(tmp_path: Path) -> None:
    """A network of any size gets one that is marked."""
    picture = TensorFacts("input_1", (None, None, None, 3), "float32")
    mask = TensorFacts("mask", (None, None, None, 4), "float32", "sigmoid")
    recipe, text = _loaded(tmp_path, _facts(mask, picture=picture))
    assert recipe.input.size == (224, 224)
    assert "# CHANGE: the network takes any size" in text


def test_grey_picture(tmp_path: Path) -> None:
    """One channel is GRAY, normalized by one value."""
    picture = TensorFacts("input_1", (None, 64, 64, 1), "float32")
    recipe, _ = _loaded(tmp_path, _facts(_vector(2, "softmax"), picture=picture))
    assert recipe.input.color == "GRAY"
    assert recipe.input.normalize.mean == (0.0,)
    assert recipe.input.normalize.std == (255.0,)


@pytest.mark.parametrize(
    ("layers", "color", "mean", "std", "why"),
    [
        (("conv2d",), "RGB", 0.0, 255.0, "what most trainings take"),
        (("mobilenetv2_1.00_224/block_1_expand",), "RGB", 127.5, 127.5, "MobileNetV2"),
        (("conv2_block1_1_conv",), "BGR", 103.939, 1.0, "ResNet"),
        (("conv2_block1_0_bn", "conv2_block1_1_conv"), "RGB", 123.675, 58.395, "DenseNet"),
    ],
)
def test_range_is_guessed_and_said_so(
    layers: tuple[str, ...], color: str, mean: float, std: float, why: str, tmp_path: Path
) -> None:
    """A known architecture brings the range of its training; the text says that it is a guess."""
    facts = _facts(_vector(2, "softmax"), layers=tuple(_layer(n, "Conv2D") for n in layers))
    recipe, text = _loaded(tmp_path, facts)
    assert (recipe.input.color, recipe.input.normalize.mean[0]) == (color, mean)
    assert recipe.input.normalize.std[0] == std
    (guess,) = [line for line in text.splitlines() if line.startswith("# Guessed: ")]
    assert why in guess


def test_rescaling_inside_takes_pixels(tmp_path: Path) -> None:
    """A network that normalizes by itself gets the pixels as they are, whatever else it is."""
    layers = (_layer("rescaling", "Rescaling"), _layer("block_1_expand", "Conv2D"))
    recipe, text = _loaded(tmp_path, _facts(_vector(2, "softmax"), layers=layers))
    assert recipe.input.normalize.mean == (0.0, 0.0, 0.0)
    assert recipe.input.normalize.std == (1.0, 1.0, 1.0)
    assert "# Guessed: the network's own layer rescaling (Rescaling) takes the pixels." in text


def test_variant_that_cannot_be_is_named(tmp_path: Path) -> None:
    """A layer for which int16x8 is refused is named beside the variants."""
    facts = _facts(_vector(2, "softmax"), layers=(_layer("elu", "ELU"),))
    assert "TensorFlow refuses int16x8 for ELU." in _loaded(tmp_path, facts)[1]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("MobileNet-V2 (1).keras", "mobilenet_v2_1"),
        ("2024.h5", "model_2024"),
        ("weights.best.hdf5", "weights"),
        (".keras", "model"),
        ("Ä.h5", "model"),
        ("x" * 200, "x" * 64),
    ],
)
def test_name_comes_from_the_file(file: str, name: str, tmp_path: Path) -> None:
    """Every file name gives a name that a bundle may have."""
    assert _loaded(tmp_path, _facts(_vector(2, "softmax")), file)[0].name == name


@pytest.mark.parametrize(
    "odd", ['a"b', "a\\b", "a\nname = 7", "a\x00\x7f", "\udc80", "StatefulPartitionedCall:0", ""]
)
def test_odd_names_cannot_break_the_file(odd: str, tmp_path: Path) -> None:
    """Whatever an output or a file is called, it stays one value or one comment."""
    facts = _facts(TensorFacts(odd, (None, 3), "float32", "linear"), layers=(_layer(odd, odd),))
    recipe, _ = _loaded(tmp_path, facts, f"m{odd}")
    expected = odd.replace("\udc80", "?")
    assert recipe.outputs == {expected: "class_scores"}
    assert recipe.activations == {expected: "softmax"}


def test_many_labels(tmp_path: Path) -> None:
    """A thousand labels are a thousand, in lines that can be read."""
    recipe, text = _loaded(tmp_path, _facts(_vector(1000, "softmax")))
    assert len(recipe.labels) == 1000
    assert max(map(len, text.splitlines())) <= 100


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there stays as it is, also one that a link only names."""
    there, link = tmp_path / "recipe.toml", tmp_path / "link.toml"
    there.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for out in (there, link):
        with pytest.raises(UsageError, match="is there already, and is not overwritten"):
            write_recipe(tmp_path / "m.keras", out, weights=None, limits=Limits())
    assert there.read_text() == "mine"


def test_converted_model_needs_no_recipe(tmp_path: Path) -> None:
    """A .tflite file and a bundle are refused by what they are."""
    out = tmp_path / "recipe.toml"
    for path, what in (
        (TINT_CLASSIFIER / "model.int8.tflite", "a TensorFlow Lite model"),
        (TINT_CLASSIFIER, "a bundle"),
    ):
        with pytest.raises(UsageError, match=f"is {what}, which is converted already"):
            write_recipe(path, out, weights=None, limits=Limits())
    assert not out.exists()


NETWORKS = """
import sys, keras
layers, folder = keras.layers, sys.argv[1]


def save(name, make):
    image = keras.Input((32, 48, 3), name="image")
    keras.Model(image, make(image)).save(f"{folder}/{name}.keras")


def vector(count, activation):
    return lambda image: layers.Dense(count, activation)(layers.GlobalAveragePooling2D()(image))


def unet(image):
    down = layers.Conv2D(4, 3, 2, "same")(layers.Rescaling(1 / 255)(image))
    joined = layers.Concatenate()([layers.UpSampling2D()(down), image])
    return layers.Conv2D(3, 3, padding="same", activation="sigmoid")(joined)


def centers(image):
    cells = layers.Conv2D(4, 4, 4)(image)
    heads = {"score": (1, "sigmoid"), "offset": (2, "sigmoid"), "size": (2, None)}
    return {
        name: layers.Conv2D(count, 1, activation=activation, name=name)(cells)
        for name, (count, activation) in heads.items()
    }


save("softmax", vector(3, "softmax"))
save("sigmoid", vector(1, "sigmoid"))
save("logits", vector(3, None))
save("unet", unet)
save("centers", centers)
"""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Keras model of every kind that a task exists for."""
    folder = tmp_path_factory.mktemp("networks")
    command = [sys.executable, "-W", "ignore", "-c", NETWORKS, str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.convert
@pytest.mark.parametrize(
    ("network", "roles", "activations"),
    [
        ("softmax", ["class_scores"], []),
        ("sigmoid", ["binary_score"], []),
        ("logits", ["class_scores"], ["softmax"]),
        ("unet", ["class_masks"], []),
        ("centers", ["center_offsets", "center_scores", "center_sizes"], []),
    ],
)
def test_round_trip(
    network: str, roles: list[str], activations: list[str], networks: Path, tmp_path: Path
) -> None:
    """A saved network gives a recipe of the task that its outputs are for, which loads."""
    model, out = networks / f"{network}.keras", tmp_path / "recipe.toml"
    write_recipe(model, out, weights=None, limits=Limits())
    recipe = load_recipe(out).recipe
    assert recipe.name == network
    assert sorted(recipe.outputs.values()) == roles
    assert list(recipe.activations.values()) == activations
    assert f"--keras {model}" in out.read_text(encoding="utf-8")
    taken = (1.0, 1.0, 1.0) if network == "unet" else (255.0, 255.0, 255.0)
    assert recipe.input.normalize.std == taken


@pytest.mark.convert
def test_recipe_names_what_the_network_has(networks: Path, tmp_path: Path) -> None:
    """The process that converts takes the recipe's input and outputs as they were written."""
    model, out = networks / "centers.keras", tmp_path / "recipe.toml"
    write_recipe(model, out, weights=None, limits=Limits())
    recipe = load_recipe(out).recipe
    with KerasProcess(model) as process:
        found = process.export(recipe.input_spec, tuple(recipe.outputs), recipe.activations)
    assert {name: spec.shape for name, spec in found.items()} == {
        "offset": (1, 8, 12, 2),
        "score": (1, 8, 12, 1),
        "size": (1, 8, 12, 2),
    }
