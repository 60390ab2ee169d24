"""What the `[training]` table of a recipe may say; one model per kind of network."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Network = Literal[
    "small",
    "unet",
    "unet_resnet34",
    "unet_efficientnet_b0",
    "unet_efficientnet_b3",
    "unet_efficientnet_b5",
]
"""Names of :mod:`converter.training.segmenters`."""

SPLIT = ("seed", "picture_fraction", "crop_fraction", "fold")
"""What decides which pictures are held back: whoever judges a training, or goes on with it, must
have the same.
"""


class _Training(BaseModel):
    """What both trainings have in common.

    The budget is wall-clock minutes, not epochs: the learning rate reaches zero when the time
    is over, however slow the machine is, so a training on a small board ends as well-annealed
    as one on a server, only with fewer pictures seen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: float = Field(gt=0, le=10_000)
    batch: int = Field(ge=1, le=1024)
    learning_rate: float = Field(gt=0, le=1)
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the budget in which the learning rate rises linearly."""
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    average: float = Field(default=0.998, ge=0, lt=1)
    """Decay a step of the exponential moving average of the weights; the averaged weights are
    what is judged and kept.
    """
    seed: int = Field(default=7, ge=0)
    threads: int = Field(default=2, ge=1, le=256)
    picture_fraction: float = Field(default=0.15, gt=0, lt=0.9)
    """Share of the group photos held back for validation."""
    fold: int = Field(default=0, ge=0)
    """Which ``picture_fraction`` of the group photos is held back."""
    crop_fraction: float = Field(default=0.2, gt=0, lt=0.9)
    """Share of the tidy face crops held back for validation."""
    epoch_steps: int = Field(default=300, ge=1)
    """Steps between two validations; an epoch is counted in steps because samples are drawn,
    not listed.
    """

    patience: int | None = Field(default=None, ge=1)
    """Epochs without a lower loss on the held-back side after which training ends early; only a
    segmenter's training measures that loss.
    """

    labeller: str | None = None
    """File of a trained detector, from the data folder: it boxes the faces of the tidy crops and
    marks what may be an unlabelled face of a group photo, which then counts neither for nor
    against the network.
    """

    @model_validator(mode="after")
    def _holds_back(self) -> Self:
        if (self.fold + 1) * self.picture_fraction > 1 + 1e-9:
            last = int((1 + 1e-9) / self.picture_fraction) - 1
            raise ValueError(
                f"fold: {self.fold} holds no pictures back: with picture_fraction "
                f"{self.picture_fraction:g} the last whole share is {last}"
            )
        return self


class DetectorTraining(_Training):
    """Training of the one-class face detector."""

    kind: Literal["face_detector"] = "face_detector"
    minutes: float = Field(default=58, gt=0, le=10_000)
    batch: int = Field(default=8, ge=1, le=1024)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    height: int = Field(default=384, ge=64, multiple_of=32)
    width: int = Field(default=512, ge=64, multiple_of=32)
    small_crop: int = Field(default=256, ge=64, multiple_of=32)
    """Side of most training crops, in pixels of the model's input."""
    large_crop: int = Field(default=384, ge=64, multiple_of=32)
    """Side of the other training crops, which hold the large faces; they come in batches of
    half the size.
    """
    large_share: float = Field(default=0.35, ge=0, le=1)
    """Share of the steps that see large crops."""
    largest_face: float = Field(default=350, gt=0)
    """Longest face side, in pixels of the input, to which crops are zoomed."""
    smallest_face: float = Field(default=6, ge=0)
    """Faces with a shorter side than this, in pixels of the input, count neither for nor
    against the network.
    """
    target_precision: float = Field(default=0.93, gt=0, lt=1)
    """Precision on validation at which the shipped score threshold is read off."""
    start_from_labeller: bool = False
    """The labeller's convolutions are where the trunk begins."""
    portrait_share: float = Field(default=0.15, ge=0, le=1)
    """Share of the training crops into which a tidy crop is pasted."""

    @model_validator(mode="after")
    def _has_labeller(self) -> DetectorTraining:
        if self.start_from_labeller and self.labeller is None:
            raise ValueError("start_from_labeller: needs labeller, the file to start from")
        return self


class ClassifierTraining(_Training):
    """Training of the mask classifier."""

    kind: Literal["mask_classifier"] = "mask_classifier"
    minutes: float = Field(default=12, gt=0, le=10_000)
    batch: int = Field(default=64, ge=1, le=1024)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    average: float = Field(default=0.995, ge=0, lt=1)
    epoch_steps: int = Field(default=150, ge=1)
    size: int = Field(default=64, ge=32, multiple_of=16)
    margin: float = Field(default=0.2, ge=0, le=1)
    """Share of the box's width and height added on each side before it is cut out."""
    jitter: float = Field(default=0.12, ge=0, le=1)
    """Standard deviation of the box's shift and of the logarithm of its size while training, as
    a share of its side.
    """
    box_share: float = Field(default=0.5, ge=0, le=1)
    """Share of the draws that come from boxes of group photos; the rest are tidy crops."""
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    stranger_share: float = Field(default=0.06, ge=0, le=1)
    """Share of the draws that show no face."""


class SegmenterTraining(_Training):
    """Training of a network that marks the defects of a surface."""

    kind: Literal["segmenter"] = "segmenter"
    minutes: float = Field(default=40, gt=0, le=10_000)
    batch: int = Field(default=4, ge=1, le=256)
    """Strips a step; each is one input of the network."""
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    average: float = Field(default=0.998, ge=0, lt=1)
    picture_fraction: float = Field(default=0.2, gt=0, lt=0.9)
    epoch_steps: int = Field(default=300, ge=1)
    network: Network = "small"
    labels: tuple[str, ...] = Field(min_length=1)
    """Class ``k`` of the data is ``labels[k - 1]``."""
    height: int = Field(default=128, ge=32, multiple_of=32)
    width: int = Field(default=800, ge=32, multiple_of=32)
    tiles: int = Field(default=1, ge=1, le=64)
    """Pictures that lie side by side in one strip, each stretched to its share of the width."""
    sources: tuple[str, ...] = Field(min_length=1)
    """Folders with labelled pictures, from the data folder."""
    clean: tuple[str, ...] = ()
    """Folders with pictures of surfaces without a defect."""
    quadrants: bool = False
    """Whether quarters of labelled pictures that hold no defect are clean surfaces too."""
    clean_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of the places in strips that show a clean surface: of ``clean``, a quadrant, a picture
    of the sources without a defect, or a drawn one.
    """
    loss: Literal["bce", "bce_dice"] = "bce_dice"
    min_area: int = Field(default=200, ge=0)
    """As ``decode.min_area``: pixels of the input from which on a label counts as found."""
    patience: int | None = Field(default=15, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> SegmenterTraining:
        if self.width % self.tiles:
            raise ValueError(f"tiles: {self.width} pixels are not so many equal tiles")
        return self


Training = Annotated[
    DetectorTraining | ClassifierTraining | SegmenterTraining, Field(discriminator="kind")
]
"""The `[training]` table, told apart by `kind`."""
