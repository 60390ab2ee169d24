"""The words of a new recipe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from converter.inspection.layers import no_int16x8
from converter.keras_model import ModelFacts
from converter.starter.guess import InputGuess, OutputGuess, guess_input, guess_outputs
from edge.contract.manifest import TaskName

_METRIC: dict[TaskName, str] = {
    "classification": "accuracy",
    "detection": "ap",
    "segmentation": "dice",
}
_SOURCES: dict[TaskName, str] = {
    "classification": "a folder of pictures for each label, in DATA itself",
    "detection": "DATA/images with DATA/annotations.json (COCO)",
    "segmentation": "DATA/train_images with DATA/train.csv, or DATA/images with DATA/masks",
}
_RESIZE: dict[TaskName, str] = {
    "classification": 'mode = "stretch", interpolation = "linear"',
    "detection": 'mode = "letterbox", pad = 127, interpolation = "linear"',
    "segmentation": 'mode = "stretch", interpolation = "linear"',
}
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_LABELS_A_LINE = 6


def recipe_text(facts: ModelFacts, path: Path, command: str) -> str:
    """A recipe that loads, with ``# CHANGE:`` at what only a person knows.

    Parameters
    ----------
    facts
        Of the model.
    path
        Its file or folder; the recipe's name comes from it.
    command
        The arguments of `linesight-convert convert` that name the model.

    Raises
    ------
    KerasModelError
        The input is no picture, or the outputs fit no task.
    """
    image = guess_input(path, facts)
    outputs = guess_outputs(path, facts, image.size)
    lines = [
        f"# Written by `linesight-convert init` for {_plain(path.name)}, {facts.format},",
        f"# {facts.parameters:,} parameters. Mend what is marked CHANGE, then",
        "#",
        f"#   linesight-convert convert recipe.toml {_plain(command)} --data DIR",
        "",
        *_head(facts, path, outputs),
        "",
        *_input(image, outputs.task),
        "",
        *_outputs(outputs),
        "",
        *_decode(outputs),
        "",
        *_judging(outputs.task),
        "",
        *_card(),
    ]
    return "\n".join(lines) + "\n"


def _head(facts: ModelFacts, path: Path, outputs: OutputGuess) -> Iterator[str]:
    yield f"name = {_text(_name(path))}"
    yield 'version = "0.1.0"'
    yield f"task = {_text(outputs.task)}"
    binary = "binary_score" in outputs.roles.values()
    order = "the second is the one that the score is for" if binary else "in the network's order"
    yield f"# CHANGE: what the numbers stand for, {order}."
    yield f"labels = {_list([f'label_{at}' for at in range(outputs.labels)])}"
    kinds = ", ".join(sorted({layer.kind for layer in no_int16x8(facts.layers)}))
    yield (
        f"# There is dynamic too; TensorFlow refuses int16x8 for {kinds}."
        if kinds
        else "# There are dynamic and int16x8 too."
    )
    yield 'variants = ["float32", "float16", "int8"]'


def _input(image: InputGuess, task: TaskName) -> Iterator[str]:
    height, width = image.size
    yield "[input] # as in the training: another one costs accuracy without any error"
    yield 'name = "image"'
    if image.open:
        yield "# CHANGE: the network takes any size; name that of the training."
    yield f"size = [{height}, {width}] # height, width in pixels"
    if image.color == "GRAY":
        yield 'color = "GRAY"'
    else:
        yield "# CHANGE: RGB or BGR; a training that read its pictures with OpenCV may have BGR."
        yield f'color = "{image.color}"'
    yield "# CHANGE: stretch alters the shape of things, letterbox adds bars of the grey `pad`."
    yield f"resize = {{ {_RESIZE[task]} }}"
    yield "# CHANGE: (pixel - mean) / std, pixels from 0 to 255, channels in the order of color."
    yield f"# Guessed: {_plain(image.why)}."
    yield "# `convert` tries other ranges too, and refuses this one when another does better."
    mean, std = (", ".join(f"{n!r}" for n in values) for values in (image.mean, image.std))
    yield f"normalize = {{ mean = [{mean}], std = [{std}] }}"


def _outputs(outputs: OutputGuess) -> Iterator[str]:
    yield "[outputs] # the network's name of an output = what decoding takes it for"
    if outputs.kind == "center":
        yield "# CHANGE: which is which was guessed from names and channels."
    yield from (f"{_key(name)} = {_text(role)}" for name, role in outputs.roles.items())
    if outputs.activations:
        yield ""
        yield "[activations] # appended to an output that ends without one"
        yield "# CHANGE: softmax for one label out of all, sigmoid for each by itself; leave the"
        yield "# table out if the network gives scores from 0 to 1 already."
        yield from (f"{_key(name)} = {_text(kind)}" for name, kind in outputs.activations.items())
    if outputs.unsure:
        yield ""
        yield "# CHANGE: nobody can tell whether these are scores from 0 to 1. If they are logits:"
        yield "# [activations]"
        yield from (f'# {_key(name)} = "softmax"' for name in outputs.unsure)


def _decode(outputs: OutputGuess) -> Iterator[str]:
    yield "[decode]"
    yield f'kind = "{outputs.kind}"'
    match outputs.kind:
        case "classification":
            yield "# CHANGE: a box grows by this share of its side, on every side, before the cut;"
            yield "# 0 for a network that judges whole pictures."
            yield "crop_margin = 0.0"
        case "segmentation":
            yield f"stride = {outputs.stride} # pixels of the input for a cell of the maps"
            yield "threshold = 0.5 # CHANGE: a cell belongs to a label from this score on"
            yield "min_area = 0 # CHANGE: a label that covers fewer cells is not reported"
        case _:
            yield "# CHANGE: a box's centre is (cell + offset) * stride, its sides exp(size) *"
            yield "# stride; a network that was trained otherwise cannot be decoded."
            yield f"stride = {outputs.stride} # pixels of the input for a cell of the maps"
            yield "threshold = 0.5 # CHANGE: a box has this score at least"
            yield "nms_iou = 0.4 # of two boxes that overlap more the better one stays"
            yield "max_detections = 200"


def _judging(task: TaskName) -> Iterator[str]:
    yield "[representative] # pictures that int8 learns its ranges from, like those of the device"
    yield f"# CHANGE: folders below DATA. Here: {_SOURCES[task]}."
    yield 'sources = ["."]'
    yield "count = 200"
    yield "seed = 7"
    yield "held_back = 0.2 # this share of the labelled pictures is kept for the gate"
    yield ""
    yield "[gate] # on the pictures held back"
    yield f'metric = "{_METRIC[task]}"'
    yield "budget = 0.01 # a variant may lose this much against the Keras model"
    yield "# CHANGE: a little less than the training reached; below it, the input is another one."
    yield "least = 0.0"


def _card() -> Iterator[str]:
    yield "[card] # the words of CARD.md; its figures are measured"
    yield 'purpose = "Not written yet." # CHANGE: what it is for'
    yield 'data = "Not written yet." # CHANGE: what it was trained with, and whose that is'
    yield 'limits = ["Not written yet."] # CHANGE: where it fails'


def _name(path: Path) -> str:
    """The file's name as a bundle may be called."""
    name = re.sub(r"[^a-z0-9]+", "_", path.name.split(".")[0].lower()).strip("_")
    return (name if re.match(r"[a-z]", name) else f"model_{name}".rstrip("_"))[:64]


def _list(values: Sequence[str]) -> str:
    quoted = [_text(value) for value in values]
    if len(quoted) <= _LABELS_A_LINE:
        return f"[{', '.join(quoted)}]"
    rows = (quoted[at : at + _LABELS_A_LINE] for at in range(0, len(quoted), _LABELS_A_LINE))
    return "[\n" + "".join(f"  {', '.join(row)},\n" for row in rows) + "]"


def _key(name: str) -> str:
    return name if _PLAIN_KEY.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    """A TOML string."""
    return f'"{"".join(_ESCAPES.get(c) or _escape(c) for c in value)}"'


def _escape(character: str) -> str:
    """Control characters and halves of surrogate pairs cannot stand in a TOML file."""
    code = ord(character)
    if 0xD800 <= code < 0xE000:
        return "?"
    return f"\\u{code:04x}" if code < 0x20 or code == 0x7F else character


def _plain(text: str) -> str:
    """For a comment: nothing in it can begin a line of its own."""
    return "".join(c if c.isprintable() else "?" for c in text)
