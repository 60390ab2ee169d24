"""The line in the service: its lock, its thread, commands, reports."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from edge.inbox import CommandRefused
from edge.pipeline.line_thread import LineThread
from edge.protocols import LineInput, LineOutput
from edge.records import (
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
from tests.helpers.line import FakeEncoder, FakePort, LineRig
from tests.helpers.stages import running
from tests.helpers.strip import MS


def command(verb: str, **arguments: object) -> Command:
    """A command that came in at the beginning of time."""
    return Command(verb, "t-1", None, arguments, None, None, 0)


def test_a_lot_is_started_and_ended_by_command() -> None:
    """Its report is stored in one commit with the end of its diary, after its files."""
    kept: list[LotReport] = []
    rig = LineRig(archive=kept.append)
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
    rig = LineRig()
    with pytest.raises(CommandRefused, match="needs lot") as refused:
        rig.desk.carry_out(command("lot_start", lot=lot))
    assert refused.value.code == "bad_argument"
    assert rig.strip.line.lot is None


def test_a_lot_end_without_a_start_is_refused_and_counted() -> None:
    """The sender hears of it, and so does the health."""
    rig = LineRig()
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

    rig = LineRig(archive=full)
    rig.desk.start_lot("C-1", 0)
    rig.frame(40.0)
    rig.desk.end_lot(40 * MS)
    rig.frame(80.0)
    rig.desk.report()
    assert [one["lot"] for one in rig.reports()] == ["C-1"]


def test_a_diary_that_cannot_be_read_does_not_keep_the_station_from_starting() -> None:
    """The lot is lost, which is logged; a new one can be started."""
    rig = LineRig()
    rig.desk.restore([LotEntry("0123456789abcdef-3", "junk")])
    rig.desk.start_lot("C-1", 0)
    assert rig.strip.line.lot == "C-1"


def test_a_sample_of_another_kind_is_counted() -> None:
    """A speed for a line with an encoder: named by the health, and nothing else happens."""
    rig = LineRig()
    rig.desk.tell(SpeedSample(5.0, 1))
    rig.desk.count()
    assert rig.health.status() is not None
    assert [one.detail for one in rig.health.reasons()] == ["samples that are none (1)"]


def test_faults_are_reasons_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened once is told for a minute; the counts stay."""
    rig = LineRig()
    rig.strip.line.tell(EncoderSample(100, 50 * MS))
    rig.strip.line.tell(EncoderSample(5, 60 * MS))
    rig.desk.count()
    assert [one.code for one in rig.health.reasons()] == ["encoder_fault"]
    monkeypatch.setattr("edge.health.line.FRESH_S", 0.0)
    assert rig.health.reasons() == []
    status = rig.health.status()
    assert status is not None
    assert status.counts["jumped_back"] == 1


def stage_of(rig: LineRig) -> Stage:
    """The line's thread."""
    return Stage("line", LineThread(rig.desk, rig.parts, rig.health).run)


def test_the_thread_reads_the_encoder() -> None:
    """What it counts is the strip's position; it is closed at the end."""
    encoder = FakeEncoder()
    rig = LineRig(encoder=encoder)
    with running(stage_of(rig)):
        wait_until(lambda: (rig.strip.positioner.anchor or (0, 0.0))[0] > 3)
    assert (encoder.opened, encoder.closed) == (1, 1)


def test_an_encoder_that_goes_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile the health says so; when it answers, that is over."""
    monkeypatch.setattr("edge.pipeline.line_thread.RETRY_NS", MS)
    encoder = FakeEncoder()
    encoder.broken = True
    rig = LineRig(encoder=encoder)
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
    rig = LineRig(gate=gate)
    with running(stage_of(rig)):
        wait_until(lambda: len(gate.said) > 3)
    assert not any(gate.said)
    assert gate.closed == 1


def test_a_gate_that_goes_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The health says so meanwhile."""
    monkeypatch.setattr("edge.pipeline.line_thread.RETRY_NS", MS)
    gate = FakePort()
    gate.broken = True
    rig = LineRig(gate=gate)
    with running(stage_of(rig)):
        wait_until(lambda: bool(rig.health.reasons()))
        gate.broken = False
        wait_until(lambda: bool(gate.said) and not rig.health.reasons())
    assert gate.closed >= 2


def test_an_input_starts_and_ends_lots() -> None:
    """On is a lot; what it says at first changes nothing. An end without a start is counted."""
    lots = FakePort()
    rig = LineRig(lots=lots)
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
