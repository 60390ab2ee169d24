"""Tell systemd how the service is: the ``sd_notify(3)`` protocol, one datagram a message.

Without ``NOTIFY_SOCKET`` in the environment (not started by systemd, or not ``Type=notify``) every
function does nothing. A message that cannot be sent is logged and lost: the service never fails
because its supervisor does not listen.
"""

from __future__ import annotations

import logging
import os
import socket

_log = logging.getLogger(__name__)

_SEND_TIMEOUT_S = 1.0


def ready() -> None:
    """The service has started: ``systemctl start`` returns."""
    _send("READY=1")


def watchdog() -> None:
    """The service is alive; due within every ``watchdog_interval()``."""
    _send("WATCHDOG=1")


def status(text: str) -> None:
    """One line for ``systemctl status``; line breaks become spaces."""
    # A line break would begin another variable of the protocol.
    _send("STATUS=" + " ".join(text.split()))


def stopping() -> None:
    """The service is shutting down."""
    _send("STOPPING=1")


def watchdog_interval() -> float | None:
    """Seconds within which systemd wants each ``watchdog()``, None when it does not watch us."""
    process = os.environ.get("WATCHDOG_PID")
    if process is not None and process != str(os.getpid()):
        return None
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 else None


def _send(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.settimeout(_SEND_TIMEOUT_S)
            client.sendto(message.encode(errors="replace"), address)
    except OSError as error:
        _log.warning("systemd does not take %s: %s", message.partition("=")[0], error)
