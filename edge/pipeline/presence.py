"""What is said of one camera's availability, and the last word on it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge.messages import StationInfo, encode_availability
from edge.records import Message


class Presence:
    """Publishes whether a camera gives frames, until the station leaves. Any thread may call it.

    The broker keeps the last word. A camera whose thread hangs in the driver while the station
    stops could not say it in time, so the main thread says it, and what the thread says later
    does not count.

    Parameters
    ----------
    camera
        The camera's id.
    station
        Gives the context that messages are encoded in.
    publish
        Takes the messages.
    """

    def __init__(
        self,
        camera: str,
        *,
        station: Callable[[], StationInfo],
        publish: Callable[[Message], None],
    ) -> None:
        self._camera = camera
        self._station = station
        self._publish = publish
        self._lock = threading.Lock()
        self._over = False

    def tell(self, online: bool) -> None:
        """The camera gives frames, or no longer does."""
        with self._lock:
            if not self._over:
                self._publish(encode_availability(online, self._station(), self._camera))

    def leave(self) -> None:
        """The station leaves: the camera is offline, and that is the last word."""
        with self._lock:
            self._over = True
            self._publish(encode_availability(False, self._station(), self._camera))
