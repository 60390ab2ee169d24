"""The hand-over of frames from cameras to workers."""

from __future__ import annotations

import threading
import time

from edge.mailbox import CAPACITY, MailboxCounts, Mailboxes
from tests.fakes import make_frame, wait_until


def taken_sequences(boxes: Mailboxes) -> list[int]:
    """Everything that can be taken now, by sequence number."""
    found = []
    while (taken := boxes.take(0)) is not None:
        if taken.frame is not None:
            found.append(taken.frame.sequence)
    return found


def test_latest_gives_the_newest_frame() -> None:
    """Under ``latest`` a newer frame replaces the waiting one, which counts as dropped."""
    boxes = Mailboxes({"c1": "latest"})
    for n in range(5):
        assert boxes["c1"].put(make_frame(sequence=n))
    assert taken_sequences(boxes) == [4]
    assert boxes["c1"].counts == MailboxCounts(put=5, taken=1, dropped=4)


def test_every_drops_the_newest_when_full() -> None:
    """Under ``every`` the frames that found no room are the newest, and ``put`` says so."""
    boxes = Mailboxes({"c1": "every"})
    kept = [boxes["c1"].put(make_frame(sequence=n)) for n in range(20)]
    assert kept == [True] * CAPACITY["every"] + [False] * 4
    assert taken_sequences(boxes) == list(range(16))
    assert boxes["c1"].counts == MailboxCounts(put=20, taken=16, dropped=4)


def test_a_file_waits_for_room() -> None:
    """``wait_for_room`` returns when a worker has made room, and nothing is dropped."""
    boxes = Mailboxes({"c1": "every"})
    for n in range(CAPACITY["every"]):
        boxes["c1"].put(make_frame(sequence=n))
    assert not boxes["c1"].wait_for_room(0.01)
    room = threading.Event()

    def wait() -> None:
        if boxes["c1"].wait_for_room(5):
            room.set()

    thread = threading.Thread(target=wait)
    thread.start()
    boxes.take(0)
    assert room.wait(5)
    thread.join()


def test_closing_ends_the_wait_for_room() -> None:
    """A file that waits for room is let go, with a refusal, when the mailbox closes."""
    boxes = Mailboxes({"c1": "every"})
    for n in range(CAPACITY["every"]):
        boxes["c1"].put(make_frame(sequence=n))
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(boxes["c1"].wait_for_room(60)))
    thread.start()
    boxes["c1"].close()
    thread.join(5)
    assert answers == [False]


def test_latest_has_always_room() -> None:
    """A live camera under ``latest`` never waits."""
    boxes = Mailboxes({"c1": "latest"})
    boxes["c1"].put(make_frame())
    assert boxes["c1"].wait_for_room(0)


def test_closed_mailboxes_drain_and_then_say_that_they_ended() -> None:
    """After closing, frames that wait are given out, then one ticket without a frame, then None."""
    boxes = Mailboxes({"c1": "every"})
    for n in range(2):
        boxes["c1"].put(make_frame(sequence=n))
    boxes["c1"].close()
    assert not boxes["c1"].put(make_frame(sequence=9))
    tickets = [boxes.take(0) for _ in range(4)]
    assert [t and (t.ticket, t.frame and t.frame.sequence) for t in tickets] == [
        (0, 0),
        (1, 1),
        (2, None),
        None,
    ]
    assert boxes.ended
    assert boxes["c1"].counts == MailboxCounts(put=3, taken=2, refused=1)


def test_cameras_are_served_in_turn() -> None:
    """A camera that is always ahead cannot starve the others."""
    boxes = Mailboxes({"a": "every", "b": "every", "c": "every"})
    for n in range(6):
        boxes["a"].put(make_frame("a", n))
    for n in range(2):
        boxes["c"].put(make_frame("c", n))
    order = [t.camera for t in iter(lambda: boxes.take(0), None)]
    assert order == ["a", "c", "a", "c", "a", "a", "a", "a"]


def test_a_waiting_worker_is_woken_by_any_camera() -> None:
    """One worker waits for all cameras and gets the frame as soon as one comes."""
    boxes = Mailboxes({"a": "latest", "b": "latest"})
    got: list[str] = []

    def take() -> None:
        taken = boxes.take(5)
        if taken is not None:
            got.append(taken.camera)

    thread = threading.Thread(target=take)
    thread.start()
    boxes["b"].put(make_frame("b"))
    thread.join(5)
    assert got == ["b"]


def test_take_gives_up_after_its_time() -> None:
    """With nothing to take, ``take`` returns None once its time is up."""
    boxes = Mailboxes({"a": "latest"})
    began = time.monotonic()
    assert boxes.take(0.05) is None
    assert 0.04 < time.monotonic() - began < 2


def test_the_last_ticket_frees_every_waiting_worker() -> None:
    """When everything has ended, workers that wait return at once."""
    boxes = Mailboxes({"a": "latest"})
    threads = [threading.Thread(target=boxes.take, args=(60,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    boxes.close()
    began = time.monotonic()
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - began < 2
    assert boxes.ended


def test_discard_counts_what_it_throws_away() -> None:
    """Frames for which no time is left are dropped, counted, and the end can still be taken."""
    boxes = Mailboxes({"c1": "every"})
    for n in range(3):
        boxes["c1"].put(make_frame(sequence=n))
    boxes.close()
    boxes.discard()
    taken = boxes.take(0)
    assert taken is not None
    assert taken.frame is None
    assert boxes["c1"].counts == MailboxCounts(put=3, dropped=3)


def test_nothing_is_lost_between_threads() -> None:
    """With four workers and a waiting file, every frame is taken exactly once."""
    boxes = Mailboxes({"c1": "every"})
    seen: list[int] = []

    def work() -> None:
        while not boxes.ended:
            taken = boxes.take(0.05)
            if taken is not None and taken.frame is not None:
                seen.append(taken.frame.sequence)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(500):
        wait_until(lambda: boxes["c1"].wait_for_room(1))
        boxes["c1"].put(make_frame(sequence=n))
    boxes.close()
    for thread in threads:
        thread.join(5)
    assert sorted(seen) == list(range(500))
    assert boxes["c1"].counts == MailboxCounts(put=500, taken=500)
