"""``recipe.toml``: the hand-written intent that becomes a bundle.

What the device must know (input, outputs, decode) stands in the words of the manifest, because it
goes there unchanged; the rest says how to get there: which variants, what they are calibrated with,
how much a variant may lose, how the network is trained.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from converter.training.settings import ClassifierTraining, DetectorTraining, Training
from edge.contract.manifest import (
    CenterDecode,
    ClassificationDecode,
    Decode,
    Fraction,
    InputSpec,
    Name,
    Normalize,
    Resize,
    Role,
    TaskName,
)
from edge.errors import ConfigError

VariantName = Literal["float32", "float16", "dynamic", "int8"]
"""The variants that this converter makes."""

Source = Literal["boxes", "crops"]
"""``boxes``: DATA/boxes/images with DATA/boxes/annotations.json; ``crops``: DATA/crops/<label>."""

_NEEDS: dict[str, tuple[TaskName, frozenset[Role]]] = {
    "center": ("detection", frozenset({"center_scores", "center_offsets", "center_sizes"})),
    "classification": ("classification", frozenset({"class_scores"})),
}
_METRICS: dict[TaskName, str] = {"detection": "ap", "classification": "accuracy"}


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
    """Which pictures int8 learns its ranges from; always of the training side of the split.

    ``count`` tensors are drawn with ``seed``. A classifier sees whole crops, and the labelled faces
    of group photos cut out with ``decode.crop_margin``; a detector sees whole group photos.
    """

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    count: Annotated[int, Field(ge=100, le=100_000)]
    seed: Annotated[int, Field(ge=0)]


class GateBudget(_Strict):
    """What a variant must keep on the held-back pictures.

    ``budget`` is the loss of ``metric`` against the Keras model that is still accepted; ``least``
    is what the Keras model must reach through this recipe's preprocessing, which catches a recipe
    whose input is not the one the model was trained with.
    """

    metric: Literal["ap", "accuracy"]
    budget: Fraction
    least: Fraction = 0.0


class CardText(_Strict):
    """What only a person can say; the figures of CARD.md are measured."""

    purpose: str
    data: str
    limits: Annotated[tuple[str, ...], Field(min_length=1)]


class Recipe(_Strict):
    """All of ``recipe.toml``."""

    name: Name
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,3}$")]
    task: TaskName
    labels: Annotated[tuple[Name, ...], Field(min_length=1)]
    variants: Annotated[tuple[VariantName, ...], Field(min_length=1)]
    input: Input
    outputs: dict[str, Role]
    decode: Decode
    representative: Representative
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
        lines = [_line(item, tables) for item in error.errors()]
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines)) from error
    if lines := _disagreements(recipe):
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines))
    return RecipeFile(path, content, recipe)


def _disagreements(recipe: Recipe) -> list[str]:
    """What is wrong between keys that are each right."""
    lines = []
    task, roles = _NEEDS[recipe.decode.kind]
    if recipe.task != task:
        lines.append(f"decode.kind: {recipe.decode.kind!r} is for task {task!r}")
    if sorted(recipe.outputs.values()) != sorted(roles):
        lines.append(
            f"outputs: decode.kind {recipe.decode.kind!r} needs each of "
            f"{', '.join(sorted(roles))} once"
        )
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
    if recipe.task == "detection" and "crops" in recipe.representative.sources:
        lines.append("representative.sources: 'crops' have no boxes; a detector needs 'boxes'")
    return lines + _training_disagreements(recipe)


def _training_disagreements(recipe: Recipe) -> list[str]:
    """The network is trained for the size and the crops that the device will give it."""
    match recipe.training, recipe.decode:
        case None, _:
            return []
        case DetectorTraining() as training, CenterDecode():
            pairs: list[tuple[str, float, str, float]] = [
                ("height", training.height, "input.size[0]", recipe.input.size[0]),
                ("width", training.width, "input.size[1]", recipe.input.size[1]),
            ]
        case ClassifierTraining() as training, ClassificationDecode() as decode:
            pairs = [
                ("size", training.size, "input.size[0]", recipe.input.size[0]),
                ("size", training.size, "input.size[1]", recipe.input.size[1]),
                ("margin", training.margin, "decode.crop_margin", decode.crop_margin),
            ]
        case training, decode:
            return [f"training.kind: {training.kind!r} does not fit decode.kind {decode.kind!r}"]
    return [
        f"training.{key}: is {trained}, but {other} is {used}"
        for key, trained, other, used in pairs
        if trained != used
    ]


def _line(item: ErrorDetails, tables: dict[str, Any]) -> str:
    """One of pydantic's complaints as ``key: what is wrong``."""
    path = _path(item, tables)
    place = ".".join(str(part) for part in path) or "file"
    match item["type"]:
        case "extra_forbidden":
            return f"{place}: unknown key{_nearest(str(path[-1]), _keys(path[:-1], tables))}"
        case "missing":
            return f"{place}: is missing and has no default"
        case "too_short":
            return f"{place}: needs at least one entry"
        case "union_tag_not_found":
            return f"{place}.kind: is missing and has no default"
        case "union_tag_invalid":
            expected = item["ctx"]["expected_tags"]
            return f"{place}.kind: {item['ctx']['tag']!r} is not one of {expected}"
        case "value_error":
            return f"{place}: {item['ctx']['error']}"
        case _:
            given = json.dumps(item["input"], default=str, ensure_ascii=False)
            given = given if len(given) <= 60 else f"{given[:57]}…"
            return f"{place}: {item['msg'][:1].lower()}{item['msg'][1:]}, not {given}"


def _path(item: ErrorDetails, tables: dict[str, Any]) -> tuple[str | int, ...]:
    """Where it stands in the file: without the tag that pydantic adds for ``kind``."""
    loc = item["loc"]
    if len(loc) > 1 and loc[0] in {"decode", "training"}:
        table = tables.get(str(loc[0]))
        if isinstance(table, dict) and loc[1] == table.get("kind"):
            return (loc[0], *loc[2:])
    return loc


def _keys(path: tuple[str | int, ...], tables: dict[str, Any]) -> list[str]:
    """The keys that the table at ``path`` may have."""
    model: type[BaseModel] = Recipe
    for part in path:
        waiting: list[Any] = [model.model_fields[str(part)].annotation]
        found: list[type[BaseModel]] = []
        while waiting:
            annotation = waiting.pop(0)
            waiting += get_args(annotation)
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                found.append(annotation)
        kind = tables.get(str(part), {}).get("kind") if len(found) > 1 else None
        model = next((m for m in found if kind in get_args(_kind(m))), found[0])
    return list(model.model_fields)


def _kind(model: type[BaseModel]) -> Any:
    return model.model_fields["kind"].annotation if "kind" in model.model_fields else None


def _nearest(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(words)}"
