"""A consumer as it should be: a persistent session, and each alert counted by (id, rev)."""

from __future__ import annotations

import json
from collections import Counter

import paho.mqtt.client as paho

from tests.helpers.broker import Subscriber

Key = tuple[str, int]


class Ledger(Subscriber):
    """Counts alerts of all cameras; other messages are collected only.

    Parameters
    ----------
    port
        The broker's.
    topic
        What it listens to.
    keep
        Keep the messages themselves, and not only count the alerts.
    """

    def __init__(self, port: int, topic: str = "linesight/#", *, keep: bool = True) -> None:
        super().__init__(port, topic, client_id="ledger")
        self.counts: Counter[Key] = Counter()
        self._keep = keep
        self._firsts: dict[str, list[int]] = {}

    def _on_message(self, client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/alert"):
            body = json.loads(message.payload)
            key = (body["id"], body["rev"])
            self.counts[key] += 1
            if self.counts[key] == 1:
                self._firsts.setdefault(body["cam"], []).append(body["seq"])
        if self._keep:
            super()._on_message(client, data, message)
        else:
            with self._changed:
                self._changed.notify_all()

    @property
    def numbers(self) -> set[int]:
        """Of the alerts that came, as ``alert_message`` got them."""
        return {int(key.split("-")[1]) for key, _ in list(self.counts)}

    @property
    def duplicates(self) -> int:
        """How often something came that had come before."""
        return self.counts.total() - len(self.counts)

    def wait_count(self, count: int, timeout_s: float = 20.0) -> None:
        """Until so many different alerts have come."""
        self.wait_for(lambda _: len(self.counts) >= count, timeout_s)

    def wait_number(self, number: int, timeout_s: float = 20.0) -> None:
        """Until an alert has come."""
        key = (f"{0:016x}-{number}", 1)
        self.wait_for(lambda _: self.counts[key] > 0, timeout_s)

    def firsts(self, camera: str = "c1") -> list[int]:
        """``seq`` of a camera's alerts in the order in which each came for the first time."""
        return list(self._firsts.get(camera, ()))

    @property
    def in_order(self) -> bool:
        """Whether each camera's alerts came in order, but for repetitions."""
        return all(firsts == sorted(firsts) for firsts in self._firsts.values())
