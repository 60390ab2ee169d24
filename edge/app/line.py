"""A factory line as its table says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from edge.config import Config, LineTable, frame_size, line_camera
from edge.errors import ConfigError, LineUnavailable
from edge.line.archive import Archive
from edge.line.encoders import CounterEncoder
from edge.line.geometry import Geometry
from edge.line.grading import GradeRule, Lanes
from edge.line.line import StripLine
from edge.line.locator import Locator
from edge.line.position import EncoderPositioner, Positioner
from edge.line.settings import LineSettings
from edge.line.speed import SpeedPositioner
from edge.line.tracker import StripTracker
from edge.line.uri import (
    CounterUri,
    LineUri,
    MqttUri,
    open_encoder,
    open_input,
    open_output,
    parse_line_uri,
)
from edge.pipeline import LineParts
from edge.protocols import Encoder

LOTS = "lots"
"""Folder in ``state_dir`` that keeps the files of lots that are over."""


@dataclass(frozen=True, slots=True)
class OpenedLine:
    """What a line is put together from, and the tracker that its camera has to have."""

    camera: str
    parts: LineParts
    tracker: StripTracker


def open_line(config: Config, boot: str, encoder: Encoder | None = None) -> OpenedLine:
    """The line of a station that has one.

    Parameters
    ----------
    config
        The station's.
    boot
        The kernel's id of this boot.
    encoder
        In place of the one that ``[line.encoder]`` names.

    Raises
    ------
    ConfigError
        The gate is too near.
    """
    table = config.line
    assert table is not None
    settings = line_settings(config, table)
    # More than a picture and a gap, so that nothing is joined across it.
    leap_mm = settings.frame_mm + settings.gap_mm + 1.0
    positioner = _positioner(table, leap_mm)
    locator = Locator(settings, positioner)
    tracker = StripTracker(settings, locator)
    uri = None if table.encoder is None else parse_line_uri(table.encoder.source)
    line = StripLine(
        settings, positioner, locator, tracker, boot=_boot(uri, boot), now=datetime.now(UTC)
    )
    if encoder is None and uri is not None:
        encoder = open_encoder(uri)
    parts = LineParts(
        line,
        Archive(config.station.state_dir / LOTS).keep,
        encoder,
        None if table.gate is None else partial(open_output, parse_line_uri(table.gate)),
        None if table.lots is None else partial(open_input, parse_line_uri(table.lots)),
    )
    return OpenedLine(settings.camera, parts, tracker)


def line_settings(config: Config, table: LineTable) -> LineSettings:
    """What a line is like, by its table.

    Raises
    ------
    ConfigError
        The gate is too near.
    """
    camera = line_camera(table, config.camera)
    size = frame_size(table, camera)
    assert size is not None
    width_mm = table.width_mm or size[1] * table.mm_per_px_y
    frame_mm = size[0] * table.mm_per_px_x
    try:
        return LineSettings(
            camera=camera.id,
            geometry=Geometry(table.mm_per_px_x, table.mm_per_px_y, table.runs),
            size_px=size,
            lanes=Lanes(width_mm, table.lanes),
            gap_mm=table.gap_mm,
            section_mm=table.section_mm,
            gate_mm=table.gate_mm or 2 * (table.section_mm + frame_mm),
            rules=tuple(
                GradeRule(one.verdict, one.labels, one.size_mm, one.per_metre, one.lanes)
                for one in table.grading
            ),
            rolls={roll.name: roll.diameter_mm for roll in table.roll},
        )
    except ValueError as error:
        raise ConfigError(f"line.{error}") from error


def check_labels(table: LineTable, labels: Sequence[str], model: str) -> None:
    """Refuse a grading table that speaks of labels which the model does not have.

    Raises
    ------
    ConfigError
        A rule that never counts anything would accept what it was meant to reject.
    """
    for number, rule in enumerate(table.grading):
        if unknown := [label for label in rule.labels if label not in labels]:
            raise ConfigError(
                f"line.grading[{number}].labels: {unknown[0]!r} is no label of {model}",
                hint=f"it has {', '.join(labels)}",
            )


def _positioner(table: LineTable, leap_mm: float) -> Positioner:
    if table.encoder is not None:
        return EncoderPositioner(
            table.encoder.mm_per_count,
            bits=table.encoder.bits or _bits(parse_line_uri(table.encoder.source)),
            max_gap_ns=table.encoder.max_gap_ms * 1_000_000,
            max_mm_per_s=table.encoder.max_mm_per_s,
            leap_mm=leap_mm,
        )
    speed = table.speed
    assert speed is not None
    return SpeedPositioner(
        speed.mm_per_s,
        relative_error=speed.relative_error,
        max_gap_ns=speed.max_gap_ms * 1_000_000 if speed.published else None,
        leap_mm=leap_mm,
    )


def _bits(uri: LineUri) -> int | None:
    """Width of the kernel's counter, where it says so and is there already."""
    if not isinstance(uri, CounterUri):
        return None
    encoder = CounterEncoder(uri.path)
    try:
        encoder.open()
        values = (encoder.ceiling or 0) + 1
    except LineUnavailable:
        return None  # it may come later; then a wrap is a loss
    finally:
        encoder.close()
    return values.bit_length() - 1 if values > 2 and values & (values - 1) == 0 else None


def _boot(uri: LineUri | None, boot: str) -> str | None:
    """What the count of an encoder holds in, see :class:`edge.line.line.StripLine`."""
    if isinstance(uri, CounterUri):
        return boot
    return "" if isinstance(uri, MqttUri) else None
