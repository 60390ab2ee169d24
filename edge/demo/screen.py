"""Shows a subscriber's fleet: a live dashboard on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TextIO

from edge.demo.fleet import Fleet
from edge.demo.subscriber import Subscriber
from edge.demo.summary import alert_line

TICK_S = 0.25
"""How often :meth:`Screen.tick` wants to be called."""


class Screen:
    """A context manager; call :meth:`tick` now and then while it is entered.

    Parameters
    ----------
    subscriber
        Entered already.
    title
        Which broker and root.
    out
        Where it is shown, standard output by default.
    """

    def __init__(self, subscriber: Subscriber, title: str, out: TextIO | None = None) -> None:
        self._subscriber, self._title = subscriber, title
        self._out = sys.stdout if out is None else out
        self._stack = ExitStack()
        self._live = False
        self._shown = Fleet()

    def __enter__(self) -> Self:
        if self._out.isatty():
            # Here and not at the top: lines need no rich.
            from rich.console import Console
            from rich.live import Live

            from edge.demo.view import dashboard

            def picture() -> object:
                return dashboard(
                    self._subscriber.fleet,
                    title=self._title,
                    connected=self._subscriber.connected,
                    now=datetime.now(UTC),
                )

            self._live = True
            live = Live(
                get_renderable=picture,  # type: ignore[arg-type]
                console=Console(file=self._out),
                refresh_per_second=4,
            )
            self._stack.enter_context(live)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show the last state and leave the terminal as it was."""
        self.tick()
        self._stack.close()

    def tick(self) -> None:
        """Print what is new; the dashboard draws itself."""
        if self._live:
            return
        before, now = self._shown, self._subscriber.fleet
        for node, station in now.stations.items():
            if node not in before.stations or before.stations[node].online != station.online:
                self._out.write(f"{node} is {'online' if station.online else 'offline'}\n")
        seen = {(alert.id, alert.rev) for alert in before.log}
        for alert in now.log:
            if (alert.id, alert.rev) not in seen:
                self._out.write(alert_line(alert) + "\n")
        self._out.flush()
        self._shown = now
