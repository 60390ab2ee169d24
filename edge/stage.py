"""A named thread of the service that can be stopped, watched and asked how it ended.

The way of gpiozero's threads: a stop has two phases (set every event, then join all), a thread
that will not die is a typed error, and sleeping is the cancellation point: a stage that must wait
waits with :meth:`Stage.wait`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from edge.errors import LineSightError, StageFailed, StageStuck
from edge.health import Heartbeat

_log = logging.getLogger(__name__)


class Stage:
    """One thread.

    Parameters
    ----------
    name
        The thread's name in logs and in the debugger, ``capture:door`` for example.
    body
        What the thread does. It gets the stage, calls :meth:`beat` at least once in
        ``heartbeat_s`` and returns soon after ``stopping`` has become true.
    heartbeat_s
        Age at which the heartbeat no longer counts as fresh.
    interrupt
        Called once after the stop event is set, to wake a body that waits for something else
        than :meth:`wait`. Any thread may call it.
    on_exit
        Called on the stage's own thread when the body has ended, however it did.
    """

    def __init__(
        self,
        name: str,
        body: Callable[[Stage], None],
        *,
        heartbeat_s: float = 10.0,
        interrupt: Callable[[], None] | None = None,
        on_exit: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.heartbeat = Heartbeat(heartbeat_s)
        self._body = body
        self._interrupt = interrupt
        self._on_exit = on_exit
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        # A daemon, so that a stuck thread cannot keep the interpreter from ending the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether the stage was asked to stop."""
        return self._stop.is_set()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def started(self) -> bool:
        """Whether the thread was ever started."""
        return self._thread.ident is not None

    @property
    def failure(self) -> BaseException | None:
        """What ended the body, if an exception did."""
        return self._failure

    def start(self) -> None:
        """Start the thread."""
        self.heartbeat.beat()
        self._thread.start()

    def beat(self) -> None:
        """Say that the body still gets around its loop."""
        self.heartbeat.beat()

    def wait(self, seconds: float) -> bool:
        """Sleep for so long; True, at once, when the stage is asked to stop."""
        return self._stop.wait(max(0.0, seconds))

    def request_stop(self) -> None:
        """Ask the body to return. The first phase of a stop; never blocks."""
        self._stop.set()
        if self._interrupt is not None:
            self._interrupt()

    def join(self, deadline: float) -> None:
        """Wait for the thread's end. The second phase of a stop.

        Parameters
        ----------
        deadline
            Monotonic time in seconds (``time.monotonic``).

        Raises
        ------
        StageStuck
            The thread still runs at the deadline.
        """
        if not self.started:
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            raise StageStuck(
                f"thread {self.name} did not end in time",
                hint="the process is ended without it; the service manager starts it again",
            )

    def check(self) -> None:
        """Pass the body's failure on to the caller.

        Raises
        ------
        LineSightError
            The body's own typed error, as it was.
        StageFailed
            The body ended with any other exception.
        """
        if self._failure is None:
            return
        if isinstance(self._failure, LineSightError):
            raise self._failure
        raise StageFailed(
            f"thread {self.name} failed: {type(self._failure).__name__}: {self._failure}",
            hint="a defect of LineSight: the log holds the details",
        ) from self._failure

    def _run(self) -> None:
        try:
            self._body(self)
        except LineSightError as error:
            self._failure = error
        except BaseException as error:  # noqa: BLE001 - nothing may end a thread unseen
            self._failure = error
            _log.error("thread %s failed", self.name, exc_info=error)
        finally:
            if self._on_exit is not None:
                self._on_exit()


def stop_all(stages: Iterable[Stage], deadline: float) -> None:
    """Stop several stages: set every event, then join all.

    Raises
    ------
    StageStuck
        At least one thread still runs at the deadline; every other one was joined.
    """
    stages = list(stages)
    for stage in stages:
        stage.request_stop()
    late: list[str] = []
    for stage in stages:
        try:
            stage.join(deadline)
        except StageStuck:
            late.append(stage.name)
    if late:
        raise StageStuck(
            f"thread{'s' if len(late) > 1 else ''} {', '.join(late)} did not end in time",
            hint="the process is ended without them; the service manager starts it again",
        )
