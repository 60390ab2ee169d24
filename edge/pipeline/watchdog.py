"""When the service may say that it is alive, and when a stuck thread must end it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

from edge.stage import Stage

STUCK_S = 30.0
"""Age of a heartbeat at which the process ends itself: a native call that never returns can be
ended in no other way."""

_log = logging.getLogger(__name__)


class Watchdog:
    """Looks at the heartbeats of the running stages.

    Parameters
    ----------
    stages
        All threads of the service.
    end
        Ends the process at once, without a farewell; ``os._exit``.
    """

    def __init__(self, stages: Sequence[Stage], *, end: Callable[[int], None] = os._exit) -> None:
        self._stages = stages
        self._end = end

    def may_ping(self) -> bool:
        """Whether every running thread came around its loop recently.

        Ends the process when one of them has not for ``STUCK_S``.
        """
        alive = [stage for stage in self._stages if stage.alive]
        for stage in alive:
            if stage.heartbeat.age_s >= STUCK_S:
                _log.critical("thread %s is stuck: the process ends", stage.name)
                self._end(1)
        return all(stage.heartbeat.fresh for stage in alive)
