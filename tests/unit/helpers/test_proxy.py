"""The faulty network that other tests lean on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.fakes import wait_until
from tests.helpers.proxy import FaultProxy


class Echo:
    """Answers every connection with what it says; ``got`` is all that came."""

    def __init__(self) -> None:
        self.got = b""
        self.ends: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=[taken], daemon=True).start()

    def _answer(self, taken: socket.socket) -> None:
        try:
            while part := taken.recv(4096):
                self.got += part
                taken.sendall(part)
            self.ends.append("end")
        except OSError:
            self.ends.append("reset")
        taken.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a test has closed it already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    """See ``Echo``."""
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    """A proxy in front of the echo."""
    with FaultProxy(echo.port) as running:
        yield running


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    """A client that waits 5 s for an answer."""
    with dial(proxy) as found:
        yield found


def dial(proxy: FaultProxy) -> socket.socket:
    """A connection through the proxy."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5.0)


def hear(client: socket.socket, count: int) -> bytes:
    """So many bytes."""
    found = b""
    while len(found) < count:
        part = client.recv(count - len(found))
        assert part, f"ended after {found!r}"
        found += part
    return found


def hears_nothing(client: socket.socket, seconds: float = 0.2) -> bool:
    """Whether the client gets neither a byte nor an end for so long."""
    client.settimeout(seconds)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(5.0)
    return False


def test_passes_everything_and_the_end(echo: Echo, client: socket.socket) -> None:
    """A megabyte goes to and fro unchanged, and a FIN goes through."""
    sent = bytes(range(256)) * 4096
    sender = threading.Thread(target=client.sendall, args=[sent])
    sender.start()
    assert hear(client, len(sent)) == sent
    sender.join()
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    wait_until(lambda: echo.ends == ["end"])


def test_blackhole_holds_and_heals(proxy: FaultProxy, echo: Echo, client: socket.socket) -> None:
    """Nothing passes and nobody is told; what was held arrives when the path is back."""
    client.sendall(b"a")
    assert hear(client, 1) == b"a"
    proxy.blackhole()
    client.sendall(b"bc")
    assert hears_nothing(client)
    assert echo.got == b"a"
    proxy.heal()
    assert hear(client, 2) == b"bc"


def test_blackhole_answers_no_new_connection(proxy: FaultProxy) -> None:
    """A connection that is tried meanwhile is not answered; afterwards one is."""
    proxy.blackhole()
    with pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=0.5)
    assert proxy.moments == []
    proxy.heal()
    with dial(proxy) as client:
        client.sendall(b"x")
        assert hear(client, 1) == b"x"


@pytest.mark.parametrize("held", ["up", "down"])
def test_blackhole_of_one_direction(
    proxy: FaultProxy, echo: Echo, client: socket.socket, held: str
) -> None:
    """With one direction held the other one passes."""
    client.sendall(b"a")
    assert hear(client, 1) == b"a"
    proxy.blackhole("up" if held == "up" else "down")
    client.sendall(b"b")
    assert hears_nothing(client)
    assert echo.got == (b"a" if held == "up" else b"ab")
    proxy.heal()
    assert hear(client, 1) == b"b"


def test_drop_loses_one_way(proxy: FaultProxy, echo: Echo, client: socket.socket) -> None:
    """What is dropped never arrives, the other way passes; a later connection is whole again."""
    proxy.drop("down")
    client.sendall(b"abc")
    wait_until(lambda: proxy.lost == 3)
    assert echo.got == b"abc"
    proxy.heal()
    client.sendall(b"d")
    assert hears_nothing(client)
    with dial(proxy) as other:
        other.sendall(b"e")
        assert hear(other, 1) == b"e"


def test_cut_spares_new_connections(proxy: FaultProxy, echo: Echo, client: socket.socket) -> None:
    """A cut connection loses both ways and its FIN; a new one passes without healing."""
    client.sendall(b"a")
    assert hear(client, 1) == b"a"
    proxy.cut()
    client.sendall(b"b")
    wait_until(lambda: proxy.lost == 1)
    client.shutdown(socket.SHUT_WR)
    assert hears_nothing(client)
    assert (echo.got, echo.ends) == (b"a", [])
    with dial(proxy) as other:
        other.sendall(b"c")
        assert hear(other, 1) == b"c"


def test_silence_takes_and_never_answers(proxy: FaultProxy, client: socket.socket) -> None:
    """A connection is taken, nothing comes of it, and live ones go on."""
    wait_until(lambda: proxy.live == 1)
    proxy.silence()
    with dial(proxy) as other:
        other.sendall(b"x")
        assert hears_nothing(other)
        client.sendall(b"y")
        assert hear(client, 1) == b"y"
    wait_until(lambda: proxy.live == 1)


def test_reset_tells_both_ends(proxy: FaultProxy, echo: Echo, client: socket.socket) -> None:
    """A reset is an error at both ends, at once."""
    client.sendall(b"a")
    assert hear(client, 1) == b"a"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    wait_until(lambda: echo.ends == ["reset"])
    assert (proxy.live, proxy.resets) == (0, 1)


def test_reset_after_counts_bytes(proxy: FaultProxy, echo: Echo) -> None:
    """The connection is reset behind exactly so many bytes of both directions."""
    proxy.reset_after(lambda: 5)
    with dial(proxy) as client:
        client.sendall(b"abcd")
        assert hear(client, 1) == b"a"
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert echo.got == b"abcd"


def test_refuse_resets_each_connection(proxy: FaultProxy, client: socket.socket) -> None:
    """Live and new connections are reset until the proxy is healed."""
    wait_until(lambda: proxy.live == 1)
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionResetError), dial(proxy) as late:
        late.recv(1)
    proxy.heal()
    with dial(proxy) as other:
        other.sendall(b"x")
        assert hear(other, 1) == b"x"


def test_slow_keeps_rate_and_latency(proxy: FaultProxy, client: socket.socket) -> None:
    """40 bytes at 100 a second, 0.1 s late each way, take as long as they must; all arrive."""
    proxy.slow(100, latency_s=0.1)
    began = time.monotonic()
    client.sendall(b"x" * 40)
    first = hear(client, 1)
    assert time.monotonic() - began >= 0.2
    assert first + hear(client, 39) == b"x" * 40
    assert 0.5 <= time.monotonic() - began < 3.0


def test_target_away_is_a_reset(echo: Echo) -> None:
    """When nobody listens behind the proxy the client is reset."""
    echo.close()
    with FaultProxy(echo.port) as proxy:
        with pytest.raises(ConnectionResetError), dial(proxy) as client:
            client.recv(1)
        proxy.close()
        proxy.close()
    assert not any(thread.name == "proxy" for thread in threading.enumerate())
