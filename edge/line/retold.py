"""A lot as its diary tells it, and what is told of a lot as it goes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from edge.line.diary import Anchor, Ended, Lost, Resumed, Seen, Settled, Started, read
from edge.line.notebook import Notebook
from edge.line.run import Run
from edge.line.settings import LineSettings
from edge.records import LotEntry, LotTotals

_log = logging.getLogger(__name__)


def told_again(
    settings: LineSettings, entries: Sequence[LotEntry], now: datetime
) -> tuple[Run, Anchor | None]:
    """A lot as its diary tells it, and its last anchor. An entry that cannot be read is passed
    over, as a stretch that nobody judged.

    Raises
    ------
    ValueError
        No entry can be read.
    """
    unreadable = 0
    key, number = entries[-1].lot, entries[-1].number
    run, anchor = Run(settings, None, now, key=key, name="unknown"), None
    run.notebook = Notebook(key, number + 1)
    for entry in entries:
        try:
            note = read(entry.body)
        except ValueError as error:
            unreadable += 1
            if unreadable == len(entries):
                raise
            _log.error("lot %s: an entry of its diary is lost: %s", key, error)
            continue
        match note:
            case Started(name, at):
                run.name, run.started_at = name, at
                anchor = note.anchor
            case Seen():
                run.take(note)
                anchor = note.anchor or anchor
            case Lost():
                run.losses += 1
            case Resumed():
                run.restarts += 1
                run.losses += not note.counted
            case Settled(index, verdict, late):
                run.skip(index, verdict, late)
            case Ended(at, length_mm):
                run.cut(length_mm, at)
    return run, anchor


def totals_of(run: Run) -> LotTotals:
    """How a lot is getting on, or how it ended."""
    assert run.name is not None
    defects: dict[str, int] = {}
    for defect in run.defects:
        defects[defect.label] = defects.get(defect.label, 0) + 1
    return LotTotals(
        lot=run.name,
        open=run.ended_at is None,
        started_at=run.started_at,
        length_mm=run.reached_mm if run.length_mm is None else run.length_mm,
        covered=run.covered,
        defects=defects,
        verdicts=dict(run.verdicts),
        late=run.late,
    )
