"""``linesight run``: the service."""

from __future__ import annotations

import argparse
import logging
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from edge import app, notify
from edge.commands.first_choice import settle
from edge.commands.options import add_config, add_models
from edge.config import load
from edge.pipeline import Pipeline
from edge.sinks.stdout import StdoutSink

PING_S = 5.0
"""Between two watchdog pings, when systemd does not ask for more."""

STDOUT_OUTBOX = "outbox-stdout.db"
"""Not the service's own: what waits for the broker must not end on a terminal."""

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which station, and where its messages go."""
    add_config(parser)
    add_models(parser)
    parser.add_argument(
        "--stdout",
        action="store_true",
        help="write every message to standard output instead of sending it to the broker",
    )


def run(args: argparse.Namespace) -> int:
    """Run the station until SIGTERM or SIGINT, or until every source is over.

    Raises
    ------
    LineSightError
        Configuration or model cannot be used, or a thread failed.
    """
    log = logging.getLogger()
    log.setLevel(min(log.level, logging.INFO))
    with Signals() as signals:
        config = load(Path(args.config))
        settle(config, args.models)
        if args.stdout:
            sink = StdoutSink(sys.stdout)
            pipeline = app.build(config, sink=sink, models=args.models, outbox=STDOUT_OUTBOX)
        else:
            pipeline = app.build(config, models=args.models)
        supervisor = Supervisor(pipeline)
        pipeline.run(
            signals.quit_within,
            on_ready=supervisor.ready,
            on_alive=supervisor.alive,
            on_stop=supervisor.stop,
        )
    _log.info("stopped")
    return 0


class Supervisor:
    """What systemd is told."""

    def __init__(self, pipeline: Pipeline, clock: Callable[[], float] = time.monotonic) -> None:
        interval = notify.watchdog_interval()
        self._ping_s = PING_S if interval is None else min(PING_S, interval / 2)
        self._pipeline = pipeline
        self._clock = clock
        self._pinged = clock()
        self._said = ""

    def ready(self) -> None:
        """Every thread is started."""
        notify.ready()
        _log.info("started")

    def alive(self) -> None:
        """Every thread is well: ping, and say how the station is when that has changed."""
        if self._clock() - self._pinged >= self._ping_s:
            self._pinged = self._clock()
            notify.watchdog()
        summary = self._pipeline.reporter.summary
        if summary != self._said:
            self._said = summary
            notify.status(summary)

    def stop(self) -> None:
        """The stop begins."""
        notify.stopping()
        _log.info("stopping")


class Signals:
    """SIGTERM and SIGINT as the end of a wait.

    The handler only sets a flag: it runs between two byte codes of the main thread, which may hold
    any lock just then, so it must take none (``threading.Event.set`` does). The wait is ended by
    the byte that Python writes for each signal.
    """

    def __init__(self) -> None:
        self._asked = False
        self._reader, self._writer = socket.socketpair()
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            # What signal.signal returned it takes back, which its stub does not say.
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._reader.close()
        self._writer.close()

    def quit_within(self, seconds: float) -> bool:
        """Wait so long at most; True when one of the signals has come."""
        if not self._asked and select.select([self._reader], [], [], seconds)[0]:
            self._reader.recv(4096)
        return self._asked

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
