"""From results in any order to alerts in frame order."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.health import CameraHealth
from edge.pipeline.judge import AHEAD, Judge, Observer, Outcome
from edge.records import Alert, Frame, Message, Observation, Track
from tests.fakes import FakeRule, FakeTracker, make_frame, make_observation
from tests.helpers.stages import STATION


class Rig:
    """A judge whose messages are collected."""

    def __init__(self, observer: Observer | None = None, *, each: bool = False) -> None:
        self.tracker = FakeTracker()
        self.rule = FakeRule(each=each)
        self.stored: list[Message] = []
        self.published: list[Message] = []
        self.health = CameraHealth("c1")
        self.judge = Judge(
            "c1",
            self.tracker,
            self.rule,
            station=lambda: STATION,
            store=lambda *items: self.stored.extend(items),
            publish=self.published.append,
            health=self.health,
            observer=observer,
        )

    def phases(self) -> list[str]:
        return [json.loads(message.payload)["phase"] for message in self.stored]


def outcome(sequence: int) -> Outcome:
    """A judged frame."""
    frame = make_frame(sequence=sequence)
    return Outcome(frame, make_observation(frame))


def test_a_life_cycle_reaches_the_outbox() -> None:
    """New, update and end come out in order, and the retained state says how many are open."""
    rig = Rig()
    for ticket in range(2):
        rig.judge.deliver(ticket, outcome(ticket))
    rig.judge.deliver(2, Outcome(ended=True))
    assert rig.phases() == ["new", "update", "end"]
    states = [json.loads(message.payload) for message in rig.published]
    assert [state["open_alerts"] for state in states] == [1, 0]
    assert states[-1]["alerts_total"] == 1


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(8)), st.sets(st.integers(0, 7)))
def test_any_order_of_delivery_is_judged_in_frame_order(
    order: list[int], unjudged: set[int]
) -> None:
    """Whatever worker is ready first, tracker and rule see ascending frames, and the end last."""
    rig = Rig()
    for ticket in order:
        if ticket == 7:
            rig.judge.deliver(7, Outcome(ended=True))
        elif ticket in unjudged:
            rig.judge.deliver(ticket, Outcome(make_frame(sequence=ticket)))
        else:
            rig.judge.deliver(ticket, outcome(ticket))
    seen = [n for n in range(7) if n not in unjudged]
    assert rig.tracker.seen == seen
    assert rig.rule.finished == 1
    assert rig.phases() == (["new", *["update"] * (len(seen) - 1), "end"] if seen else [])


def test_without_the_reorder_buffer_the_order_would_break() -> None:
    """The twin: delivering straight to the tracker, in the order of arrival, is seen to fail."""
    rig = Rig()
    for ticket in (1, 0):
        rig.judge._judge(outcome(ticket))
    assert rig.tracker.seen == [1, 0]


def test_only_one_thread_judges_at_a_time() -> None:
    """With eight workers delivering, the observer is never entered twice at once."""
    inside = [0]
    worst = [0]

    def observer(
        frame: Frame, observation: Observation, tracks: Sequence[Track], alerts: Sequence[Alert]
    ) -> None:
        inside[0] += 1
        worst[0] = max(worst[0], inside[0])
        inside[0] -= 1

    rig = Rig(observer, each=True)
    tickets = itertools.count()
    lock = threading.Lock()

    def work() -> None:
        for _ in range(50):
            with lock:
                ticket = next(tickets)
            rig.judge.deliver(ticket, outcome(ticket))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rig.tracker.seen == list(range(400))
    assert worst == [1]
    assert len(rig.stored) == 800


def test_the_observer_sees_what_was_judged() -> None:
    """It gets the frame with its pixels, the observation, the tracks and the alerts."""
    seen: list[tuple[int, int]] = []
    rig = Rig(lambda frame, observation, tracks, alerts: seen.append((frame.sequence, len(alerts))))
    rig.judge.deliver(0, outcome(0))
    rig.judge.deliver(1, Outcome(make_frame(sequence=1)))
    rig.judge.deliver(2, outcome(2))
    assert seen == [(0, 1), (2, 1)]


def test_a_failing_observer_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What the observer raises is logged once; it is not called again, and alerts go on."""
    calls: list[int] = []

    def observer(
        frame: Frame, observation: Observation, tracks: Sequence[Track], alerts: Sequence[Alert]
    ) -> None:
        calls.append(frame.sequence)
        raise ZeroDivisionError("drawing")

    rig = Rig(observer)
    for ticket in range(3):
        rig.judge.deliver(ticket, outcome(ticket))
    assert rig.phases() == ["new", "update", "update"]
    assert calls == [0]
    assert caplog.text.count("ZeroDivisionError: drawing") == 1


def test_pixels_wait_only_for_an_observer() -> None:
    """What comes early waits without its picture, unless somebody is there to see it."""
    for observer in (None, lambda frame, observation, tracks, alerts: None):
        rig = Rig(observer)
        rig.judge.deliver(1, outcome(1))
        assert (rig.judge._early[1].frame is None) == (observer is None)


def test_nobody_works_far_ahead_of_what_is_due() -> None:
    """A ticket ``AHEAD`` tickets in front is out of reach until the one that is due has come."""
    rig = Rig()
    assert rig.judge.in_reach(AHEAD - 1, 0.0)
    assert not rig.judge.in_reach(AHEAD, 0.01)
    waited: list[bool] = []
    waiter = threading.Thread(target=lambda: waited.append(rig.judge.in_reach(AHEAD, 10.0)))
    waiter.start()
    rig.judge.deliver(0, outcome(0))
    waiter.join(5.0)
    assert waited == [True]


def test_finish_ends_what_no_ticket_ended_and_only_once() -> None:
    """The open alert ends although the last ticket is missing; what comes later is not judged."""
    rig = Rig()
    rig.judge.deliver(0, outcome(0))
    assert rig.judge.finish(1.0)
    assert rig.judge.finish(1.0)
    rig.judge.deliver(1, outcome(1))
    rig.judge.deliver(2, Outcome(ended=True))
    assert rig.phases() == ["new", "end"]
    assert rig.rule.finished == 1
    assert json.loads(rig.published[-1].payload)["alert"] is False


def test_finish_does_not_wait_for_a_rule_that_is_held() -> None:
    """A worker that hangs inside of the rule holds the stop for no more than the time given."""
    entered, release = threading.Event(), threading.Event()

    def observer(
        frame: Frame, observation: Observation, tracks: Sequence[Track], alerts: Sequence[Alert]
    ) -> None:
        entered.set()
        release.wait(10)

    rig = Rig(observer)
    worker = threading.Thread(target=rig.judge.deliver, args=(0, outcome(0)))
    worker.start()
    assert entered.wait(5)
    assert not rig.judge.finish(0.05)
    release.set()
    worker.join()
