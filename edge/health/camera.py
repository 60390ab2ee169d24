"""One camera's counters."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Literal

from edge.health.reservoir import Reservoir
from edge.records import CameraStatus, Drops, Reason

NONFINITE_LIMIT = 5
"""Outputs with NaN or infinity in a row that make the model a reason."""

UNDECODABLE_LIMIT = 5
"""Frames in a row that came whole and could not be decoded, which make the camera a reason."""

STALL_S = 5.0
"""Seconds without a frame from an open live camera that make it stalled, or three times the median
interval of its last frames if that is longer."""
STALL_CAP_S = 60.0
"""However slow a camera is, so long a silence is a stall."""
_INTERVALS = 8

_State = Literal["opening", "open", "absent", "ended"]


class CameraHealth:
    """What one camera's threads count, since the service started. Any thread may call it.

    Parameters
    ----------
    camera
        The camera's id.
    mailbox_drops
        Asked for the mailbox's own count of dropped frames.
    """

    def __init__(self, camera: str, mailbox_drops: Callable[[], int] = lambda: 0) -> None:
        self.camera = camera
        self.mailbox_drops = mailbox_drops
        self.age_ms = Reservoir()
        self._lock = threading.Lock()
        self._state: _State = "opening"
        self._absence = ""
        self._live = True
        self._last_frame = time.monotonic()
        self._fresh = True  # no frame yet since it was opened
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._frames_in = self._corrupt = self._stale = self._reconnects = 0
        self._nonfinite = self._nonfinite_row = self._undecodable_row = 0

    @property
    def frames_in(self) -> int:
        """Frames that came from the source, to be judged or to give way to newer ones."""
        return self._frames_in

    @property
    def state(self) -> _State:
        """``opening`` until the first attempt is over, then ``open`` or ``absent``; ``ended``.

        A camera that was absent is so until it gives a frame: some open well and give nothing.
        """
        return self._state

    def opened(self, *, live: bool) -> None:
        """The source was opened."""
        with self._lock:
            if self._state != "absent":
                self._state = "open"
            self._live, self._fresh = live, True
            self._last_frame = time.monotonic()
            self._intervals.clear()

    def lost(self, detail: str) -> None:
        """The source cannot be opened, or has gone; it will be tried again."""
        with self._lock:
            self._state, self._absence = "absent", detail

    def ended(self) -> None:
        """The source is over; no more frames are expected."""
        with self._lock:
            self._state = "ended"

    def frame_in(self) -> None:
        """A frame came."""
        with self._lock:
            now = time.monotonic()
            if not self._fresh:
                self._intervals.append(now - self._last_frame)
            self._fresh = False
            if self._state == "absent":
                self._state = "open"
                self._reconnects += self._frames_in > 0
            self._frames_in += 1
            self._last_frame = now

    def corrupt(self) -> None:
        """What came was no frame; the camera gives frames all the same."""
        with self._lock:
            self._corrupt += 1
            self._last_frame = time.monotonic()

    def undecodable(self) -> None:
        """A frame that came in could not be decoded when its turn came."""
        with self._lock:
            self._corrupt += 1
            self._undecodable_row += 1

    def decoded(self) -> None:
        """A frame that came in was decoded."""
        if self._undecodable_row:
            with self._lock:
                self._undecodable_row = 0

    def stale(self) -> None:
        """A frame was too old when its turn came."""
        with self._lock:
            self._stale += 1

    def nonfinite(self) -> None:
        """The model gave NaN or infinity for a frame."""
        with self._lock:
            self._nonfinite += 1
            self._nonfinite_row += 1

    def finite(self) -> None:
        """The model gave numbers for a frame."""
        if self._nonfinite_row:
            with self._lock:
                self._nonfinite_row = 0

    def judged(self, age_ms: float) -> None:
        """A verdict was reached, so long after the capture."""
        self.age_ms.add(age_ms)

    def status(self, interval_s: float, *, anew: bool = True) -> CameraStatus:
        """The counters; rates and percentiles of the interval, which begins ``anew`` or goes on."""
        judged, age = self.age_ms.drain() if anew else self.age_ms.look()
        with self._lock:
            return CameraStatus(
                frames_in=self._frames_in,
                judged_fps=judged / interval_s if interval_s > 0 else 0.0,
                drops=Drops(mailbox=self.mailbox_drops(), stale=self._stale, corrupt=self._corrupt),
                nonfinite=self._nonfinite,
                reconnects=self._reconnects,
                age_ms_p95=None if age is None else age.p95,
            )

    def _stall_s(self) -> float:
        usual = median(self._intervals) if self._intervals else 0.0
        return min(STALL_CAP_S, max(STALL_S, 3 * usual))

    def reasons(self) -> list[Reason]:
        """Why this camera is not well."""
        found = []
        with self._lock:
            silence = time.monotonic() - self._last_frame
            if self._state == "absent":
                found.append(Reason("cam_absent", self._absence, self.camera))
            elif self._state == "open" and self._live and silence > (limit := self._stall_s()):
                found.append(Reason("cam_stalled", f"no frame for over {limit:.0f} s", self.camera))
            elif self._undecodable_row >= UNDECODABLE_LIMIT:
                detail = f"{UNDECODABLE_LIMIT} frames in a row or more cannot be decoded"
                found.append(Reason("cam_stalled", detail, self.camera))
            if self._nonfinite_row >= NONFINITE_LIMIT:
                found.append(
                    Reason(
                        "model_nonfinite",
                        f"the model gave NaN or infinity {NONFINITE_LIMIT} times in a row or more",
                        self.camera,
                    )
                )
        return found
