"""``[line]``: the factory line under a camera."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from edge.config.table import Identifier, Table
from edge.line.uri import GpioUri, parse_line_uri

Pixels = Annotated[int, Field(ge=16, le=8192)]
Millimetres = Annotated[float, Field(gt=0.0, le=1e6)]


class EncoderSettings(Table):
    """``[line.encoder]``: where the strip is, by counts.

    ``source`` is ``counter:///sys/bus/counter/devices/counter0/count0`` (the kernel's counter),
    ``gpio:///dev/gpiochip0?line=17`` (rising edges of a digital line), ``mqtt`` (samples on the
    topic ``line/position``) or ``local`` (a program that holds the pipeline).
    """

    source: Annotated[str, Field(min_length=1, max_length=4096)]
    mm_per_count: Millimetres
    bits: Annotated[int, Field(ge=2, le=64)] | None = None
    max_gap_ms: Annotated[int, Field(ge=1, le=60_000)] = 500
    max_mm_per_s: Annotated[float, Field(gt=0.0, le=1e6)] = 50_000.0

    @field_validator("source")
    @classmethod
    def _is_an_encoder(cls, value: str) -> str:
        parse_line_uri(value)
        return value

    @field_validator("bits")
    @classmethod
    def _wraps(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and str(info.data.get("source")).startswith("gpio:"):
            raise ValueError("edges are counted here and do not wrap; leave it out")
        return value


class SpeedSettings(Table):
    """``[line.speed]``: where the strip is, by its speed; ``published`` takes it from the topic
    ``line/speed``, and ``mm_per_s`` until the first one comes. A published speed holds for
    ``max_gap_ms``.
    """

    mm_per_s: Annotated[float, Field(ge=0.0, le=1e6)]
    published: Annotated[bool, Field(validate_default=True)] = False
    max_gap_ms: Annotated[int, Field(ge=1, le=600_000)] = 10_000
    relative_error: Annotated[float, Field(ge=0.0, le=0.5)] = 0.01

    @field_validator("published")
    @classmethod
    def _runs(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("mm_per_s") == 0.0:
            raise ValueError("a strip that always stands still; set line.speed.mm_per_s above 0")
        return value


class GradeSettings(Table):
    """``[[line.grading]]``: more than ``per_metre`` defects of ``labels`` (all), at least
    ``size_mm`` long, in ``lanes`` (all), in a metre make it worth ``verdict``.
    """

    verdict: Literal["downgrade", "reject"]
    labels: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = ()
    size_mm: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    per_metre: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    lanes: tuple[Annotated[int, Field(ge=1, le=64)], ...] = ()


class RollSettings(Table):
    """``[[line.roll]]``: a roll that touches the strip; its circumference tells it by a defect that
    comes again and again.
    """

    name: Annotated[str, Field(min_length=1, max_length=64)]
    diameter_mm: Millimetres


class LineTable(Table):
    """``[line]``: the strip under a camera.

    ``frame_px`` is the width and height of its frames where ``[[camera]]`` does not say it: of a
    file. ``runs`` is where it runs to in the picture; without ``width_mm`` the strip is as wide as
    the picture is high. The gate, where the strip is acted on, lies ``gate_mm`` behind the edge at
    which it enters the picture; a section of ``section_mm`` that arrives there without a verdict is
    rejected. ``gate`` is the output that is on while the strip may pass, ``lots`` the input that is
    on while a lot runs: ``gpio:///dev/gpiochip0?line=5``.
    """

    camera: Identifier | None = None
    frame_px: tuple[Pixels, Pixels] | None = None
    mm_per_px_x: Millimetres
    mm_per_px_y: Millimetres
    runs: Literal["right", "left"] = "right"
    width_mm: Millimetres | None = None
    lanes: Annotated[int, Field(ge=1, le=64)] = 1
    gap_mm: Annotated[float, Field(ge=0.0, le=1e5)] = 5.0
    section_mm: Millimetres = 1000.0
    gate_mm: Millimetres | None = None
    gate: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    lots: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    roll: tuple[RollSettings, ...] = ()
    grading: tuple[GradeSettings, ...] = ()
    speed: SpeedSettings | None = None
    encoder: Annotated[EncoderSettings | None, Field(validate_default=True)] = None

    @field_validator("roll")
    @classmethod
    def _rolls_differ(cls, rolls: tuple[RollSettings, ...]) -> tuple[RollSettings, ...]:
        names = [roll.name for roll in rolls]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two rolls are called {twice[0]!r}")
        return rolls

    @field_validator("gate", "lots")
    @classmethod
    def _is_a_digital_line(cls, value: str | None) -> str | None:
        if value is not None and not isinstance(parse_line_uri(value), GpioUri):
            raise ValueError(f"{value!r} is no digital line; gpio:///dev/gpiochip0?line=5 is one")
        return value

    @field_validator("encoder")
    @classmethod
    def _one_of_two(
        cls, value: EncoderSettings | None, info: ValidationInfo
    ) -> EncoderSettings | None:
        if "speed" in info.data and (value is None) == (info.data["speed"] is None):
            raise ValueError("a strip's position comes from line.encoder or from line.speed")
        return value
