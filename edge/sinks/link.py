"""One connection to a broker: paho-mqtt as the transport, without its threads and queues.

A link lives as long as its TCP connection. The next connection is a new link with a new client,
so that nothing paho remembers can be sent again: what is not acknowledged is the caller's.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.records import Message
from edge.sinks.happening import Arrived, Ended, Greeted, Happening, Published
from edge.sinks.mqtt_settings import MqttSettings

logger = logging.getLogger(__name__)

_WILL_DELAY_S = 5
# What we take from the broker: a command of 64 KiB with its topic and properties.
_MAX_INCOMING_BYTES = 66 << 10
_CONNECTION_LOST = 128  # paho's own codes for a socket that was closed
_KEEP_ALIVE = 141  # and for a broker that does not answer


class _Client(paho.Client):
    """A client that takes a socket that is connected already.

    paho itself would wait for the connection and the TLS handshake, for seconds, and could not be
    interrupted by the end of the service.
    """

    def __init__(self, ready: socket.socket, **options: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, **options)
        self._ready = ready

    def _create_socket(self) -> socket.socket:
        return self._ready


class Link:
    """MQTT over a connected socket; the CONNECT packet is sent at once.

    Parameters
    ----------
    settings
        Who we are.
    will
        What the broker says when the connection breaks.
    ready
        The connected socket; belongs to the link.
    session_expiry_s
        How long the broker keeps our subscriptions while we are away; 0: a clean session.
    """

    def __init__(
        self,
        settings: MqttSettings,
        will: Message | None,
        ready: socket.socket,
        session_expiry_s: int,
    ) -> None:
        self._five = settings.protocol == "5"
        self._patience_s = 2.0 * settings.keepalive_s
        self._heard_at = time.monotonic()
        self._happened: list[Happening] = []
        self._address = settings.address
        clean = session_expiry_s == 0
        client = _Client(
            ready,
            client_id=settings.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            clean_session=None if self._five else clean,
            reconnect_on_failure=False,
        )
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        if will is not None:
            properties = None
            if self._five:
                properties = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=_WILL_DELAY_S)
            client.will_set(will.topic, will.payload, will.qos, will.retain, properties)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        self._client = client
        hello = None
        if self._five:
            hello = _properties(
                PacketTypes.CONNECT,
                SessionExpiryInterval=session_expiry_s,
                MaximumPacketSize=_MAX_INCOMING_BYTES,
            )
        start: Any = clean if self._five else paho.MQTT_CLEAN_START_FIRST_ONLY
        self._guard(
            lambda: client.connect(
                settings.host,
                settings.port,
                settings.keepalive_s,
                clean_start=start,
                properties=hello,
            )
        )

    @property
    def socket(self) -> socket.socket | None:
        """To wait for; None when the connection has gone."""
        found: Any = self._client.socket()
        return found if isinstance(found, socket.socket) and found.fileno() >= 0 else None

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be written."""
        return self._client.want_write()

    @property
    def unread(self) -> bool:
        """Whether TLS has decrypted bytes that a poll of the socket does not show."""
        found = self.socket
        return isinstance(found, ssl.SSLSocket) and found.pending() > 0

    @property
    def silent_at(self) -> float:
        """When the broker has been silent for too long, unless something comes: twice the
        keepalive, whatever the moments at which paho is asked to look after its pings.
        """
        return self._heard_at + self._patience_s

    def read(self) -> None:
        """Take what came."""
        self._heard_at = time.monotonic()
        self._guard(self._client.loop_read)

    def write(self) -> None:
        """Write what waits."""
        self._guard(self._client.loop_write)

    def keep_alive(self) -> None:
        """Ping when it is time, end the connection when the broker does not answer pings."""
        self._guard(self._client.loop_misc)
        if self.socket is not None and time.monotonic() >= self.silent_at:
            self._happened.append(Ended(_KEEP_ALIVE, "keep alive timeout"))
            self.close()

    def publish(self, message: Message) -> int | None:
        """Send a message; returns its packet id, None when the connection has gone."""
        properties = self._message_properties(message)
        sent: list[paho.MQTTMessageInfo] = []

        def publish() -> MQTTErrorCode:
            info = self._client.publish(
                message.topic, message.payload, message.qos, message.retain, properties
            )
            sent.append(info)
            return info.rc

        self._guard(publish)
        return sent[0].mid if sent and self.socket is not None else None

    def packet_bytes(self, message: Message) -> int:
        """Size of the PUBLISH packet that ``publish`` would send."""
        rest = 2 + len(message.topic.encode()) + (2 if message.qos else 0) + len(message.payload)
        if self._five:
            properties = self._message_properties(message)
            rest += 1 if properties is None else len(properties.pack())  # type: ignore[no-untyped-call]
        return 1 + max(1, -(-rest.bit_length() // 7)) + rest

    def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for topics with QoS 1. Retained messages keep their mark, live ones too."""
        if self._five:
            options = SubscribeOptions(qos=1, retainAsPublished=True)
            self._guard(lambda: self._client.subscribe([(topic, options) for topic in topics])[0])
        else:
            self._guard(lambda: self._client.subscribe([(topic, 1) for topic in topics])[0])

    def disconnect(self) -> None:
        """Say good-bye; the broker does not send the will then."""
        self._guard(self._client.disconnect)

    def take(self) -> list[Happening]:
        """What happened since the last call, in order."""
        happened, self._happened = self._happened, []
        return happened

    def close(self) -> None:
        """Close the socket, without a word if ``disconnect`` was not called."""
        found = self.socket
        if found is not None:
            found.close()

    def _guard(self, call: Callable[[], MQTTErrorCode]) -> None:
        """Call paho; whatever goes wrong ends this connection and nothing else."""
        try:
            call()
        except Exception as error:  # noqa: BLE001 -- hostile bytes make paho raise all sorts
            logger.warning(
                "%s: %s in the MQTT client: %s", self._address, type(error).__name__, error
            )
            self._happened.append(Ended(0, f"client failed: {type(error).__name__}"))
            self.close()

    def _message_properties(self, message: Message) -> Properties | None:
        if not self._five:
            return None
        values: dict[str, object] = {}
        if message.expiry_s is not None:
            values["MessageExpiryInterval"] = message.expiry_s
        if "correlation_data" in message.properties:
            values["CorrelationData"] = bytes.fromhex(message.properties["correlation_data"])
        return _properties(PacketTypes.PUBLISH, **values) if values else None

    # paho's callbacks: they note what happened and decide nothing.

    def _on_connect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        limits: object,
    ) -> None:
        self._happened.append(
            Greeted(
                int(reason.value),
                str(reason),
                int(getattr(limits, "ReceiveMaximum", 65535)),
                getattr(limits, "MaximumPacketSize", None),
            )
        )

    def _on_publish(
        self, _client: paho.Client, _data: object, mid: int, reason: ReasonCode, _more: object
    ) -> None:
        self._happened.append(Published(mid, int(reason.value)))

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            logger.warning("%s: a message on a topic that is not UTF-8", self._address)
            return
        properties = message.properties
        self._happened.append(
            Arrived(
                topic,
                bytes(message.payload),
                bool(message.retain),
                getattr(properties, "ResponseTopic", None),
                getattr(properties, "CorrelationData", None),
            )
        )

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, codes: list[ReasonCode], _more: object
    ) -> None:
        for code in codes:
            if code.value >= 128:
                logger.warning("%s: a subscription was refused: %s", self._address, code)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _more: object,
    ) -> None:
        said = flags.is_disconnect_packet_from_server
        silent = not said and reason.value == _CONNECTION_LOST
        self._happened.append(Ended(int(reason.value), str(reason), silent))


def _properties(packet: int, **values: object) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
