"""A line: one camera over a strip, its lots, and what becomes of each section."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from edge.errors import LotAbsent
from edge.line.diary import Anchor, Ended, Lost, Resumed, Settled, Started
from edge.line.geometry import Defect
from edge.line.locator import Locator
from edge.line.position import Position, Positioner
from edge.line.report import pages
from edge.line.retold import told_again, totals_of
from edge.line.run import Run, Section
from edge.line.settings import LineSettings
from edge.line.tracker import StripTracker
from edge.records import (
    Alert,
    LineEvent,
    LineSample,
    LotEnded,
    LotEntry,
    LotForgotten,
    LotReport,
    LotTotals,
    Observation,
    Place,
    Segmentation,
    Verdict,
)

CLOSE_NS = 10_000_000_000
"""How long an ended lot waits for the frame that shows the last of it, where none comes."""

TOTALS_NS = 1_000_000_000
"""Least time between two tellings of a lot's totals."""


PAST = 4
"""Runs that are remembered for alerts that end behind them."""

RECENT = 32
"""Frames that are remembered for a lot whose start is told of late."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a frame showed, in positions of the strip."""

    start_mm: float
    end_mm: float
    defects: tuple[Defect, ...]
    position: Position
    captured_ns: int


class StripLine:
    """See :class:`edge.protocols.Line`.

    Parameters
    ----------
    settings
        The line's.
    positioner
        Says where the strip is.
    locator, tracker
        Those of the camera's rule.
    boot
        What an encoder's count holds in: the kernel's boot id for a counter of this machine, empty
        for one that goes on counting without it, None for one that does not outlive the service.
    now
        UTC, of the strip's beginning.
    """

    def __init__(
        self,
        settings: LineSettings,
        positioner: Positioner,
        locator: Locator,
        tracker: StripTracker,
        *,
        boot: str | None,
        now: datetime,
    ) -> None:
        self.camera = settings.camera
        self._settings = settings
        self._positioner = positioner
        self._locator = locator
        self._tracker = tracker
        self._boot = boot
        self._run = Run(settings, Position(0.0, 0.0), now)
        self._ending: list[Run] = []
        self._past: deque[Run] = deque(maxlen=PAST)
        self._over: dict[str, Run] = {}
        self._judged: deque[tuple[float, float, bool]] = deque()  # where, and whether it may pass
        self._recent: deque[_Shown] = deque(maxlen=RECENT)
        self._told: tuple[int, LotTotals] | None = None
        self._late = 0
        self._unreadable = 0
        self._losses = 0
        self._position: Position | None = None  # of the last frame that has one

    @property
    def counts(self) -> Mapping[str, int]:
        """See :class:`edge.protocols.Line`."""
        return {
            **self._positioner.faults,
            "unplaced": self._locator.unplaced,
            "frame_size": self._locator.other_size,
            "late_verdict": self._late,
            "unreadable_lot": self._unreadable,
        }

    @property
    def lot(self) -> str | None:
        """Name of the open lot."""
        return self._run.name

    def tell(self, sample: LineSample) -> None:
        """See :class:`edge.protocols.Line`."""
        self._positioner.tell(sample)

    def observe(
        self, observation: Observation, alerts: Sequence[Alert]
    ) -> tuple[tuple[Alert, ...], tuple[LineEvent, ...]]:
        """See :class:`edge.protocols.Line`."""
        header, result = observation.header, observation.result
        events: list[LineEvent] = self._note_losses()
        position = self._locator.at(header)
        if position is not None and isinstance(result, Segmentation):
            geometry = self._settings.geometry
            start_mm, end_mm = geometry.stretch(position.mm, header.width)
            defects = tuple(
                geometry.place(region, position.mm, header.width, header.sequence)
                for region in result.regions
            )
            frame = _Shown(start_mm, end_mm, defects, position, header.captured_ns)
            self._recent.append(frame)
            for run in (*self._ending, self._run):
                events += self._show(run, frame)
                events += self._told_of(run, run.settle(start_mm))
            self._position = position
        placed = self.place(alerts)
        for run in [one for one in self._ending if header.captured_ns >= one.ended_ns]:
            events += self._close(run)
        return placed, tuple(events)

    def place(self, alerts: Sequence[Alert]) -> tuple[Alert, ...]:
        """See :class:`edge.protocols.Line`."""
        return tuple(map(self._placed, alerts))

    def pass_time(self, now_ns: int) -> tuple[LineEvent, ...]:
        """See :class:`edge.protocols.Line`."""
        events: list[LineEvent] = self._note_losses()
        position = self._positioner.at(now_ns)
        if position is not None:
            for run in (*self._ending, self._run):
                events += self._told_of(run, run.overdue(position.mm))
        for run in [one for one in self._ending if now_ns - one.ended_ns > CLOSE_NS]:
            events += self._close(run)
        if self._run.notebook is not None:
            events += self._run.notebook.flush(now_ns)
            since_ns, before = self._told or (now_ns - TOTALS_NS, None)
            if now_ns - since_ns >= TOTALS_NS:
                totals = totals_of(self._run)
                self._told = now_ns, totals
                events += [totals] if totals != before else []
        return tuple(events)

    def may_pass(self, now_ns: int) -> bool:
        """See :class:`edge.protocols.Line`."""
        position = self._positioner.at(now_ns)
        if position is None:
            return False
        gate_mm = position.mm - self._settings.gate_mm
        while self._judged and self._judged[0][1] <= gate_mm:
            self._judged.popleft()
        return bool(self._judged) and self._judged[0][0] <= gate_mm and self._judged[0][2]

    def start_lot(self, key: str, name: str, at: datetime, at_ns: int) -> tuple[LineEvent, ...]:
        """See :class:`edge.protocols.Line`."""
        events = list(self._end(at, at_ns))
        position = self._positioner.at(at_ns)
        run = self._run = Run(self._settings, position, at, key=key, name=name)
        assert run.notebook is not None
        events.append(run.notebook.write(Started(name, at, self._anchor(run))))
        # Frames that were taken after the command came may have been judged before it was read.
        for frame in self._recent:
            if position is not None and frame.end_mm > position.mm:
                events += self._show(run, frame)
        totals = totals_of(run)
        self._told = at_ns, totals
        return (*events, totals)

    def end_lot(self, at: datetime, at_ns: int) -> tuple[LineEvent, ...]:
        """See :class:`edge.protocols.Line`."""
        if self._run.key is None:
            raise LotAbsent("no lot is open", hint="start one with lot_start")
        return self._end(at, at_ns)

    def flush(self) -> tuple[LineEvent, ...]:
        """See :class:`edge.protocols.Line`."""
        notebook = self._run.notebook
        events: list[LineEvent] = [] if notebook is None else [*notebook.flush()]
        for run in list(self._ending):
            events += self._close(run)
        return tuple(events)

    def restore(self, entries: Sequence[LotEntry], now: datetime) -> tuple[LineEvent, ...]:
        """See :class:`edge.protocols.Line`."""
        lots: dict[str, list[LotEntry]] = {}
        for entry in entries:
            lots.setdefault(entry.lot, []).append(entry)
        events: list[LineEvent] = []
        for key, own in lots.items():
            try:
                run, anchor = told_again(self._settings, own, now)
            except ValueError as error:
                self._unreadable += 1
                _log.error("lot %s is lost, its diary cannot be read: %s", key, error)
                events.append(LotForgotten(key))
                continue
            if run.length_mm is not None:
                run.close()
                self._over[key] = run
                events.append(LotEnded(key))
                continue
            counted = self._resumed(anchor)
            run.resume(counted=counted)
            run.restarts += 1
            self._run = run
            assert run.notebook is not None
            events += [run.notebook.write(Resumed(now, counted)), totals_of(run)]
        return tuple(events)

    def report(self, key: str) -> LotReport:
        """See :class:`edge.protocols.Line`."""
        run = self._over[key]
        lot = run.lot()
        return LotReport(key, lot.name, self.camera, lot.data(), pages(lot))

    def reported(self, key: str) -> None:
        """See :class:`edge.protocols.Line`."""
        del self._over[key]

    def _show(self, run: Run, frame: _Shown) -> list[LotEntry]:
        """What of a frame belongs to a run, noted in its diary."""
        seen = run.see(frame.start_mm, frame.end_mm, frame.defects, frame.position)
        if seen is None or run.notebook is None:
            return []
        return run.notebook.see(replace(seen, anchor=self._anchor(run)), frame.captured_ns)

    def _note_losses(self) -> list[LineEvent]:
        """When the place on the strip was lost, what is between picture and gate may be any strip.
        The positions that follow lie behind a gap.
        """
        events: list[LineEvent] = []
        while self._losses < self._positioner.losses:
            self._losses += 1
            self._judged.clear()
            self._recent.clear()
            self._run.losses += 1
            if self._run.notebook is not None:
                events.append(self._run.notebook.write(Lost(self._losses)))
        return events

    def _end(self, at: datetime, at_ns: int) -> tuple[LineEvent, ...]:
        """The run that is open ends; what follows belongs to no lot."""
        run, position = self._run, self._positioner.at(at_ns)
        length_mm = run.end(position, at, at_ns)
        self._ending.append(run)
        self._run = Run(self._settings, position, at)
        if run.notebook is None:
            return ()
        return (*run.notebook.flush(), run.notebook.write(Ended(at, length_mm)))

    def _close(self, run: Run) -> list[LineEvent]:
        """Everything of an ended run was seen, or will never be."""
        self._ending.remove(run)
        self._past.append(run)
        events: list[LineEvent] = [] if run.notebook is None else [*run.notebook.flush()]
        events += self._told_of(run, run.close())
        if run.key is not None:
            self._over[run.key] = run
            events += [totals_of(run), LotEnded(run.key)]
            if self._run.key is not None:  # the retained word is about the lot that is open
                events.append(totals_of(self._run))
        return events

    def _told_of(self, run: Run, sections: Sequence[Section]) -> list[LineEvent]:
        """Verdicts, and notes of them in the lot's diary."""
        events: list[LineEvent] = []
        for one in sections:
            self._late += one.late
            verdict = one.grade.verdict
            events.append(
                Verdict(
                    self.camera,
                    one.x0_mm,
                    one.x1_mm - one.x0_mm,
                    verdict,
                    one.grade.reason,
                    one.late,
                    run.name,
                )
            )
            if run.notebook is not None:
                events.append(run.notebook.write(Settled(one.index, verdict, one.late)))
            if run.origin is not None:
                low, high = run.origin.mm + one.x0_mm, run.origin.mm + one.x1_mm
                self._judged.append((low, high, verdict != "reject"))
        return events

    def _placed(self, alert: Alert) -> Alert:
        """The alert with its place; without one when it is about no defect whose place is known."""
        defect = None if alert.track is None else self._tracker.defect(alert.track)
        if defect is None:
            return alert
        middle = (defect.x0_mm + defect.x1_mm) / 2
        before = (*self._ending, *self._past)
        run = next((one for one in before if one.holds(middle)), self._run)
        if run.origin is None or self._position is None:
            return alert
        place = Place(
            x_mm=defect.x0_mm - run.origin.mm,
            y_mm=defect.y0_mm,
            len_mm=defect.x1_mm - defect.x0_mm,
            wid_mm=defect.y1_mm - defect.y0_mm,
            err_mm=run.error(self._position),
            lot=run.name,
        )
        return replace(alert, position=place)

    def _anchor(self, run: Run) -> Anchor | None:
        """How a restart finds its place on this run again."""
        if self._boot is None or run.origin is None:
            return None
        anchor = self._positioner.anchor
        return None if anchor is None else (anchor[0], anchor[1] - run.origin.mm, self._boot)

    def _resumed(self, anchor: Anchor | None) -> bool:
        """Whether the encoder counted on from the anchor."""
        if anchor is None or anchor[2] != self._boot:
            return False
        return self._positioner.resume(anchor[0], anchor[1])
