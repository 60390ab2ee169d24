"""What comes in on command topics, and what each command is answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge.inbox import VERBS, Inbox
from edge.messages import encode_info
from edge.messages.payloads import ReplyPayload
from edge.pipeline.commands import LOT_VERBS, CommandDesk, carry_out
from edge.protocols import Received
from edge.records import Command, Message
from tests.fakes import FakeSink, wait_until
from tests.helpers.stages import STATION, OutboxRig, PublishRig, running

PING = "linesight/n1/cmd/ping"


def desk(inbox: Inbox) -> CommandDesk:
    """Of a station with the camera ``c1`` that allows nothing beside what is always on."""
    return CommandDesk(inbox, lambda: STATION, frozenset({"c1"}), frozenset())


def received(topic: str, txn: str = "t-1", *, retain: bool = False) -> Received:
    """A command with a txn."""
    return Received(topic, json.dumps({"txn": txn}).encode(), retain, None, b"\xbe\xef")


def body(reply: Message) -> dict[str, Any]:
    """The reply's content, checked against its model."""
    ReplyPayload.model_validate_json(reply.payload)
    found = json.loads(reply.payload)
    assert isinstance(found, dict)
    return found


def test_an_accepted_command_is_queued_and_not_yet_answered() -> None:
    """What is allowed waits in the inbox; who carries it out answers."""
    inbox = Inbox()
    assert desk(inbox).take(received(PING)) is None
    command = inbox.get()
    assert command is not None
    assert (command.verb, command.txn) == ("ping", "t-1")


@pytest.mark.parametrize(
    ("topic", "retain", "code"),
    [
        ("linesight/n1/cmd/format_disk", False, "unknown_verb"),
        ("linesight/n1/cam/nosuch/cmd/ping", False, "unknown_camera"),
        (PING, True, "retained"),
    ],
)
def test_a_refused_command_with_a_txn_is_told_so(topic: str, retain: bool, code: str) -> None:
    """The reply says ``ok: false`` and why in one word, and nothing is queued."""
    inbox = Inbox()
    reply = desk(inbox).take(received(topic, retain=retain))
    assert reply is not None
    assert reply.topic == f"linesight/n1/reply/{topic.rpartition('/')[2]}"
    assert reply.properties == {"correlation_data": "beef"}
    assert not reply.retain
    answer = body(reply)
    assert (answer["txn"], answer["ok"], answer["code"]) == ("t-1", False, code)
    assert answer["error"]
    assert inbox.get() is None


def test_verbs_without_leave_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb of this version that ``allow_commands`` does not name is ``not_allowed``."""
    monkeypatch.setattr("edge.inbox.VERBS", frozenset({"reload"}))
    reply = desk(Inbox()).take(received("linesight/n1/cmd/reload"))
    assert reply is not None
    assert body(reply)["code"] == "not_allowed"


def test_a_repeated_txn_and_a_full_inbox_are_told_so() -> None:
    """Who asks twice, or too much at once, learns it."""
    at_the_desk = desk(Inbox(capacity=1))
    assert at_the_desk.take(received(PING, "a")) is None
    repeated = at_the_desk.take(received(PING, "a"))
    too_much = at_the_desk.take(received(PING, "b"))
    assert repeated is not None
    assert too_much is not None
    assert (body(repeated)["code"], body(too_much)["code"]) == ("replayed", "full")


@pytest.mark.parametrize("payload", [b"\xff{", b"{}", b"[1]", b'{"txn": 5}', b"[" * 100])
def test_without_a_txn_there_is_nobody_to_tell(payload: bytes) -> None:
    """Junk gets no reply, so that it cannot make the station talk."""
    assert desk(Inbox()).take(Received(PING, payload, False, "me/here", None)) is None


def command(verb: str) -> Command:
    """A command that was let in."""
    return Command(verb, "t-1", None, {}, "me/here", None, 0)


def test_every_verb_is_carried_out() -> None:
    """Each verb that every station has gets an ``ok`` reply, where the request wants it."""
    for verb in VERBS - LOT_VERBS:
        reply = carry_out(command(verb), STATION, None, None)
        assert reply.topic == "me/here"
        assert (body(reply)["ok"], body(reply)["code"]) == (True, "ok")


@pytest.mark.parametrize("verb", sorted(LOT_VERBS))
def test_a_station_without_a_line_has_no_lots(verb: str) -> None:
    """It says so in its reply."""
    reply = body(carry_out(command(verb), STATION, None, None))
    assert (reply["ok"], reply["code"]) == (False, "no_line")


def test_info_gives_what_the_retained_message_says() -> None:
    """The reply to ``info`` holds the content of the ``info`` message; that to ``ping`` nothing."""
    info = encode_info(
        STATION,
        versions={"linesight": "1"},
        hardware={"machine": "x"},
        models=(),
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert body(carry_out(command("info"), STATION, info, None))["data"] == json.loads(info.payload)
    assert "data" not in body(carry_out(command("ping"), STATION, info, None))


def test_the_publish_thread_sends_the_refusal(tmp_path: Path) -> None:
    """A refused command's reply goes out on the connection that the command came in on."""
    rig = OutboxRig(tmp_path)
    sink = FakeSink()
    with rig.running(), running(PublishRig(rig, sink).stage()):
        sink.receive("linesight/n1/cmd/format_disk", b'{"txn": "t1"}')
        wait_until(lambda: any("reply/format_disk" in message.topic for message in sink.sent))
