"""Commands from strangers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.inbox import ALWAYS_ON, MAX_BYTES, SAMPLES, VERBS, CommandRefused, Inbox, parse_command
from edge.messages import Topics
from edge.records import Command, EncoderSample

TOPICS = Topics("linesight", "n1")
CAMERAS = frozenset({"door"})
PING = "linesight/n1/cmd/ping"


def parse(payload: bytes, topic: str = PING, *, retain: bool = False) -> Command:
    """Parse with nothing allowed but what is always on."""
    return parse_command(topic, payload, retain, "answers", b"\1", TOPICS, CAMERAS, frozenset(), 77)


def ping(txn: str) -> Command:
    """A ping with a txn."""
    return parse(json.dumps({"txn": txn}).encode())


def test_ping() -> None:
    """A ping is a typed command; what stands beside ``txn`` are its arguments."""
    command = parse(b'{"txn": "t-1", "why": [1]}', "linesight/n1/cam/door/cmd/ping")
    assert command == Command("ping", "t-1", "door", {"why": [1]}, "answers", b"\1", 77)
    assert ping("x").camera is None


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "junk"),
        (b"\xff\xfe\x00", "junk"),
        (b"[]", "junk"),
        (b'"txn"', "junk"),
        (b"{'txn': 1}", "junk"),
        (b'{"txn": "a", "x": NaN}', "junk"),
        (b'{"txn": "a", "x": ' + b"9" * 10_000 + b"}", "junk"),
        (b"[" * 10_000, "too_deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep"),
        (b" " * (MAX_BYTES + 1), "too_large"),
        (b"x" * (1 << 20), "too_large"),
        (b"{}", "no_txn"),
        (b'{"txn": 5}', "no_txn"),
        (b'{"txn": ""}', "no_txn"),
        (b'{"txn": "a\\u0000b"}', "no_txn"),
        (b'{"txn": "a\\nb"}', "no_txn"),
        (json.dumps({"txn": "x" * 129}).encode(), "no_txn"),
    ],
)
def test_bad_payloads(payload: bytes, code: str) -> None:
    """Each kind of bad payload is refused with its own code."""
    with pytest.raises(CommandRefused) as caught:
        parse(payload)
    assert caught.value.code == code
    assert caught.value.command is None  # nobody to tell


def test_retained_is_refused() -> None:
    """A retained command would come again with every reconnect."""
    with pytest.raises(CommandRefused) as caught:
        parse(b'{"txn": "a"}', retain=True)
    assert caught.value.code == "retained"


def test_unknown_cameras() -> None:
    """A command for a camera that the station does not have is refused."""
    with pytest.raises(CommandRefused) as caught:
        parse(b'{"txn": "a"}', "linesight/n1/cam/nosuch/cmd/ping")
    assert caught.value.code == "unknown_camera"
    assert parse(b'{"txn": "a"}', "linesight/n1/cam/door/cmd/ping").camera == "door"


def test_a_refusal_with_a_txn_can_be_answered() -> None:
    """The error carries who asked and where the answer goes."""
    with pytest.raises(CommandRefused) as caught:
        parse(b'{"txn": "t-9"}', "linesight/n1/cmd/reboot")
    command = caught.value.command
    assert command is not None
    assert (command.verb, command.txn) == ("reboot", "t-9")
    assert (command.response_topic, command.correlation) == ("answers", b"\1")


@pytest.mark.parametrize(
    "topic",
    [
        "linesight/n1/cmd/reboot",
        "linesight/n1/cmd/../../etc/passwd",
        "linesight/n2/cmd/ping",
        "linesight/n1/cmd/PING",
    ],
)
def test_unknown_verbs(topic: str) -> None:
    """Only a closed list of verbs on the station's own topics is known."""
    with pytest.raises(CommandRefused) as caught:
        parse(b'{"txn": "a"}', topic)
    assert caught.value.code == "unknown_verb"


def test_verbs_need_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """A known verb that ``allow_commands`` does not name is refused, and taken when it does."""
    monkeypatch.setattr("edge.inbox.VERBS", frozenset({"ping", "reload"}))
    topic = "linesight/n1/cmd/reload"
    with pytest.raises(CommandRefused) as caught:
        parse(b'{"txn": "a"}', topic)
    assert caught.value.code == "not_allowed"
    taken = parse_command(
        topic, b'{"txn": "a"}', False, None, None, TOPICS, CAMERAS, frozenset({"reload"}), 0
    )
    assert taken.verb == "reload"


def test_always_on_is_known() -> None:
    """What is always on is carried out."""
    assert ALWAYS_ON <= VERBS


def test_text_cannot_forge_a_log_line() -> None:
    """What a stranger wrote is escaped and shortened in the error's one line."""
    with pytest.raises(CommandRefused) as caught:
        parse(b"{}", "linesight/n1/cmd/x\nERROR all is lost" + "y" * 5000)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(payload=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_nothing_else_is_raised(payload: bytes) -> None:
    """Any bytes give a command or a ``CommandRefused``."""
    try:
        parse(payload)
    except CommandRefused as error:
        assert error.code in {"junk", "no_txn", "too_deep"}  # noqa: PT017


def test_first_in_first_out() -> None:
    """Commands come out in the order they came in; an empty inbox gives None."""
    inbox = Inbox()
    inbox.put(ping("a"))
    inbox.put(ping("b"))
    first, second = inbox.get(), inbox.get()
    assert first is not None
    assert second is not None
    assert (first.txn, second.txn, inbox.get()) == ("a", "b", None)


def test_full_inbox_refuses_and_takes_it_later() -> None:
    """A full inbox refuses without using the ``txn`` up."""
    inbox = Inbox(capacity=2)
    inbox.put(ping("a"))
    inbox.put(ping("b"))
    with pytest.raises(CommandRefused) as caught:
        inbox.put(ping("c"))
    assert caught.value.code == "full"
    assert caught.value.command == ping("c")
    inbox.get()
    inbox.put(ping("c"))


def test_txn_is_used_once() -> None:
    """A ``txn`` among the last 1,024 is refused, an older one is forgotten."""
    inbox = Inbox()
    for number in range(1025):
        inbox.put(ping(str(number)))
        inbox.get()
        with pytest.raises(CommandRefused) as caught:
            inbox.put(ping(str(number)))
        assert caught.value.code == "replayed"
        assert caught.value.command == ping(str(number))
    with pytest.raises(CommandRefused):
        inbox.put(ping("1"))
    inbox.put(ping("0"))


def test_samples_wait_beside_the_commands() -> None:
    """They come out once, in their order; of too many the newest stay, and no command is lost."""
    inbox = Inbox(capacity=1)
    for number in range(SAMPLES + 10):
        inbox.sample(EncoderSample(number, number))
    found = inbox.samples()
    assert [found[0], found[-1]] == [EncoderSample(10, 10), EncoderSample(SAMPLES + 9, SAMPLES + 9)]
    assert len(found) == SAMPLES
    assert inbox.samples() == ()
