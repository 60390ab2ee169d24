"""How to reach a broker."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge.errors import ConfigError

Protocol = Literal["5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """How to reach a broker, and as whom.

    Parameters
    ----------
    host, port
        A name is resolved at every attempt to connect; an IPv6 address may stand in brackets.
    client_id
        Unique at the broker: a second client with the same id takes the connection over.
    protocol
        MQTT 3.1.1 hides refused messages from their sender: only by name.
    username, password
        The password stands in no text that this package makes.
    ca
        PEM file of the authorities that the broker's certificate must come from; makes the
        connection TLS 1.2 or later, with the host name checked. Without it TCP is plain.
    cert, key
        PEM files of our own certificate, when the broker asks for one.
    insecure
        Plain TCP to another host is wanted.
    keepalive_s
        A silent broker is noticed after at most twice as long.

    Raises
    ------
    ConfigError
        Plain TCP to another host without ``insecure``, or certificates that do not go together.
    """

    host: str
    client_id: str
    port: int = 1883
    protocol: Protocol = "5"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False
    keepalive_s: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", bare_host(self.host))
        if self.ca is None and not self.insecure and not is_local(self.host):
            raise ConfigError(
                f"[mqtt] host {self.host!r}: plain TCP to another host",
                hint="give ca = FILE for TLS, or insecure = true if the network is trusted",
            )
        if (self.cert is None) != (self.key is None) or (self.cert and self.ca is None):
            raise ConfigError("[mqtt] cert, key: go together, and need ca")

    @property
    def address(self) -> str:
        """``host:port`` for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def bare_host(host: str) -> str:
    """``[::1]``, as in a URI, is ``::1`` for a name server and for a certificate."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def is_local(host: str) -> bool:
    """Whether a host is this machine by its very name: ``localhost`` or a loopback address.

    ``printer.localhost`` is not: many resolvers ask the network for it.
    """
    try:
        return ipaddress.ip_address(bare_host(host)).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
