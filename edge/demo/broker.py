"""An MQTT broker inside this process, for the demo: one port on 127.0.0.1, nothing on disk.

amqtt speaks MQTT 3.1.1 only, so whoever connects must ask for that protocol by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from types import TracebackType
from typing import Any, Self

from amqtt.broker import Broker

from edge.demo.local_broker import HOST, free_port
from edge.errors import SinkError

_START_S = 10.0
_STOP_S = 5.0
_PLUGIN = "amqtt.plugins.authentication.AnonymousAuthPlugin"


class EmbeddedBroker:
    """A broker in a thread of its own, as a context manager.

    Attributes
    ----------
    host, port
        Where it listens, valid once entered.
    """

    def __init__(self) -> None:
        self.host = HOST
        self.port = 0
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="demo-broker", daemon=True)

    def __enter__(self) -> Self:
        """Start listening.

        Raises
        ------
        SinkError
            The broker does not start within 10 s.
        """
        # It logs each ordinary end of a connection as an error.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()
        if not self._started.wait(_START_S) or self._failure is not None:
            self.__exit__(None, None, None)
            raise SinkError(f"the demo's broker does not start: {self._failure or 'no answer'}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and wait until the thread has ended."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            # The loop may have closed by itself after a failure.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stop.set)
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits in __enter__
            self._failure = error
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.port = free_port()
        settings: dict[str, Any] = {
            "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
            "plugins": {_PLUGIN: {"allow_anonymous": True}},
        }
        broker = Broker(settings)
        await broker.start()
        self._started.set()
        await self._stop.wait()
        await broker.shutdown()
