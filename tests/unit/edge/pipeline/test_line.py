"""The line in the service: its lock, its thread, commands, reports."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from edge.health import CameraHealth
from edge.inbox import CommandRefused
from edge.pipeline.judge import Judge, Outcome
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
from edge.rules import DefectRule
from edge.stage import Stage
from tests.fakes import make_frame, wait_until
from tests.helpers.line import FakeEncoder, FakePort, LineRig
from tests.helpers.stages import STATION, running
from tests.helpers.strip import MS, region, seen_at


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
    """The sender hears of it, and the health counts it; the line itself is well."""
    rig = LineRig()
    with pytest.raises(CommandRefused) as refused:
        rig.desk.carry_out(command("lot_end"))
    assert refused.value.code == "no_lot"
    rig.desk.count()
    status = rig.health.status()
    assert status is not None
    assert status.counts["lot_end_without_start"] == 1
    assert rig.health.reasons() == []


def full(report: LotReport) -> None:
    """A disk that takes no files."""
    raise OSError(28, "No space left on device")


def over(rig: LineRig) -> None:
    """A lot of 40 mm, seen to its end."""
    rig.desk.start_lot("C-1", 0)
    rig.frame(40.0)
    rig.desk.end_lot(40 * MS)
    rig.frame(80.0)


def test_files_that_cannot_be_written_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile the report waits with its diary, and the health says why."""
    monkeypatch.setattr("edge.pipeline.line.ARCHIVE_RETRY_S", 0.0)
    kept: list[LotReport] = []
    archive: list[Callable[[LotReport], object]] = [full]
    rig = LineRig(archive=lambda report: archive[0](report))
    over(rig)
    rig.desk.report()
    assert rig.reports() == []
    assert "No space left" in rig.health.reasons()[0].detail
    archive[0] = kept.append
    rig.desk.report()
    assert [one["lot"] for one in rig.reports()] == ["C-1"]
    assert len(kept) == 1
    assert rig.health.reasons() == []


def test_a_disk_that_stays_full_does_not_hold_the_report_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After some minutes the message goes out without files; at a stop the next start tries."""
    rig = LineRig(archive=full)
    over(rig)
    rig.desk.report(last=True)
    assert rig.reports() == []
    monkeypatch.setattr("edge.pipeline.line.ARCHIVE_S", 0.0)
    rig = LineRig(archive=full)
    over(rig)
    rig.desk.report()
    assert [one["lot"] for one in rig.reports()] == ["C-1"]


def test_an_alert_and_its_entry_are_handed_over_together() -> None:
    """One commit holds both, so that a kill leaves both or none."""
    rig = LineRig()
    rig.desk.start_lot("C-1", 0)
    judge = Judge(
        "strip",
        rig.strip.tracker,
        DefectRule(lambda: "0123456789abcdef-9"),
        station=lambda: STATION,
        store=lambda *items: rig.stored.append(items),
        publish=rig.published.append,
        health=CameraHealth("strip"),
        line=rig.desk,
    )
    rig.strip.count(80.0)
    seen = seen_at(80.0, 80, 0, region(20.0))
    judge.deliver(0, Outcome(make_frame("strip"), seen))
    (together,) = [items for items in rig.stored if any(isinstance(i, Message) for i in items)]
    message, entry = together
    assert isinstance(message, Message)
    assert json.loads(message.payload)["position"]["lot"] == "C-1"
    assert isinstance(entry, LotEntry)
    assert "defects" in entry.body


def test_a_diary_that_cannot_be_read_does_not_keep_the_station_from_starting() -> None:
    """The lot is lost, which is logged; a new one can be started."""
    rig = LineRig()
    rig.desk.restore([LotEntry("0123456789abcdef-3", 0, "junk")])
    assert rig.stored[0] == (LotForgotten("0123456789abcdef-3"),)
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
    rig.strip.line.tell(EncoderSample(9000, 100 * MS))
    rig.strip.line.tell(EncoderSample(18_000, 200 * MS))
    rig.strip.line.tell(EncoderSample(5, 260 * MS))
    rig.desk.count()
    assert [one.code for one in rig.health.reasons()] == ["encoder_fault"]
    monkeypatch.setattr("edge.health.line.FRESH_S", 0.0)
    assert rig.health.reasons() == []
    status = rig.health.status()
    assert status is not None
    assert status.counts["jumped_back"] == 1


def stage_of(rig: LineRig) -> Stage:
    """The line's thread."""
    return Stage("line", LineThread(rig.desk, rig.parts, rig.health, rig.inbox).run)


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
    """On is a lot, off is none, from the start on; names differ."""
    lots = FakePort()
    rig = LineRig(lots=lots)
    lots.on = True
    names = set()
    with running(stage_of(rig)):
        for _ in range(2):
            wait_until(lambda: rig.strip.line.lot is not None)
            names.add(rig.strip.line.lot)
            lots.on = False
            wait_until(lambda: rig.strip.line.lot is None)
            lots.on = True
    assert len(names) == 2


def test_a_lot_of_before_goes_on_while_the_input_is_on() -> None:
    """Off at the start ends it: its coil has gone."""
    lots = FakePort()
    rig = LineRig(lots=lots)
    rig.desk.start_lot("C-1", 0)
    lots.on = True
    with running(stage_of(rig)):
        wait_until(lambda: lots.reads > 20)
        assert rig.strip.line.lot == "C-1"
        lots.on = False
        wait_until(lambda: rig.strip.line.lot is None)


def test_a_contact_that_bounces_is_one_lot() -> None:
    """Only a level that stays counts."""
    lots = FakePort()
    lots.bounce = True
    rig = LineRig(lots=lots)
    with running(stage_of(rig)):
        wait_until(lambda: lots.reads > 20)
        assert rig.strip.line.lot is None
        lots.bounce, lots.on = False, True
        wait_until(lambda: rig.strip.line.lot is not None)


def test_the_gate_opens_for_good_strip() -> None:
    """When a section that was accepted arrives there, and shuts when it has passed."""
    gate = FakePort()
    rig = LineRig(gate=gate)
    now_mm = time.monotonic_ns() / MS

    def count(position_mm: float, at_mm: float) -> None:
        rig.strip.line.tell(EncoderSample(round(position_mm / 0.5), round(at_mm * MS)))

    # The first 200 mm are good; the strip then stands with its head 450 mm behind the edge.
    for number in range(6):
        count(number * 40.0, now_mm - 100 + number)
        seen = seen_at(number * 40.0, 0, number)
        header = replace(seen.header, captured_ns=round((now_mm - 100 + number) * MS))
        rig.strip.tracker.update(replace(seen, header=header))
        rig.desk.judged(replace(seen, header=header), (), lambda alerts, entries: None)
    count(450.0, now_mm - 50)
    count(450.0, now_mm - 30)
    stop = False

    def go_on() -> None:
        at_mm = now_mm
        while not stop:
            at_mm = time.monotonic_ns() / MS
            count(450.0 if at_mm - now_mm < 700 else 700.0, at_mm)
            time.sleep(0.002)  # the encoder's own pace

    turning = threading.Thread(target=go_on)
    turning.start()
    try:
        with running(stage_of(rig)):
            wait_until(lambda: True in gate.said, timeout_s=5.0)
            wait_until(lambda: gate.said[-1] is False, timeout_s=5.0)
    finally:
        stop = True
        turning.join()


def test_samples_that_came_in_reach_the_line() -> None:
    """The thread tells them within its own pace, whatever the workers do."""
    rig = LineRig()
    with running(stage_of(rig)):
        for position in (0.0, 40.0, 80.0):
            rig.inbox.sample(EncoderSample(round(position / 0.5), round((position + 1000) * MS)))
        wait_until(lambda: rig.strip.positioner.anchor == (160, 80.0))


def test_the_fakes_keep_the_contract() -> None:
    """They are what the protocols ask for."""
    ports: Sequence[object] = [FakePort()]
    assert all(isinstance(port, LineOutput) and isinstance(port, LineInput) for port in ports)
