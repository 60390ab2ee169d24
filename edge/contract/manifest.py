"""``manifest.json``: the machine-written facts about a model bundle, schema 1.

Every key is required unless it has a default here, unknown keys are refused, and a section that
does not apply is absent, never null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.contract.errors import BundleNotFound, ManifestError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
TaskName = Literal["classification", "detection", "segmentation", "ellipse"]
VariantName = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
Role = Literal[
    "class_scores",
    "binary_score",
    "class_masks",
    "center_scores",
    "center_offsets",
    "center_sizes",
]
Dtype = Literal["float32", "uint8", "int8", "int16"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True
    )


class Resize(_Strict):
    """How an image reaches the model's height and width.

    ``stretch`` changes the aspect ratio; ``letterbox`` keeps it, centres the picture and fills the
    rest with the grey value ``pad`` (0-255, before normalization).
    """

    mode: Literal["stretch", "letterbox"]
    pad: Annotated[int, Field(ge=0, le=255)] = 127
    interpolation: Literal["nearest", "linear", "area"] = "linear"


class Normalize(_Strict):
    """``tensor = (pixel - mean) / std`` per channel; pixels 0-255, channels in ``color`` order."""

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0.0)], ...]


class InputSpec(_Strict):
    """The image tensor that the model takes: ``shape`` is (1, height, width, channels)."""

    name: str
    shape: tuple[
        Literal[1],
        Annotated[int, Field(ge=1, le=8192)],
        Annotated[int, Field(ge=1, le=8192)],
        Literal[1, 3],
    ]
    layout: Literal["NHWC"] = "NHWC"
    color: Literal["RGB", "BGR", "GRAY"]
    resize: Resize
    normalize: Normalize

    @property
    def height(self) -> int:
        """Rows of the model's input, in pixels."""
        return self.shape[1]

    @property
    def width(self) -> int:
        """Columns of the model's input, in pixels."""
        return self.shape[2]

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.shape[3]

    @model_validator(mode="after")
    def _channels_agree(self) -> Self:
        channels = 1 if self.color == "GRAY" else 3
        if self.channels != channels:
            raise ValueError(f"color {self.color} has {channels} channels, shape {self.channels}")
        for key in ("mean", "std"):
            if len(getattr(self.normalize, key)) != channels:
                raise ValueError(f"normalize.{key} needs {channels} values for color {self.color}")
        return self


class CenterDecode(_Strict):
    """Boxes from a centre heat map (CenterNet: Zhou et al. 2019, arXiv:1904.07850).

    Cell (row, col) with a score at or above ``threshold`` that is the largest of its 3×3
    neighbourhood is a box with centre ``((col + offset_x), (row + offset_y)) * stride`` and size
    ``exp(size) * stride``, all in pixels of the model's input; greedy NMS at ``nms_iou`` keeps at
    most ``max_detections`` of them. With ``nms_nested``, a box of which at least that share lies
    inside a better box that was kept goes too: one face found at two sizes overlaps too little for
    ``nms_iou``.
    """

    kind: Literal["center"]
    stride: Annotated[int, Field(ge=1, le=64)]
    threshold: Fraction
    nms_iou: Fraction
    nms_nested: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    max_detections: Annotated[int, Field(ge=1, le=1000)]


class ClassificationDecode(_Strict):
    """One score per label, or for two labels the score of the second alone.

    ``crop_margin`` is what a detected box is grown by on every side, as a fraction of its width
    and height, before the crop is classified.
    """

    kind: Literal["classification"]
    crop_margin: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0


class SegmentationDecode(_Strict):
    """One map of scores per label, each in [0, 1].

    A cell of a map, ``stride`` pixels of the model's input wide and high, belongs to the label from
    ``threshold`` on; a label that covers fewer than ``min_area`` cells is not reported.

    ``tiles`` pictures lay side by side in each input that the network learned from; evaluation
    lays square pictures so, and holds each against its own truth.
    """

    kind: Literal["segmentation"]
    threshold: Fraction
    min_area: Annotated[int, Field(ge=0)]
    stride: Annotated[int, Field(ge=1, le=64)] = 1
    tiles: Annotated[int, Field(ge=1, le=64)] = 1


Decode = Annotated[
    CenterDecode | ClassificationDecode | SegmentationDecode, Field(discriminator="kind")
]

ROLES: Mapping[str, tuple[frozenset[Role], ...]] = {
    "center": (frozenset({"center_scores", "center_offsets", "center_sizes"}),),
    "classification": (frozenset({"class_scores"}), frozenset({"binary_score"})),
    "segmentation": (frozenset({"class_masks"}),),
}
"""Kind of decoding → the sets of roles, of which the outputs must have one."""

TASKS: Mapping[str, TaskName] = {
    "center": "detection",
    "classification": "classification",
    "segmentation": "segmentation",
}
"""Kind of decoding → the task it serves."""


class TensorSpec(_Strict):
    """A tensor as the model file has it; ``scale`` and ``zero_point`` of integer tensors only."""

    dtype: Dtype
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    scale: Annotated[float, Field(gt=0.0)] | None = None
    zero_point: int | None = None

    @model_validator(mode="after")
    def _quantization_agrees(self) -> Self:
        if (self.scale is None) != (self.zero_point is None):
            raise ValueError("scale and zero_point go together")
        if (self.dtype == "float32") != (self.scale is None):
            raise ValueError(f"dtype {self.dtype} and scale {self.scale} contradict each other")
        return self


class Gate(_Strict):
    """What the converter measured before it let a variant in, on ``n`` items."""

    metric: str
    float_: Annotated[float, Field(alias="float")]
    value: float
    n: Annotated[int, Field(ge=1)]


class Variant(_Strict):
    """One model file of the bundle, with the tensors it was found to have."""

    file: Annotated[str, Field(pattern=r"^model\.[a-z0-9]+\.tflite$")]
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1)]
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    golden_tolerance: Annotated[float, Field(ge=0.0)]
    gate: Gate


class Provenance(_Strict):
    """Where the bundle came from; ``created`` is UTC, ISO 8601."""

    keras_sha256: Sha256
    recipe_sha256: Sha256
    data_sha256: Sha256
    versions: dict[str, str]
    created: str


class Manifest(_Strict):
    """All that the device needs to run a model and to refuse a wrong one."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    name: Name
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,3}$")]
    task: TaskName
    labels: Annotated[tuple[Name, ...], Field(min_length=1)]
    input: InputSpec
    outputs: dict[str, Role]
    decode: Decode
    variants: Annotated[dict[VariantName, Variant], Field(min_length=1)]
    provenance: Provenance

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: the same label stands there twice")
        if TASKS[self.decode.kind] != self.task:
            raise ValueError(f"decode.kind {self.decode.kind} does not fit task {self.task}")
        roles, choices = sorted(self.outputs.values()), ROLES[self.decode.kind]
        if not any(roles == sorted(choice) for choice in choices):
            wanted = " or ".join(str(sorted(choice)) for choice in choices)
            raise ValueError(
                f"outputs: decode.kind {self.decode.kind} needs the roles {wanted}, found {roles}"
            )
        if "binary_score" in roles and len(self.labels) != 2:
            raise ValueError("labels: a binary_score is that of the second of exactly two labels")
        for name, variant in self.variants.items():
            if set(variant.outputs) != set(self.outputs):
                raise ValueError(f"variants.{name}.outputs: not the names that outputs lists")
            if set(variant.inputs) != {self.input.name}:
                raise ValueError(f"variants.{name}.inputs: must hold exactly {self.input.name!r}")
            if variant.inputs[self.input.name].shape != self.input.shape:
                raise ValueError(f"variants.{name}.inputs: shape is not input.shape")
            if variant.file != f"model.{name}.tflite":
                raise ValueError(f"variants.{name}.file: must be model.{name}.tflite")
            for output, role in self.outputs.items():
                shape, expected = variant.outputs[output].shape, self._shape_of(role)
                if shape != expected:
                    raise ValueError(
                        f"variants.{name}.outputs.{output}: shape {shape}, expected {expected} "
                        f"for role {role} and {len(self.labels)} labels"
                    )
        return self

    def _shape_of(self, role: str) -> tuple[int, ...]:
        """What the labels, the input and the stride make of an output's shape."""
        if isinstance(self.decode, ClassificationDecode):
            return (1, 1 if role == "binary_score" else len(self.labels))
        rows, columns = (side // self.decode.stride for side in self.input.shape[1:3])
        per_label = role in ("center_scores", "class_masks")
        return (1, rows, columns, len(self.labels) if per_label else 2)

    def to_json(self) -> str:
        """The file's text: keys in the order of the schema, two spaces, one newline at the end."""
        data = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def load_manifest(path: Path) -> Manifest:
    """Read and check ``manifest.json``.

    Raises
    ------
    BundleNotFound
        There is no such file.
    ManifestError
        It is not JSON or breaks the schema; the message names the first wrong keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleNotFound(
            f"{path}: no manifest.json",
            hint="name a folder that `linesight-convert convert` wrote",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {_plain(item['msg'])}"
            for item in error.errors()[:5]
        )
        # A key may hold anything, also line ends and what steers a terminal.
        line = "".join(letter if letter.isprintable() else "?" for letter in wrong)
        raise ManifestError(f"{path}: {line}", hint="convert the model again") from error


def json_schema() -> str:
    """The JSON Schema of ``manifest.json``, as shipped in ``manifest.schema.json``."""
    schema = Manifest.model_json_schema(by_alias=True)
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _plain(message: str) -> str:
    return re.sub(r"^Value error, ", "", message)
