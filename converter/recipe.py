"""``recipe.toml``: the hand-written intent that becomes a bundle.

What the device must know (input, outputs, decode) stands in the words of the manifest, because it
goes there unchanged; the rest says how to get there: which variants, what they are calibrated with,
how much a variant may lose, how the network is trained.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from converter.recipe_wording import line
from converter.training.settings import (
    ClassifierTraining,
    DetectorTraining,
    SegmenterTraining,
    Training,
)
from edge.contract.manifest import (
    ROLES,
    TASKS,
    CenterDecode,
    ClassificationDecode,
    Decode,
    Fraction,
    InputSpec,
    Name,
    Normalize,
    Resize,
    Role,
    SegmentationDecode,
    TaskName,
    VariantName,
)
from edge.errors import ConfigError

Source = Annotated[str, Field(pattern=r"^(\.|[A-Za-z0-9_-][A-Za-z0-9_./-]*)$")]
"""A folder below DATA, ``.`` for DATA itself, in one of the forms that `linesight eval` reads."""

Metric = Literal["ap", "accuracy", "dice"]
Activation = Literal["softmax", "sigmoid"]

_METRICS: dict[TaskName, Metric] = {
    "detection": "ap",
    "classification": "accuracy",
    "segmentation": "dice",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Input(_Strict):
    """The image tensor: ``size`` is (height, width) in pixels."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = "image"
    size: tuple[Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]]
    color: Literal["RGB", "BGR", "GRAY"]
    resize: Resize
    normalize: Normalize


class Representative(_Strict):
    """Which pictures int8 and int16x8 learn their ranges from.

    ``count`` tensors are drawn with ``seed`` from the folders ``sources``, never one that judges:
    the share ``held_back`` of the labelled pictures is kept for the gate, whole groups of
    near-twins at a time. A recipe with ``[training]`` splits as the training did instead, and one
    with ``gate.sources`` not at all: there all pictures here calibrate, labelled or not.

    A classifier sees whole crops, and the labelled faces of group photos cut out with
    ``decode.crop_margin``; other tasks see whole pictures.
    """

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    count: Annotated[int, Field(ge=1, le=100_000)] = 200
    seed: Annotated[int, Field(ge=0)] = 7
    held_back: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2


class Quantize(_Strict):
    """How the integer variants are made.

    ``input_output`` is what int8 and int16x8 take and give at their ends. ``keep_float`` names
    layers of the network that stay in float in int8 whatever comes. When int8 misses its gate, up
    to ``float_layers`` of its worst layers stay in float as well; 0 gives up at once.
    """

    input_output: Literal["integer", "float32"] = "integer"
    keep_float: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    float_layers: Annotated[int, Field(ge=0, le=64)] = 8


class GateBudget(_Strict):
    """What a variant must keep on pictures that the calibration has not seen.

    ``sources`` are folders whose labelled pictures judge, instead of those held back. ``budget`` is
    the loss of ``metric`` against the Keras model that is still accepted; ``agreement`` the share
    of items on which a variant must decide as Keras does; ``least`` what the Keras model itself
    must reach through this recipe's preprocessing. ``trust_input`` silences the refusal of a
    preprocessing with which the Keras model does worse than with another one.
    """

    metric: Metric
    budget: Fraction
    agreement: Fraction = 0.95
    least: Fraction = 0.0
    sources: tuple[Source, ...] = ()
    trust_input: bool = False


class CardText(_Strict):
    """What only a person can say; the figures of CARD.md are measured."""

    purpose: str
    data: str
    limits: Annotated[tuple[str, ...], Field(min_length=1)]
    notice: str = ""
    """Copyright and licence of what others made and the model contains."""


class Recipe(_Strict):
    """All of ``recipe.toml``."""

    name: Name
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,3}$")]
    task: TaskName
    labels: Annotated[tuple[Name, ...], Field(min_length=1)]
    variants: Annotated[tuple[VariantName, ...], Field(min_length=1)]
    input: Input
    outputs: dict[str, Role]
    activations: dict[str, Activation] = {}
    """Appended to an output whose network ends in logits."""
    decode: Decode
    representative: Representative
    quantize: Quantize = Quantize()
    gate: GateBudget
    training: Training | None = None
    card: CardText

    @property
    def input_spec(self) -> InputSpec:
        """The input as the manifest states it."""
        height, width = self.input.size
        return InputSpec(
            name=self.input.name,
            shape=(1, height, width, 1 if self.input.color == "GRAY" else 3),
            color=self.input.color,
            resize=self.input.resize,
            normalize=self.input.normalize,
        )


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A checked recipe, with the bytes it was read from."""

    path: Path
    content: bytes
    recipe: Recipe

    @property
    def sha256(self) -> str:
        """Of the file's bytes, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def load_recipe(path: Path) -> RecipeFile:
    """Read ``recipe.toml``.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or holds mistakes: the message has one line
        ``file: key: what is wrong`` for each of them.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file", hint="name a recipe.toml") from error
    except IsADirectoryError as error:
        raise ConfigError(
            f"{path}: is a folder", hint=f"name the file in it: {path / 'recipe.toml'}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text at byte {error.start}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    try:
        # By way of JSON, where a list may become a tuple while "5" is still no number.
        recipe = Recipe.model_validate_json(json.dumps(tables, default=str), strict=True)
    except ValidationError as error:
        lines = [line(item, tables, Recipe) for item in error.errors()]
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines)) from error
    if lines := _disagreements(recipe):
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines))
    return RecipeFile(path, content, recipe)


def _disagreements(recipe: Recipe) -> list[str]:
    """What is wrong between keys that are each right."""
    lines = []
    task, choices = TASKS[recipe.decode.kind], ROLES[recipe.decode.kind]
    if recipe.task != task:
        lines.append(f"decode.kind: {recipe.decode.kind!r} is for task {task!r}")
    if not any(sorted(recipe.outputs.values()) == sorted(roles) for roles in choices):
        wanted = ", or ".join(", ".join(sorted(roles)) for roles in choices)
        lines.append(f"outputs: decode.kind {recipe.decode.kind!r} needs each of {wanted} once")
    if "binary_score" in recipe.outputs.values() and len(recipe.labels) != 2:
        lines.append("labels: a binary_score is that of the second of exactly two labels")
    lines += [
        f"activations.{name}: is none of {', '.join(recipe.outputs)}"
        for name in recipe.activations
        if name not in recipe.outputs
    ]
    if (metric := _METRICS.get(recipe.task)) != recipe.gate.metric:
        lines.append(f"gate.metric: task {recipe.task!r} is measured by {metric!r}")
    lines += [
        f"{key}: the same entry stands there twice"
        for key, entries in (("labels", recipe.labels), ("variants", recipe.variants))
        if len(set(entries)) != len(entries)
    ]
    channels = 1 if recipe.input.color == "GRAY" else 3
    normalize = recipe.input.normalize
    lines += [
        f"input.normalize.{key}: needs {channels} values for color {recipe.input.color}"
        for key, values in (("mean", normalize.mean), ("std", normalize.std))
        if len(values) != channels
    ]
    lines += [
        f"{key}: {source!r} leads out of the data"
        for key, sources in (
            ("representative.sources", recipe.representative.sources),
            ("gate.sources", recipe.gate.sources),
        )
        for source in sources
        if ".." in source.split("/")
    ]
    return lines + _training_disagreements(recipe)


def _training_disagreements(recipe: Recipe) -> list[str]:
    """The network is trained for the size and the crops that the device will give it."""
    match recipe.training, recipe.decode:
        case None, _:
            return []
        case DetectorTraining() as training, CenterDecode():
            pairs: list[tuple[str, Any, str, Any]] = [
                ("height", training.height, "input.size[0]", recipe.input.size[0]),
                ("width", training.width, "input.size[1]", recipe.input.size[1]),
            ]
        case ClassifierTraining() as training, ClassificationDecode() as decode:
            pairs = [
                ("size", training.size, "input.size[0]", recipe.input.size[0]),
                ("size", training.size, "input.size[1]", recipe.input.size[1]),
                ("margin", training.margin, "decode.crop_margin", decode.crop_margin),
            ]
        case SegmenterTraining() as training, SegmentationDecode() as decode:
            pairs = [
                ("height", training.height, "input.size[0]", recipe.input.size[0]),
                ("width", training.width, "input.size[1]", recipe.input.size[1]),
                ("tiles", training.tiles, "decode.tiles", decode.tiles),
                ("min_area", training.min_area, "decode.min_area", decode.min_area),
                ("labels", training.labels, "labels", recipe.labels),
            ]
        case training, decode:
            return [f"training.kind: {training.kind!r} does not fit decode.kind {decode.kind!r}"]
    return [
        f"training.{key}: is {trained}, but {other} is {used}"
        for key, trained, other, used in pairs
        if trained != used
    ]
