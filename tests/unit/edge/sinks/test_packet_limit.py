"""The limit that a broker names, or teaches."""

from __future__ import annotations

from edge.sinks.packet_limit import PacketLimit


def test_the_smaller_of_what_is_said_and_what_was_learned() -> None:
    """A hang-up with reason 149 puts the limit below the largest packet in flight."""
    limit = PacketLimit()
    limit.greeted(None)
    assert limit.bytes is None
    limit.ended(149, [900, 3000, 20])
    limit.greeted(None)
    assert limit.bytes == 2999
    limit.ended(149, [900])
    limit.greeted(4096)
    assert limit.bytes == 899


def test_what_is_never_acknowledged_is_suspected_too() -> None:
    """A larger QoS 0 packet of the same connection is suspected first, or good ones would suffer;
    those of earlier connections are not.
    """
    limit = PacketLimit()
    limit.greeted(None)
    limit.sent_unanswered(5000)
    limit.ended(149, [900])
    limit.greeted(None)
    assert limit.bytes == 4999
    limit.ended(149, [900])
    limit.greeted(None)
    assert limit.bytes == 899


def test_any_other_end_makes_it_forget() -> None:
    """The broker may have been configured anew meanwhile; and 149 for nothing teaches nothing."""
    limit = PacketLimit()
    limit.ended(149, [900])
    limit.ended(128, [900])
    limit.greeted(None)
    assert limit.bytes is None
    limit.ended(149, [])
    limit.greeted(2000)
    assert limit.bytes == 2000
