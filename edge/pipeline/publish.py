"""The publish thread: drives the sink, and decides what is sent when.

Three ways lead out. ``latest``: one slot a topic, sent again after each connect. ``transient``:
sent if connected, else dropped. ``outbox``: rows of the store, by age, each until the broker has
acknowledged it; what is in flight when the connection goes is offered again, in order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from edge.errors import MessageRefused
from edge.health import BrokerHealth
from edge.messages import StationInfo, encode_availability
from edge.outbox import Row
from edge.pipeline.commands import CommandDesk
from edge.pipeline.sealing import Sealer, captured_ns
from edge.pipeline.store import Store
from edge.protocols import (
    Connected,
    Delivered,
    Disconnected,
    Received,
    Refused,
    Sink,
    SinkEvent,
)
from edge.records import Message, ReasonCode
from edge.stage import Stage

NO_SUBSCRIBER = 16
NOT_AUTHORIZED = 135
NEVER = frozenset({144, 149, 153})
"""PUBACK reasons that no repetition cures: topic name, packet too large, payload format."""
PARK_S = 300.0
"""How long a topic that we may not write is left alone."""
PARK_OTHER_S = 5.0
"""The same after any other refusal (quota exceeded, for example). Retained state that was refused
waits as long."""
CONFIRM_S = 60.0
"""Rows that no consumer has confirmed are sent again so long after their PUBACK."""
LOOK_AGAIN_S = 5.0
"""Between two looks for such rows."""
NO_CONSUMER_S = 5.0
"""How long a topic that nobody subscribes to is left alone, where consumers confirm."""
POLL_S = 1.0
CONNECT_EXCUSE_S = 120.0
"""A resolver may hang; the publish thread's heartbeat does not count for so long meanwhile."""
TRANSIENT = 100
"""Transient messages that wait to be sent; then the oldest gives way."""
CLOSE_S = 1.0

_log = logging.getLogger(__name__)


class Publisher:
    """Everything that goes to the broker goes through here.

    Parameters
    ----------
    sink
        Used by this thread only, but for ``wake``.
    store
        Where the outbox's rows come from and acknowledgements go to.
    desk
        Takes what comes in.
    sealer
        Adds to each row what only the connection knows.
    station
        Gives the context that messages are encoded in.
    health
        Where the connection's state is told.
    app_ack
        Whether a row stays until its consumer has confirmed it, which comes to the desk.
    """

    def __init__(
        self,
        sink: Sink,
        store: Store,
        desk: CommandDesk,
        sealer: Sealer,
        *,
        station: Callable[[], StationInfo],
        health: BrokerHealth,
        app_ack: bool = False,
    ) -> None:
        self.drain_until = 0.0
        """Monotonic seconds until which a stopping publisher goes on sending."""
        self._sink = sink
        self._store = store
        self._desk = desk
        self._sealer = sealer
        self._station = station
        self._health = health
        self._app_ack = app_ack
        self._lock = threading.Lock()
        self._slots: dict[str, Message] = {}
        self._changed: deque[str] = deque()  # topics of slots that must be sent
        self._transient: deque[Message] = deque(maxlen=TRANSIENT)
        # This thread's own.
        self._connected = False
        self._tried = False  # whether the first attempt to connect is over
        self._inflight: dict[int, Row | Message] = {}
        self._parked: dict[str, float] = {}
        self._again: dict[str, float] = {}  # when a refused slot is sent again, by topic
        self._look_again = 0.0  # when to see next whether rows have rested
        self._heard: set[str] = set()  # topics whose consumer is there
        self._told = ""  # why there is no connection, as it was logged last

    # Any thread.

    def publish(self, message: Message) -> None:
        """Send a ``latest`` or ``transient`` message soon."""
        with self._lock:
            if message.way == "latest":
                self._slots[message.topic] = message
                if message.topic not in self._changed:
                    self._changed.append(message.topic)
            elif self._connected:
                self._transient.append(message)
        self._sink.wake()

    # The publish thread.

    def run(self, stage: Stage) -> None:
        """The thread's body: until it is stopped and has drained, or ``drain_until`` has come.

        Raises
        ------
        SinkError
            The sink is broken for good. Nothing is lost: what it did not deliver stays on disk.
        """
        self._sink.open()
        try:
            while not (stage.stopping and self._may_leave()):
                self._unpark()
                if self._connected:
                    self._send()
                    stage.beat()
                else:
                    stage.heartbeat.excuse(CONNECT_EXCUSE_S)
                for event in self._sink.poll(self._poll_s(stage)):
                    self._handle(event)
        finally:
            farewell = encode_availability(False, self._station())
            self._sink.close(CLOSE_S, farewell)
            self._store.rows.suspend(self._rows_in_flight())

    def _may_leave(self) -> bool:
        if time.monotonic() >= self.drain_until:
            return True
        if not self._connected:
            return self._tried  # a first attempt may still succeed
        with self._lock:
            waiting = bool(self._changed or self._transient)
        return not (waiting or self._inflight) and self._store.drained

    def _poll_s(self, stage: Stage) -> float:
        moments = (*self._parked.values(), *self._again.values())
        ends = [moment - time.monotonic() for moment in moments]
        if stage.stopping:
            ends.append(min(0.05, self.drain_until - time.monotonic()))
        return max(0.0, min([POLL_S, *ends]))

    def _send(self) -> None:
        """Send what may be sent now: state first, so that nobody reads an alert of a station that
        is still said to be offline.
        """
        sending = self._send_slots() and self._send_transient()
        while sending and (row := self._store.rows.next_row()) is not None:
            if row.message.topic in self._parked:
                self._store.rows.release(row)
                continue
            if self._is_probing(row.message.topic):
                self._store.rows.give_back(row)
                break
            try:
                dropped = self._store.dropped_total(row.message.topic)
                payload = self._sealer.seal(replace(row, dropped_total=dropped))
                sending = self._offer(replace(row.message, payload=payload), row)
            except (MessageRefused, ValueError) as error:  # too large, or no payload of ours
                _log.error("%s: buried: %s", row.message.topic, error)
                self._store.bury(row, str(error))
                continue
            if not sending:
                self._store.rows.give_back(row)
        self._health.inflight(len(self._inflight))

    def _send_slots(self) -> bool:
        while True:
            with self._lock:
                if not self._changed:
                    return True
                message = self._slots[self._changed.popleft()]
            try:
                if not self._offer(message, message):
                    with self._lock:
                        if message.topic not in self._changed:
                            self._changed.appendleft(message.topic)
                    return False
            except MessageRefused as error:
                _log.error("not sent: %s", error)

    def _send_transient(self) -> bool:
        while True:
            with self._lock:
                if not self._transient:
                    return True
                message = self._transient.popleft()
            try:
                if not self._offer(message, message):
                    with self._lock:
                        self._transient.appendleft(message)
                    return False
            except MessageRefused as error:
                _log.error("not sent: %s", error)

    def _offer(self, message: Message, item: Row | Message) -> bool:
        token = self._sink.send(message)
        if token is None:
            return False
        self._inflight[token] = item
        return True

    def _is_probing(self, topic: str) -> bool:
        """Whether a row of the topic is on its way to learn if its consumer is there.

        Until one has arrived the others wait: what overtakes a row that nobody took would be
        confirmed, and the row with it.
        """
        if not self._app_ack or topic in self._heard:
            return False
        return any(row.message.topic == topic for row in self._rows_in_flight())

    def _hold_back(self, row: Row) -> None:
        """Nobody subscribes to the topic of a row that waits for its consumer."""
        topic = row.message.topic
        self._heard.discard(topic)
        self._store.rows.release(row)
        if topic not in self._parked:
            self._parked[topic] = time.monotonic() + NO_CONSUMER_S
            self._store.rows.serve(parked=frozenset(self._parked))

    def _handle(self, event: SinkEvent) -> None:
        match event:
            case Connected():
                self._greet()
            case Disconnected(reason, code):
                self._part(reason, code)
            case Delivered(token, reason):
                self._delivered(token, reason)
            case Refused(token, reason):
                self._refused(token, reason)
            case Received():
                if (reply := self._desk.take(event)) is not None:
                    self.publish(reply)

    def _greet(self) -> None:
        """After each connect: subscribe, then all retained state, ``online`` last, then rows."""
        _log.info("broker: connected")
        self._inflight.clear()
        self._parked.clear()
        self._heard.clear()
        self._again.clear()
        self._told = ""
        self._sealer.connected()
        station = self._station()
        online = encode_availability(True, station)
        with self._lock:
            self._connected = self._tried = True
            self._slots.pop(online.topic, None)
            self._slots[online.topic] = online
            self._changed = deque(self._slots)
        self._health.connected()
        self._sink.subscribe(station.topics.subscriptions)
        self._store.rows.serve(anew=True)

    def _part(self, reason: str, code: ReasonCode) -> None:
        if reason != self._told:
            self._told = reason
            _log.warning("broker: not connected: %s", reason)
        rows = self._rows_in_flight()
        with self._lock:
            self._connected, self._tried = False, True
            self._transient.clear()
        self._inflight.clear()
        self._store.rows.suspend(rows)
        self._health.disconnected(reason, len(rows), code)

    def _rows_in_flight(self) -> list[Row]:
        return [item for item in self._inflight.values() if isinstance(item, Row)]

    def _delivered(self, token: int, reason: int) -> None:
        item = self._inflight.pop(token, None)
        if item is None:
            return
        if isinstance(item, Row):
            self._health.allowed(item.message.topic)
            if self._app_ack and reason == NO_SUBSCRIBER:
                self._hold_back(item)
            elif self._app_ack:
                self._heard.add(item.message.topic)
                self._store.rows.rest(item, time.monotonic() + CONFIRM_S)
            else:
                self._store.ack(item, no_subscriber=reason == NO_SUBSCRIBER)
            if not self._sealer.is_replay(item):
                age_ns = time.monotonic_ns() - captured_ns(item)
                self._health.puback_ms.add(age_ns / 1e6)
        else:
            self._health.allowed(item.topic)

    def _refused(self, token: int, reason: int) -> None:
        item = self._inflight.pop(token, None)
        if item is None:
            return
        topic = item.message.topic if isinstance(item, Row) else item.topic
        if reason == NOT_AUTHORIZED:
            self._health.refused(topic, "the broker's access list forbids it")
        wait_s = PARK_S if reason == NOT_AUTHORIZED else PARK_OTHER_S
        if not isinstance(item, Row):
            _log.warning("%s: refused by the broker with reason %d", topic, reason)
            if item.way == "latest" and reason not in NEVER:
                self._again[topic] = time.monotonic() + wait_s
        elif reason in NEVER:
            _log.error("%s: buried: refused by the broker with reason %d", topic, reason)
            self._store.bury(item, f"refused by the broker with reason {reason}")
        else:
            self._store.rows.release(item)
            if topic not in self._parked:
                _log.warning("%s: refused with reason %d, waits %g s", topic, reason, wait_s)
                self._parked[topic] = time.monotonic() + wait_s
                self._store.rows.serve(parked=frozenset(self._parked))

    def _unpark(self) -> None:
        now = time.monotonic()
        if now >= self._look_again and self._app_ack and self._connected:
            self._look_again = now + LOOK_AGAIN_S
            self._store.rows.offer_rested()
        due = [topic for topic, moment in self._parked.items() if moment <= now]
        for topic in due:
            del self._parked[topic]
        if due and self._connected:
            self._store.rows.serve(parked=frozenset(self._parked))
        for topic in [topic for topic, moment in self._again.items() if moment <= now]:
            del self._again[topic]
            with self._lock:
                if topic not in self._changed:
                    self._changed.append(topic)
