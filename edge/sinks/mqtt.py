"""Messages to an MQTT broker, in the caller's thread.

paho-mqtt is the transport and nothing more: no thread of its own, no queue, no reconnecting. One
thread owns the connection and waits for it in ``poll``; ``wake`` ends the wait from any thread.
"""

from __future__ import annotations

import dataclasses
import random
import select
import time
from collections.abc import Sequence

from edge.backoff import Backoff
from edge.errors import BrokerUnreachable, MessageRefused, SinkError
from edge.protocols import Connected, Delivered, Disconnected, Received, Refused, SinkEvent
from edge.records import Message
from edge.sinks import mqtt_errors
from edge.sinks.dial import Dial, tls_context
from edge.sinks.happening import Arrived, Ended, Greeted, Happening, Published
from edge.sinks.link import Link
from edge.sinks.mqtt_settings import MqttSettings
from edge.sinks.packet_limit import PacketLimit
from edge.sinks.takeover import Takeover
from edge.sinks.waiter import Waiter

__all__ = ["MqttSettings", "MqttSink"]

_WINDOW = 10
_CONNECT_TIMEOUT_S = 5.0
_SESSION_EXPIRY_S = 3600
_BACKOFF_FIRST_S, _BACKOFF_CAP_S = 1.0, 8.0
_CONNECT_SPACING_S = 1.0
_TAKEN_OVER_WAIT_S = 30.0
_HOUSEKEEPING_S = 1.0


class MqttSink:
    """Delivers messages to a broker; implements :class:`edge.protocols.Sink`.

    A QoS 1 message is delivered when its PUBACK has a reason below 128, and by nothing else. At
    most ten, or as many as the broker takes, are in flight. After a connection broke, the next
    attempt follows in 1 to 8 s by chance, never two within 1 s; when another client has our id
    (:class:`~edge.sinks.takeover.Takeover`), in 30 s, so that the two do not fight.

    Parameters
    ----------
    settings
        The broker and our name.
    will
        What the broker publishes when the connection breaks (5 s later, with MQTT 5).
    session_expiry_s
        How long the broker keeps our subscriptions while we are away; 0: a clean session.
    rng
        Chance for the delays.

    Raises
    ------
    ConfigError
        A certificate file cannot be read.
    """

    def __init__(
        self,
        settings: MqttSettings,
        will: Message | None = None,
        *,
        session_expiry_s: int = _SESSION_EXPIRY_S,
        rng: random.Random | None = None,
    ) -> None:
        self.last_error: SinkError | None = None
        """Why there is no connection; None while there is one."""
        self._settings = settings
        self._will = will
        self._session_expiry_s = session_expiry_s
        self._context = tls_context(settings)
        self._backoff = Backoff(
            _BACKOFF_FIRST_S,
            _BACKOFF_CAP_S,
            rng or random.Random(),  # noqa: S311 -- spreads stations, keeps no secret
            jitter=1.0,
            minimum_s=_CONNECT_SPACING_S,
        )
        self._takeover = Takeover()
        self._wanted = False
        self._retry_at = 0.0
        self._dial: Dial | None = None
        self._link: Link | None = None
        self._greet_by = 0.0
        self._greeted = False
        self._window = 0
        self._limit = PacketLimit()
        self._tokens = 0
        self._in_flight: dict[int, tuple[int, int, int]] = {}  # packet id -> token, QoS, size
        self._events: list[SinkEvent] = []
        self._waiter = Waiter()

    @property
    def is_dialled(self) -> bool:
        """Whether somebody took the connection; not yet that it is a broker who takes us."""
        return self._link is not None

    def open(self) -> None:
        """Start connecting; the work is done in ``poll``."""
        self._wanted = True

    def send(self, message: Message) -> int | None:
        """See :meth:`edge.protocols.Sink.send`."""
        link = self._link
        if link is None or not self._greeted:
            return None
        if not _valid_topic(message.topic):
            raise MessageRefused(f"{message.topic[:200]!r}: not a topic that can be published to")
        size = link.packet_bytes(message)
        if self._limit.bytes is not None and size > self._limit.bytes:
            raise MessageRefused(
                f"{message.topic}: {size} bytes, the broker takes {self._limit.bytes}",
                hint="raise the broker's max_packet_size",
            )
        # What is not written yet bounds QoS 0, which has no acknowledgements.
        if self._full if message.qos else link.wants_write:
            return None
        mid = link.publish(message)
        if mid is None:
            return None
        self._tokens += 1
        self._in_flight[mid] = self._tokens, message.qos, size
        if not message.qos:
            self._limit.sent_unanswered(size)
        return self._tokens

    def subscribe(self, topics: Sequence[str]) -> None:
        """See :meth:`edge.protocols.Sink.subscribe`."""
        if self._link is not None and self._greeted and topics:
            self._link.subscribe(topics)

    def poll(self, timeout_s: float) -> Sequence[SinkEvent]:
        """See :meth:`edge.protocols.Sink.poll`. Only the look-up of a name can take longer."""
        end = time.monotonic() + timeout_s
        while True:
            self._advance()
            wait_s = 0.0 if self._events else min(end, self._due()) - time.monotonic()
            woken = self._transfer(max(0.0, wait_s))
            if self._events or woken or time.monotonic() >= end:
                events, self._events = self._events, []
                return events

    def wake(self) -> None:
        """Make ``poll`` return soon; any thread may call it, also after ``close``."""
        self._waiter.wake()

    def close(self, timeout_s: float, farewell: Message | None = None) -> None:
        """See :meth:`edge.protocols.Sink.close`."""
        self._wanted = False
        end = time.monotonic() + timeout_s
        if self._dial is not None:
            self._dial.close()
            self._dial = None
        if self._link is not None:
            if self._greeted:
                self._say_goodbye(self._link, farewell, end)
            self._link.close()
            self._link = None
        self._greeted = False
        self._in_flight.clear()
        self._events.clear()
        self._waiter.close()

    @property
    def _full(self) -> bool:
        """Whether the broker takes no further QoS 1 message before it acknowledges one."""
        return sum(qos for _, qos, _ in self._in_flight.values()) >= self._window

    def _say_goodbye(self, link: Link, farewell: Message | None, end: float) -> None:
        if farewell is not None and self._full:
            # One too many and the broker would hang up on us: the will, with its delay.
            farewell = dataclasses.replace(farewell, qos=0)
        mid = None if farewell is None else link.publish(farewell)
        while mid is not None and link.socket is not None and time.monotonic() < end:
            self._exchange(link, min(end - time.monotonic(), _HOUSEKEEPING_S))
            if any(isinstance(h, Published) and h.mid == mid for h in link.take()):
                break
        link.disconnect()
        while link.socket is not None and link.wants_write and time.monotonic() < end:
            self._exchange(link, end - time.monotonic())

    # Connecting.

    def _advance(self) -> None:
        """Do what is due by the clock, and take in what happened on the link."""
        now = time.monotonic()
        if self._link is not None:
            if self._greeted:
                self._link.keep_alive()
            elif now >= self._greet_by:
                self._fail(mqtt_errors.silent(self._settings))
                return
            self._take_in(self._link)
        elif self._dial is not None:
            self._step(self._dial)
        elif self._wanted and now >= self._retry_at:
            self._retry_at = now + _CONNECT_SPACING_S
            try:
                self._dial = Dial(self._settings, self._context, _CONNECT_TIMEOUT_S)
            except BrokerUnreachable as error:
                self._fail(error)

    def _due(self) -> float:
        """When ``_advance`` has something to do by the clock, at the latest."""
        if self._link is not None:
            # A tenth of the keepalive, so that a ping leaves its answer time enough.
            rest_s = min(_HOUSEKEEPING_S, self._settings.keepalive_s / 10.0)
            end = self._link.silent_at if self._greeted else self._greet_by
            return min(time.monotonic() + rest_s, end)
        if self._dial is not None:
            return self._dial.deadline
        return self._retry_at if self._wanted else float("inf")

    def _step(self, dial: Dial) -> None:
        try:
            ready = dial.step()
        except BrokerUnreachable as error:
            self._fail(error)
            return
        if ready is not None:
            self._dial = None
            self._greeted = False
            self._greet_by = time.monotonic() + self._settings.keepalive_s
            self._link = Link(self._settings, self._will, ready, self._session_expiry_s)

    def _fail(self, error: SinkError, wait_s: float | None = None) -> None:
        """The connection has gone or was not made: forget it, and when to try again."""
        if not self._greeted:
            self._takeover.not_connected()
        if self._link is not None:
            self._link.close()
            self._link = None
        self._dial = None
        self._greeted = False
        self._in_flight.clear()
        self.last_error = error
        delay_s = self._backoff.next_s() if wait_s is None else wait_s
        self._retry_at = max(self._retry_at, time.monotonic() + delay_s)
        self._events.append(Disconnected(error.message, mqtt_errors.code_of(error)))

    def _lose(self, how: Ended) -> None:
        if not self._greeted:
            self._fail(mqtt_errors.not_greeted(self._settings))
            return
        self._limit.ended(how.code, (size for _, _, size in self._in_flight.values()))
        now = time.monotonic()
        # Not at the greeting: who is thrown out again at once would come back each second.
        if self._takeover.lasted(now):
            self._backoff.reset()
        if self._takeover.ended(how, now):
            self._fail(mqtt_errors.taken_over(self._settings, how), _TAKEN_OVER_WAIT_S)
        else:
            self._fail(mqtt_errors.ended(self._settings, how))

    # Waiting and exchanging bytes.

    def _transfer(self, timeout_s: float) -> bool:
        """Wait for the connection or a wake, exchange bytes; whether ``wake`` was called."""
        if self._link is not None:
            woken = self._exchange(self._link, timeout_s)
            self._take_in(self._link)
            return woken
        if self._dial is not None:
            ready, woken = self._waiter.wait(timeout_s, *self._dial.wants)
            if ready:
                self._step(self._dial)
            return woken
        return self._waiter.wait(timeout_s)[1]

    def _exchange(self, link: Link, timeout_s: float) -> bool:
        found = link.socket
        if found is None:
            return False
        mask = select.POLLIN | (select.POLLOUT if link.wants_write else 0)
        ready, woken = self._waiter.wait(0.0 if link.unread else timeout_s, found.fileno(), mask)
        if ready & ~select.POLLOUT or link.unread:
            link.read()
        if ready & select.POLLOUT and link.socket is not None:
            link.write()
        return woken

    # What the broker says.

    def _take_in(self, link: Link) -> None:
        for happening in link.take():
            self._handle(link, happening)
            if self._link is not link:
                return
        if link.socket is None:
            self._lose(Ended(0, "no reason given"))

    def _handle(self, link: Link, happening: Happening) -> None:
        match happening:
            case Greeted(code=0):
                self._greeted = True
                self._window = min(happening.receive_maximum, _WINDOW)
                self._limit.greeted(happening.max_packet)
                self.last_error = None
                self._takeover.greeted(time.monotonic())
                self._events.append(Connected(self._window, self._limit.bytes))
            case Greeted():
                self._fail(mqtt_errors.refused(self._settings, happening))
            case Published():
                token, qos, _ = self._in_flight.pop(happening.mid, (None, 0, 0))
                if token is None:
                    return  # acknowledges what is not in flight
                if qos and happening.code >= 128:
                    self._events.append(Refused(token, happening.code))
                else:
                    self._events.append(Delivered(token, happening.code))
            case Arrived():
                self._events.append(
                    Received(
                        happening.topic,
                        happening.payload,
                        happening.retain,
                        happening.response_topic,
                        happening.correlation,
                    )
                )
            case Ended():
                self._lose(happening)


def _valid_topic(topic: str) -> bool:
    return 0 < len(topic.encode()) <= 65535 and not set(topic) & {"+", "#", "\0"}
