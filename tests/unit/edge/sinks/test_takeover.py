"""Telling a second client with our id from a broker that has troubles of its own."""

from __future__ import annotations

import pytest

from edge.sinks.happening import Ended
from edge.sinks.takeover import LASTS_S, TAKEN_OVER, Takeover

SILENT = Ended(128, "unspecified error", silent=True)
GOODBYE = Ended(0x8B, "server shutting down")


def ends(takeover: Takeover, *hows: Ended, lasting_s: float = 1.0) -> list[bool]:
    """Connections that begin each minute and end so; what is said of each."""
    found = []
    for minute, how in enumerate(hows):
        takeover.greeted(60.0 * minute)
        found.append(takeover.ended(how, 60.0 * minute + lasting_s))
    return found


def test_the_brokers_word_is_enough() -> None:
    """A DISCONNECT with 0x8E is another client, at once and however late it comes."""
    assert ends(Takeover(), Ended(TAKEN_OVER, "")) == [True]
    assert ends(Takeover(), Ended(TAKEN_OVER, ""), lasting_s=1000.0) == [True]


def test_four_short_silent_ends_are_another_client() -> None:
    """The fourth connection in a row that ends soon and silently is the sign, and each after it."""
    assert ends(Takeover(), *[SILENT] * 6) == [False, False, False, True, True, True]


def test_connections_that_last_are_no_sign() -> None:
    """The twin: connections that last before they break are an unstable network."""
    assert not any(ends(Takeover(), *[SILENT] * 5, lasting_s=LASTS_S))


@pytest.mark.parametrize("how", [GOODBYE, Ended(0, "client failed"), Ended(141, "keep alive")])
def test_other_ends_are_no_sign(how: Ended) -> None:
    """An end that has another cause begins the count anew."""
    assert not any(ends(Takeover(), *[SILENT] * 3, how, *[SILENT] * 3))


def test_a_broker_that_is_away_is_no_sign() -> None:
    """A failed attempt in between begins the count anew: who takes an id over needs the broker."""
    takeover = Takeover()
    ends(takeover, *[SILENT] * 3)
    takeover.not_connected()
    assert not any(ends(takeover, *[SILENT] * 3))


def test_a_good_connection_begins_with_its_greeting() -> None:
    """A connection lasts only after 10 s, and not without one."""
    takeover = Takeover()
    assert not takeover.lasted(1e9)
    takeover.greeted(100.0)
    assert not takeover.lasted(109.9)
    assert takeover.lasted(110.0)
    takeover.ended(GOODBYE, 120.0)
    assert not takeover.lasted(130.0)
