"""One attempt to open a TCP or TLS connection, in steps that never wait.

Only the look-up of a name waits: there is no portable way to interrupt it.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import time
from collections import deque

from edge.errors import BrokerUnreachable, ConfigError
from edge.sinks import mqtt_errors
from edge.sinks.mqtt_settings import MqttSettings


def tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    """TLS 1.2 or later with certificate and host name checked; None for plain TCP.

    Raises
    ------
    ConfigError
        A certificate or key file cannot be read.
    """
    if settings.ca is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.ca))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"[mqtt] ca {settings.ca}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert is not None and settings.key is not None:
        try:
            context.load_cert_chain(settings.cert, settings.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"[mqtt] cert {settings.cert}, key {settings.key}: {error}"
            ) from error
    return context


class Dial:
    """Tries every address of the broker, each for its share of the time.

    Parameters
    ----------
    settings
        Where to.
    context
        Of ``tls_context``.
    timeout_s
        For all addresses together, TLS handshake included.

    Raises
    ------
    BrokerUnreachable
        The name cannot be resolved, or no address answers.
    """

    def __init__(
        self, settings: MqttSettings, context: ssl.SSLContext | None, timeout_s: float
    ) -> None:
        self._settings = settings
        self._context = context
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._wants = select.POLLOUT
        try:
            found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise BrokerUnreachable(
                f"{settings.address}: host name not resolved: {_reason(error)}",
                hint="check [mqtt].host and the network's name server",
            ) from error
        self._addresses = deque(found)
        self._end = time.monotonic() + timeout_s
        self.deadline = self._end
        self._next_address(None)

    @property
    def wants(self) -> tuple[int, int]:
        """File descriptor and poll mask to wait for before the next ``step``."""
        assert self._socket is not None
        return self._socket.fileno(), self._wants

    def step(self) -> socket.socket | None:
        """Go on as far as possible without waiting.

        Returns the connected socket, which belongs to the caller then, or None when there is more
        to wait for.

        Raises
        ------
        BrokerUnreachable
            The last address failed.
        """
        assert self._socket is not None
        if time.monotonic() >= self.deadline:
            self._next_address(TimeoutError())
            return None
        try:
            if not isinstance(self._socket, ssl.SSLSocket):
                if not _ready(self._socket, self._wants):
                    return None
                code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, os.strerror(code))
                # Messages are small and wait for an answer each: no collecting of packets.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is None:
                    return self._take()
                self._socket = self._context.wrap_socket(
                    self._socket,
                    server_hostname=self._settings.host,
                    do_handshake_on_connect=False,
                )
            self._socket.do_handshake()
            return self._take()
        except ssl.SSLWantReadError:
            self._wants = select.POLLIN
        except ssl.SSLWantWriteError:
            self._wants = select.POLLOUT
        except ConnectionError as error:
            if isinstance(self._socket, ssl.SSLSocket):
                self._next_address(ssl.SSLError(0, f"{_reason(error)} in the handshake"))
            else:
                self._next_address(error)
        except OSError as error:
            self._next_address(error)
        return None

    def close(self) -> None:
        """Give up. Harmless when called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _take(self) -> socket.socket:
        taken, self._socket = self._socket, None
        assert taken is not None
        return taken

    def _next_address(self, error: OSError | None) -> None:
        """Start with the next address; raises for the last one's error when there is none."""
        while True:
            self.close()
            if not self._addresses:
                raise self._unreachable(error or OSError("has no address")) from error
            family, kind, protocol, _, address = self._addresses.popleft()
            now = time.monotonic()
            self.deadline = now + max(0.0, self._end - now) / (len(self._addresses) + 1)
            self._wants = select.POLLOUT
            try:
                self._socket = socket.socket(family, kind, protocol)
                self._socket.setblocking(False)
                code = self._socket.connect_ex(address)
            except OSError as failed:
                error = failed
                continue
            if code in (0, errno.EINPROGRESS):
                return
            error = OSError(code, os.strerror(code))

    def _unreachable(self, error: OSError) -> BrokerUnreachable:
        address = self._settings.address
        if isinstance(error, ConnectionRefusedError):
            return BrokerUnreachable(
                f"{address}: connection refused", hint="is the broker running, on that port?"
            )
        if isinstance(error, TimeoutError):
            return mqtt_errors.unanswered(self._settings, self._timeout_s)
        if isinstance(error, ssl.SSLCertVerificationError):
            return mqtt_errors.TlsFailed(
                f"{address}: certificate verify failed: {error.verify_message}",
                hint="check [mqtt].ca, the host name in the certificate and this machine's clock",
            )
        if isinstance(error, ssl.SSLError):
            return mqtt_errors.TlsFailed(
                f"{address}: TLS failed: {_reason(error)}", hint="is this the broker's TLS port?"
            )
        return BrokerUnreachable(f"{address}: {_reason(error)}")


def _ready(sock: socket.socket, mask: int) -> bool:
    poller = select.poll()
    poller.register(sock, mask)
    return bool(poller.poll(0))


def _reason(error: Exception) -> str:
    # Only an error that comes from OpenSSL itself has a reason.
    if isinstance(error, ssl.SSLError) and getattr(error, "reason", None):
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
