"""Messages to systemd, received on a real socket."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import notify


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A datagram socket such as systemd listens on, at a path and in the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        if request.param == "path":
            name = str(tmp_path / "notify")
            server.bind(name)
        else:
            name = f"@linesight-{uuid.uuid4()}"
            server.bind("\0" + name[1:])
        server.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield server


def test_each_call_is_one_datagram(systemd: socket.socket) -> None:
    """The four messages arrive as systemd spells them."""
    notify.ready()
    notify.watchdog()
    notify.status("2 cameras, broker connected")
    notify.stopping()

    assert [systemd.recv(4096) for _ in range(4)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b"STATUS=2 cameras, broker connected",
        b"STOPPING=1",
    ]


def test_a_status_cannot_smuggle_in_another_message(systemd: socket.socket) -> None:
    """A line break in a status text, which would begin another variable, becomes a space."""
    notify.status("camera gone\nMAINPID=1\r\nREADY=1")

    assert systemd.recv(4096) == b"STATUS=camera gone MAINPID=1 READY=1"


def test_a_status_may_hold_any_text(systemd: socket.socket) -> None:
    """Text outside ASCII arrives as UTF-8, and undecodable file names do no harm."""
    notify.status("Kamera „Tür“ \udcff")

    assert systemd.recv(4096) == "STATUS=Kamera „Tür“ ?".encode()


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """No NOTIFY_SOCKET, no message and no error."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(socket, "socket", None)

    notify.ready()
    notify.watchdog()
    notify.status("running")
    notify.stopping()


def test_a_dead_socket_is_logged_and_forgiven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When nobody listens the service goes on, and the log says which message was lost."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))

    notify.watchdog()

    assert "does not take WATCHDOG" in caplog.text


@pytest.mark.parametrize(
    ("microseconds", "process", "seconds"),
    [
        ("30000000", None, 30.0),
        ("30000000", "own", 30.0),
        ("30000000", "1", None),
        (None, None, None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdog_interval_is_ours_or_nobodys(
    monkeypatch: pytest.MonkeyPatch,
    microseconds: str | None,
    process: str | None,
    seconds: float | None,
) -> None:
    """The interval comes from WATCHDOG_USEC, unless WATCHDOG_PID names another process."""
    values = {
        "WATCHDOG_USEC": microseconds,
        "WATCHDOG_PID": str(os.getpid()) if process == "own" else process,
    }
    for name, value in values.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    assert notify.watchdog_interval() == seconds
