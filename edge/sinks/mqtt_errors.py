"""Why there is no connection to a broker, in one line each, with the remedy."""

from __future__ import annotations

from edge.errors import BrokerRefused, BrokerUnreachable, SinkError
from edge.sinks.happening import Ended, Greeted
from edge.sinks.mqtt_settings import MqttSettings

TAKEN_OVER = 0x8E
_KEEP_ALIVE = 141  # paho's own code for a broker that no longer answers pings
_NOT_MQTT_HINT = "is this the broker's port, TLS on both sides or on none, MQTT 5 known there?"


def unanswered(settings: MqttSettings, timeout_s: float) -> BrokerUnreachable:
    """Nobody at the address answered in time."""
    return BrokerUnreachable(
        f"{settings.address}: no answer within {timeout_s:g} s",
        hint="check the address, the cable and the firewall",
    )


def silent(settings: MqttSettings) -> BrokerUnreachable:
    """The connection stands, and no CONNACK comes."""
    return BrokerUnreachable(
        f"{settings.address}: takes connections but does not answer as an MQTT broker",
        hint=_NOT_MQTT_HINT,
    )


def refused(settings: MqttSettings, greeted: Greeted) -> BrokerRefused:
    """CONNACK says no."""
    hint = ""
    match greeted.code:
        case 134 | 135:
            reason = "not authorised"
            hint = "check [mqtt].username, the password and the broker's access list"
        case 132:
            reason = f"does not speak MQTT {settings.protocol}"
            if settings.protocol == "5":
                hint = 'set [mqtt].protocol = "3.1.1" (it hides refused messages)'
        case 133:
            reason = f"client id {settings.client_id!r} refused"
        case _:
            reason = f"refused: {greeted.name.lower()}"
    return BrokerRefused(f"{settings.address}: {reason}", hint=hint)


def ended(settings: MqttSettings, how: Ended, *, greeted: bool) -> SinkError:
    """The connection has gone, before or after the broker had ``greeted`` us."""
    if not greeted:
        return BrokerUnreachable(
            f"{settings.address}: closed the connection before it answered", hint=_NOT_MQTT_HINT
        )
    if how.code == TAKEN_OVER:
        return BrokerRefused(
            f"{settings.address}: another client took over the id {settings.client_id!r}",
            hint="give every station a node id of its own",
        )
    if how.code == _KEEP_ALIVE:
        return BrokerUnreachable(
            f"{settings.address}: no answer to pings (keepalive {settings.keepalive_s} s)"
        )
    return BrokerUnreachable(f"{settings.address}: connection lost: {how.name.lower()}")
