"""What the shapes, activations and layer names of a network tell about its use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from converter.inspection.layers import normalizing
from converter.keras_model import KerasModelError, LayerFacts, ModelFacts, TensorFacts
from edge.contract.manifest import TASKS, Role, TaskName

SIDE = 224
"""Pixels of a side that the network leaves open."""

_LARGEST_STRIDE = 64
_ROLES_THERE_ARE = (
    "class_scores (a number for each label), binary_score (one number), class_masks (a map for "
    "each label), or center_scores, center_offsets and center_sizes together (maps of one size)"
)
_SCORES, _OFFSETS, _SIZES = (
    re.compile(pattern, re.IGNORECASE)
    for pattern in (r"score|heat|hm|cent(er|re)|prob|cls|class", r"off|reg", r"size|wh|dim")
)
_TORCH = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_CAFFE = ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
_ONE = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
# A layer that only this architecture of keras.applications has → what its weights were trained
# with. DenseNet stands before ResNet, whose layer it has too.
_ARCHITECTURES: tuple[tuple[str, str, str, tuple[tuple[float, ...], tuple[float, ...]]], ...] = (
    ("block_1_expand", "MobileNetV2", "RGB", _ONE),
    ("conv_dw_1", "MobileNet", "RGB", _ONE),
    ("block2_sepconv1", "Xception", "RGB", _ONE),
    ("mixed0", "InceptionV3", "RGB", _ONE),
    ("conv2_block1_preact_bn", "ResNetV2", "RGB", _ONE),
    ("conv2_block1_0_bn", "DenseNet", "RGB", _TORCH),
    ("conv2_block1_1_conv", "ResNet", "BGR", _CAFFE),
    ("block5_conv3", "VGG", "BGR", _CAFFE),
)


@dataclass(frozen=True, slots=True)
class InputGuess:
    """The recipe's table ``[input]``.

    Parameters
    ----------
    size
        Height and width, in pixels.
    open
        The network takes any size, ``size`` is arbitrary.
    color, mean, std
        In the recipe's words.
    why
        Of color, mean and std.
    """

    size: tuple[int, int]
    open: bool
    color: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    why: str


@dataclass(frozen=True, slots=True)
class OutputGuess:
    """What the outputs are for.

    Parameters
    ----------
    kind
        Of decoding.
    roles
        Name of an output → its role.
    labels
        How many there are.
    stride
        Pixels of the input for a cell of the maps; 1 where there are none.
    activations
        Name of an output → what is to be appended to it.
    unsure
        Outputs of which nobody can tell whether they are scores or logits.
    """

    kind: str
    roles: dict[str, Role]
    labels: int
    stride: int = 1
    activations: dict[str, str] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()

    @property
    def task(self) -> TaskName:
        """The task that the decoding serves."""
        return TASKS[self.kind]


def guess_input(path: Path, facts: ModelFacts) -> InputGuess:
    """Size and colour from the shape; the range of the numbers from what the layers tell.

    Raises
    ------
    KerasModelError
        The input is no picture of one or three channels.
    """
    (image,) = facts.inputs
    height, width, channels = image.shape[1:]
    if channels not in (1, 3):
        raise KerasModelError(
            f"{path}: {image.name} has {channels or 'any number of'} channels, a picture has 1 or 3"
        )
    size = (height or SIDE, width or SIDE)
    is_open = None in (height, width)
    color, mean, std, why = _range(facts.layers, channels)
    return InputGuess(size, is_open, color, mean, std, why)


def guess_outputs(path: Path, facts: ModelFacts, size: tuple[int, int]) -> OutputGuess:
    """The one task that outputs of these shapes fit.

    Raises
    ------
    KerasModelError
        They fit none.
    """
    outputs = facts.outputs
    found = None
    if len(outputs) == 1 and len(outputs[0].shape) == 2:
        found = _vector(outputs[0])
    elif len(outputs) == 1 and len(outputs[0].shape) == 4:
        found = _masks(outputs[0], size)
    elif len(outputs) == 3:
        found = _centers(outputs, size)
    if found is None:
        given = ", ".join(f"{output.name} {output.shape}" for output in outputs)
        raise KerasModelError(
            f"{path}: the outputs {given} fit no task",
            hint=f"roles that outputs can have: {_ROLES_THERE_ARE}",
        )
    return found


def _range(
    layers: Sequence[LayerFacts], channels: int
) -> tuple[str, tuple[float, ...], tuple[float, ...], str]:
    color = "GRAY" if channels == 1 else "RGB"
    if inside := normalizing(layers):
        why = f"the network's own layer {inside[0].name} ({inside[0].kind}) takes the pixels"
        return color, (0.0,) * channels, (1.0,) * channels, why
    names = {layer.name.rpartition("/")[2] for layer in layers}
    for layer, architecture, order, (mean, std) in _ARCHITECTURES if channels == 3 else ():
        if layer in names:
            return order, mean, std, f"its layers are those of {architecture} in keras.applications"
    return color, (0.0,) * channels, (255.0,) * channels, "[0, 1] is what most trainings take"


def _vector(output: TensorFacts) -> OutputGuess | None:
    count = output.shape[1]
    if count is None:
        return None
    roles: dict[str, Role] = {output.name: "binary_score" if count == 1 else "class_scores"}
    own = "sigmoid" if count == 1 else "softmax"
    return _with_activations(OutputGuess("classification", roles, max(count, 2)), [output], own)


def _masks(output: TensorFacts, size: tuple[int, int]) -> OutputGuess | None:
    labels, stride = output.shape[3], _stride(output, size)
    if labels is None or stride is None:
        return None
    guess = OutputGuess("segmentation", {output.name: "class_masks"}, labels, stride)
    return _with_activations(guess, [output], "sigmoid")


def _centers(outputs: Sequence[TensorFacts], size: tuple[int, int]) -> OutputGuess | None:
    """Maps of one size, of which two have two channels."""
    if any(len(output.shape) != 4 for output in outputs):
        return None
    if len({output.shape[1:3] for output in outputs}) != 1:
        return None
    scores = _pick_scores(outputs)
    pair = [output for output in outputs if output is not scores]
    labels, stride = scores.shape[3], _stride(scores, size)
    if labels is None or stride is None or any(output.shape[3] != 2 for output in pair):
        return None
    if _SIZES.search(pair[0].name) or _OFFSETS.search(pair[1].name):
        pair.reverse()
    offsets, sizes = pair
    roles: dict[str, Role] = {
        scores.name: "center_scores",
        offsets.name: "center_offsets",
        sizes.name: "center_sizes",
    }
    return _with_activations(OutputGuess("center", roles, labels, stride), [scores], "sigmoid")


def _pick_scores(outputs: Sequence[TensorFacts]) -> TensorFacts:
    """The one that has not two channels; else the one with a sigmoid, or by its name."""
    tests = (
        lambda output: output.shape[3] != 2,
        lambda output: output.activation == "sigmoid",
        lambda output: _SCORES.search(output.name),
    )
    for test in tests:
        if len(found := [output for output in outputs if test(output)]) == 1:
            return found[0]
    return outputs[0]


def _with_activations(
    guess: OutputGuess, scores: Sequence[TensorFacts], missing: str
) -> OutputGuess:
    linear = {output.name: missing for output in scores if output.activation == "linear"}
    known = ("linear", "softmax", "sigmoid")
    unsure = tuple(output.name for output in scores if output.activation not in known)
    return OutputGuess(guess.kind, guess.roles, guess.labels, guess.stride, linear, unsure)


def _stride(output: TensorFacts, size: tuple[int, int]) -> int | None:
    """Pixels for a cell of the map, 1 where its size is open; None when it is no grid of them."""
    rows, columns = output.shape[1:3]
    if not rows or not columns:
        return 1
    stride = max(1, size[0] // rows)
    if (size[0] // stride, size[1] // stride) != (rows, columns) or stride > _LARGEST_STRIDE:
        return None
    return stride
