"""A line station to be killed: ``python line_station.py STATE_DIR BEGAN_NS UNTIL_MM``.

The strip began to run at a moment of the monotonic clock and does not care whether anybody looks;
its counter counts on. The first run starts the lot, a later one finds it. Behind ``UNTIL_MM`` the
lot ends, the station stops in good order, and everything waits in its outbox. The file ``accepted``
says how many messages this run has stored. ``LINESIGHT_FAULT=forget`` breaks the guarantee: the
diary is not written.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from edge import app
from edge.config import build
from edge.demo.coil import Coil
from edge.demo.line_camera import StripEncoder, StripSource
from edge.demo.motion import Motion
from edge.outbox import Outbox
from tests.fakes import FakeSink
from tests.helpers.planted import PlantedTask

LENGTH_MM = 60_000.0
PX_MM, COUNT_MM = 0.5, 0.05


def coil() -> Coil:
    """The strip."""
    return Coil.standard(11, length_mm=LENGTH_MM, width_mm=64.0, mm_per_px=PX_MM, roll_mm=None)


def main(folder: Path, began_ns: int, until_mm: float) -> None:
    """Run until the lot is over, or until somebody kills us."""
    if os.environ.get("LINESIGHT_FAULT") == "forget":
        store = Outbox.append
        Outbox.append = lambda self, messages, lots=(): store(self, messages)  # type: ignore[method-assign]
    source = StripSource(
        coil(), Motion(2000.0, variation=0.2), "strip", width_px=800, height_px=64, fps=20.0
    )
    source.run.began_ns = began_ns
    task = PlantedTask(coil(), source.run.mm)
    tables = {
        "station": {"node": "n1", "task": "steel_defect", "state_dir": str(folder)},
        "camera": [{"id": "strip", "source": "synthetic://black", "width": 800, "height": 64}],
        "line": {
            "mm_per_px_x": PX_MM,
            "mm_per_px_y": PX_MM,
            "encoder": {"source": "mqtt", "mm_per_count": COUNT_MM},
        },
    }
    pipeline = app.build(
        build(tables, origin="test"),
        sink=FakeSink(reachable=False),
        tasks=[task],
        sources=[Running(source, began_ns)],
        encoder=StripEncoder(source.run, COUNT_MM),
    )
    line = pipeline.line
    assert line is not None

    def quit_within(wait_s: float) -> bool:
        time.sleep(min(wait_s, 0.02))  # between two looks; the strip runs meanwhile
        now_ns = time.monotonic_ns()
        if not (folder / "started").exists():
            line.start_lot("C-1", now_ns)
            (folder / "started").touch()
        said = folder / "accepted.new"
        said.write_text(str(pipeline.store.accepted))
        said.replace(folder / "accepted")
        if source.run.mm(now_ns) < until_mm:
            return False
        line.end_lot(now_ns)
        return True

    pipeline.run(quit_within)


class Running:
    """The camera over a strip that ran before it looked."""

    live = True

    def __init__(self, source: StripSource, began_ns: int) -> None:
        self._source = source
        self._began_ns = began_ns
        self.read, self.close = source.read, source.close

    @property
    def due_ns(self) -> int:
        """See :class:`edge.protocols.Source`."""
        return self._source.due_ns

    def open(self) -> None:
        """See :class:`edge.protocols.Source`."""
        self._source.open()
        self._source.run.began_ns = self._began_ns


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
