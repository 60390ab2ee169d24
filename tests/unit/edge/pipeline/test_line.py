"""The line in the service: its lock, its thread, commands, reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from edge.errors import LineUnavailable
from edge.health import LineHealth
from edge.inbox import CommandRefused
from edge.pipeline.line import Entry, LineDesk, LineParts
from edge.pipeline.line_thread import LineThread
from edge.protocols import LineInput, LineOutput
from edge.records import (
    Alert,
    Command,
    EncoderSample,
    LotEntry,
    LotForgotten,
    LotReport,
    Message,
    SpeedSample,
)
from edge.stage import Stage
from tests.fakes import wait_until
from tests.helpers.stages import STATION, running
from tests.helpers.strip import MS, Strip, seen_at


class FakeEncoder:
    """Counts on by one each time it is read; breaks when told to."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.broken = False
        self._at = 0

    def open(self) -> None:
        if self.broken:
            raise LineUnavailable("counter0: no such counter")
        self.opened += 1

    def read(self) -> EncoderSample:
        if self.broken:
            raise LineUnavailable("counter0: gone")
        self._at += 1
        return EncoderSample(self._at, self._at * MS)

    def close(self) -> None:
        self.closed += 1


class FakePort:
    """An output that remembers, and an input that says what it is told to."""

    def __init__(self) -> None:
        self.on = False
        self.said: list[bool] = []
        self.closed = self.reads = 0
        self.broken = False

    def set(self, on: bool) -> None:
        if self.broken:
            raise LineUnavailable("gpiochip0 line 5: gone")
        self.said.append(on)

    def get(self) -> bool:
        self.reads += 1
        return self.on

    def close(self) -> None:
        self.closed += 1


class Rig:
    """A desk over a line of small numbers; what it stores and publishes is collected."""

    def __init__(
        self,
        *,
        archive: Callable[[LotReport], object] = lambda report: None,
        encoder: FakeEncoder | None = None,
        gate: FakePort | None = None,
        lots: FakePort | None = None,
    ) -> None:
        self.strip = Strip()
        self.stored: list[tuple[object, ...]] = []
        self.published: list[Message] = []
        self.health = LineHealth()
        self.parts = LineParts(
            self.strip.line,
            archive,
            encoder,
            None if gate is None else lambda: gate,
            None if lots is None else lambda: lots,
        )
        self.desk = LineDesk(
            self.parts,
            station=lambda: STATION,
            new_id=lambda: "0123456789abcdef-7",
            store=lambda *items: self.stored.append(items),
            publish=self.published.append,
            health=self.health,
        )

    def frame(self, position_mm: float, *defects: tuple[float, float]) -> None:
        """A frame passes tracker, rule and desk."""
        strip = self.strip
        strip.count(position_mm)
        observation = seen_at(position_mm, round(position_mm), strip.sequence)
        strip.sequence += 1
        strip.tracker.update(observation)
        self.desk.judged(observation, (), self._send)

    def _send(self, alerts: Sequence[Alert], entries: Sequence[Entry]) -> None:
        if entries:
            self.stored.append(tuple(entries))

    def bodies(self, tail: str) -> list[dict[str, Any]]:
        """What was published on topics that end so."""
        return [json.loads(one.payload) for one in self.published if one.topic.endswith(tail)]

    def reports(self) -> list[dict[str, Any]]:
        """Reports that were stored."""
        return [
            json.loads(item.payload)
            for items in self.stored
            for item in items
            if isinstance(item, Message)
        ]


def command(verb: str, **arguments: object) -> Command:
    """A command that came in at the beginning of time."""
    return Command(verb, "t-1", None, arguments, None, None, 0)


def test_a_lot_is_started_and_ended_by_command() -> None:
    """Its report is stored in one commit with the end of its diary, after its files."""
    kept: list[LotReport] = []
    rig = Rig(archive=kept.append)
    assert rig.desk.carry_out(command("lot_start", lot="C-1")) == {"lot": "C-1"}
    for position in range(40, 201, 40):
        rig.frame(float(position))
    end = Command("lot_end", "t-2", None, {}, None, None, 200 * MS)
    assert rig.desk.carry_out(end) == {"lot": "C-1"}
    rig.frame(240.0)
    rig.desk.report()
    assert [one.name for one in kept] == ["C-1"]
    message, forgotten = rig.stored[-1]
    assert isinstance(message, Message)
    assert forgotten == LotForgotten("0123456789abcdef-7")
    assert json.loads(message.payload)["length_mm"] == 200.0
    assert [one["open"] for one in rig.bodies("/lot")] == [True, False]
    diary = [one for items in rig.stored[:-1] for one in items]
    assert all(isinstance(one, LotEntry) for one in diary)
    assert len(diary) >= 4


@pytest.mark.parametrize("lot", [None, "", 5, "x" * 65, "a\nb"])
def test_a_lot_needs_a_name(lot: object) -> None:
    """What is none is refused, and no lot is open."""
    rig = Rig()
    with pytest.raises(CommandRefused, match="needs lot") as refused:
        rig.desk.carry_out(command("lot_start", lot=lot))
    assert refused.value.code == "bad_argument"
    assert rig.strip.line.lot is None


def test_a_lot_end_without_a_start_is_refused_and_counted() -> None:
    """The sender hears of it, and so does the health."""
    rig = Rig()
    with pytest.raises(CommandRefused) as refused:
        rig.desk.carry_out(command("lot_end"))
    assert refused.value.code == "no_lot"
    rig.desk.count()
    (reason,) = rig.health.reasons()
    assert (reason.code, reason.detail) == (
        "encoder_fault",
        "a lot was ended and none was open (1)",
    )


def test_files_that_cannot_be_written_do_not_hold_the_report_up() -> None:
    """It is logged; the message goes out all the same."""

    def full(report: LotReport) -> None:
        raise OSError(28, "No space left on device")

    rig = Rig(archive=full)
    rig.desk.start_lot("C-1", 0)
    rig.frame(40.0)
    rig.desk.end_lot(40 * MS)
    rig.frame(80.0)
    rig.desk.report()
    assert [one["lot"] for one in rig.reports()] == ["C-1"]


def test_a_diary_that_cannot_be_read_does_not_keep_the_station_from_starting() -> None:
    """The lot is lost, which is logged; a new one can be started."""
    rig = Rig()
    rig.desk.restore([LotEntry("0123456789abcdef-3", "junk")])
    rig.desk.start_lot("C-1", 0)
    assert rig.strip.line.lot == "C-1"


def test_a_sample_of_another_kind_is_counted() -> None:
    """A speed for a line with an encoder: named by the health, and nothing else happens."""
    rig = Rig()
    rig.desk.tell(SpeedSample(5.0, 1))
    rig.desk.count()
    assert rig.health.status() is not None
    assert [one.detail for one in rig.health.reasons()] == ["samples that are none (1)"]


def test_faults_are_reasons_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened once is told for a minute; the counts stay."""
    rig = Rig()
    rig.strip.line.tell(EncoderSample(100, 50 * MS))
    rig.strip.line.tell(EncoderSample(5, 60 * MS))
    rig.desk.count()
    assert [one.code for one in rig.health.reasons()] == ["encoder_fault"]
    monkeypatch.setattr("edge.health.line.FRESH_S", 0.0)
    assert rig.health.reasons() == []
    status = rig.health.status()
    assert status is not None
    assert status.counts["jumped_back"] == 1


def stage_of(rig: Rig) -> Stage:
    """The line's thread."""
    return Stage("line", LineThread(rig.desk, rig.parts, rig.health).run)


def test_the_thread_reads_the_encoder() -> None:
    """What it counts is the strip's position; it is closed at the end."""
    encoder = FakeEncoder()
    rig = Rig(encoder=encoder)
    with running(stage_of(rig)):
        wait_until(lambda: (rig.strip.positioner.anchor or (0, 0.0))[0] > 3)
    assert (encoder.opened, encoder.closed) == (1, 1)


def test_an_encoder_that_goes_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile the health says so; when it answers, that is over."""
    monkeypatch.setattr("edge.pipeline.line_thread.RETRY_NS", MS)
    encoder = FakeEncoder()
    encoder.broken = True
    rig = Rig(encoder=encoder)
    with running(stage_of(rig)):
        wait_until(lambda: bool(rig.health.reasons()))
        assert rig.health.reasons()[0].detail == "counter0: no such counter"
        encoder.broken = False
        wait_until(lambda: not rig.health.reasons())
        encoder.broken = True
        wait_until(lambda: bool(rig.health.reasons()))
        encoder.broken = False
        wait_until(lambda: encoder.opened >= 2)


def test_the_gate_is_off_until_good_strip_is_there() -> None:
    """Nobody has judged anything: off. It is released at the end, which turns it off."""
    gate = FakePort()
    rig = Rig(gate=gate)
    with running(stage_of(rig)):
        wait_until(lambda: len(gate.said) > 3)
    assert not any(gate.said)
    assert gate.closed == 1


def test_a_gate_that_goes_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The health says so meanwhile."""
    monkeypatch.setattr("edge.pipeline.line_thread.RETRY_NS", MS)
    gate = FakePort()
    gate.broken = True
    rig = Rig(gate=gate)
    with running(stage_of(rig)):
        wait_until(lambda: bool(rig.health.reasons()))
        gate.broken = False
        wait_until(lambda: bool(gate.said) and not rig.health.reasons())
    assert gate.closed >= 2


def test_an_input_starts_and_ends_lots() -> None:
    """On is a lot; what it says at first changes nothing. An end without a start is counted."""
    lots = FakePort()
    rig = Rig(lots=lots)
    lots.on = True
    with running(stage_of(rig)):
        wait_until(lambda: lots.reads > 3)
        assert rig.strip.line.lot is None
        lots.on = False
        wait_until(lambda: rig.desk._without_start == 1)
        lots.on = True
        wait_until(lambda: rig.strip.line.lot is not None)
        lots.on = False
        wait_until(lambda: rig.strip.line.lot is None)
    assert [one["open"] for one in rig.bodies("/lot")][:1] == [True]


def test_the_fakes_keep_the_contract() -> None:
    """They are what the protocols ask for."""
    ports: Sequence[object] = [FakePort()]
    assert all(isinstance(port, LineOutput) and isinstance(port, LineInput) for port in ports)
