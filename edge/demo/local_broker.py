"""A broker on this machine alone, for as long as something is measured or shown."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from edge.errors import ExtraAbsent, SinkError
from edge.sinks.mqtt_settings import Protocol

HOST = "127.0.0.1"
_START_S = 10.0
_STOP_S = 5.0
_ATTEMPTS = 3
_SBIN = "/usr/sbin:/usr/local/sbin"
"""Debian puts mosquitto where an ordinary user's PATH does not lead."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class LocalBroker:
    """``name`` and ``version`` say what it is, ``where`` whether it is a process of its own."""

    name: str
    version: str
    where: str
    port: int
    protocol: Protocol


@contextmanager
def local_broker() -> Iterator[LocalBroker]:
    """A mosquitto on a random port of 127.0.0.1, where it is not installed the demo's broker.

    Raises
    ------
    SinkError
        The broker does not start.
    ExtraAbsent
        There is neither.
    """
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SBIN)
    if program is not None:
        with _mosquitto(program) as port:
            yield LocalBroker("mosquitto", _version(program), "a process of its own", port, "5")
        return
    try:
        from edge.demo.broker import EmbeddedBroker
    except ModuleNotFoundError as error:
        raise ExtraAbsent(
            f"a broker to measure with is not installed: {error}",
            hint="install mosquitto, or pip install 'linesight[demo]'",
        ) from error
    with EmbeddedBroker() as broker:
        yield LocalBroker("amqtt", version("amqtt"), "in this process", broker.port, "3.1.1")


@contextmanager
def _mosquitto(program: str) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="linesight-broker-") as folder:
        for _ in range(_ATTEMPTS):  # another program may take the port between the two steps
            port = free_port()
            started = _start(program, Path(folder), port)
            if started is not None:
                break
        else:
            raise SinkError(f"{program}: does not start")
        try:
            yield port
        finally:
            _end(started)


def _start(program: str, folder: Path, port: int) -> subprocess.Popen[bytes] | None:
    """The broker, once it takes connections; None when it ended at once.

    Raises
    ------
    SinkError
        It neither ends nor listens.
    """
    file = folder / "mosquitto.conf"
    lines = (f"listener {port} {HOST}", "allow_anonymous true", "persistence false", "")
    file.write_text("\n".join(lines), encoding="utf-8")
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen([program, "-c", str(file)], stdout=nowhere, stderr=nowhere)
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            return None
        with suppress(OSError):
            socket.create_connection((HOST, port), timeout=1.0).close()
            return process
    _end(process)
    raise SinkError(f"{program}: does not listen after {_START_S:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _version(program: str) -> str:
    """``2.0.11`` of ``mosquitto version 2.0.11``, the first line of its help."""
    done = subprocess.run(
        [program, "-h"], capture_output=True, text=True, timeout=_START_S, check=False
    )
    words = done.stdout.split()
    return words[2] if len(words) > 2 else "?"
