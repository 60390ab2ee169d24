"""Why there is no connection to a broker, in one line each, with the remedy."""

from __future__ import annotations

from edge.errors import BrokerRefused, BrokerUnreachable, SinkError
from edge.records import ReasonCode
from edge.sinks.happening import Ended, Greeted
from edge.sinks.mqtt_settings import MqttSettings
from edge.sinks.takeover import TAKEN_OVER

_KEEP_ALIVE = 141  # paho's own code for a broker that no longer answers pings
_NOT_AUTHORIZED = frozenset({134, 135, 138, 140})  # password, access list, banned, method
_NOT_MQTT_HINT = "is this the broker's port, TLS on both sides or on none, MQTT 5 known there?"


class TlsFailed(BrokerUnreachable):
    """The broker's certificate, or ours, is not taken; or nobody speaks TLS there."""


class NotAuthorized(BrokerRefused):
    """The broker knows neither us nor our password, or its access list forbids us to be there."""


class ClientIdTaken(BrokerRefused):
    """Another client uses our id."""


def code_of(error: SinkError) -> ReasonCode:
    """What the health message calls it."""
    match error:
        case TlsFailed():
            return "tls_failed"
        case NotAuthorized():
            return "not_authorized"
        case ClientIdTaken():
            return "client_id_conflict"
    return "broker_unreachable"


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
        case code if code in _NOT_AUTHORIZED:
            return _not_authorized(settings)
        case 132:
            reason = f"does not speak MQTT {settings.protocol}"
            if settings.protocol == "5":
                hint = 'set [mqtt].protocol = "3.1.1" (it hides refused messages)'
        case 133:
            reason = f"client id {settings.client_id!r} refused"
        case _:
            reason = f"refused: {greeted.name.lower()}"
    return BrokerRefused(f"{settings.address}: {reason}", hint=hint)


def not_greeted(settings: MqttSettings) -> BrokerUnreachable:
    """The connection has gone before CONNACK came."""
    reason = f"{settings.address}: closed the connection before it answered"
    # With TLS 1.3 the refusal of a client comes when the handshake is over.
    if settings.ca is not None and settings.cert is None:
        return TlsFailed(reason, hint="does the broker want a client certificate ([mqtt].cert)?")
    return BrokerUnreachable(reason, hint=_NOT_MQTT_HINT)


def taken_over(settings: MqttSettings, how: Ended) -> ClientIdTaken:
    """Another client took the connection away, as the broker says or as it seems."""
    said = "another client took over"
    seems = "closes every connection soon after its greeting: another client seems to use"
    return ClientIdTaken(
        f"{settings.address}: {said if how.code == TAKEN_OVER else seems} "
        f"the id {settings.client_id!r}",
        hint="give every station a node id of its own",
    )


def ended(settings: MqttSettings, how: Ended) -> SinkError:
    """The connection has gone for any other reason."""
    if how.code in _NOT_AUTHORIZED:
        return _not_authorized(settings)
    if how.code == _KEEP_ALIVE:
        return BrokerUnreachable(
            f"{settings.address}: no answer to pings (keepalive {settings.keepalive_s} s)"
        )
    return BrokerUnreachable(f"{settings.address}: connection lost: {how.name.lower()}")


def _not_authorized(settings: MqttSettings) -> NotAuthorized:
    return NotAuthorized(
        f"{settings.address}: not authorised",
        hint="check [mqtt].username, the password and the broker's access list",
    )
