"""The mailboxes against a model that is a list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.mailbox import CAPACITY, MailboxCounts, Mailboxes, Policy
from tests.fakes import make_frame

CAMERAS: dict[str, Policy] = {"a": "latest", "b": "every", "c": "every"}

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(sorted(CAMERAS))),
        st.tuples(st.just("take"), st.just("")),
        st.tuples(st.just("close"), st.sampled_from(sorted(CAMERAS))),
        st.tuples(st.just("discard"), st.just("")),
    ),
    max_size=120,
)


class Model:
    """One camera's mailbox as plain lists."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.waiting: list[int] = []
        self.taken: list[int] = []
        self.dropped: list[int] = []
        self.refused: list[int] = []
        self.closed = self.ended = False

    def put(self, number: int) -> None:
        if self.closed:
            self.refused.append(number)
        elif len(self.waiting) < CAPACITY[self.policy]:
            self.waiting.append(number)
        elif self.policy == "latest":
            self.dropped.append(self.waiting.pop(0))
            self.waiting.append(number)
        else:
            self.dropped.append(number)

    @property
    def counts(self) -> MailboxCounts:
        return MailboxCounts(
            put=sum(map(len, (self.taken, self.dropped, self.refused, self.waiting))),
            taken=len(self.taken),
            dropped=len(self.dropped),
            refused=len(self.refused),
            waiting=len(self.waiting),
        )


@settings(max_examples=300, deadline=None)
@given(steps)
def test_mailboxes_do_as_the_model(script: list[tuple[str, str]]) -> None:
    """Order, turns, tickets, drops by cause and the end are those of the model, for any script."""
    boxes = Mailboxes(CAMERAS)
    model = {camera: Model(policy) for camera, policy in CAMERAS.items()}
    cameras = list(CAMERAS)
    turn = 0
    for number, (action, camera) in enumerate(script):
        match action:
            case "put":
                boxes[camera].put(make_frame(camera, number))
                model[camera].put(number)
            case "close":
                boxes[camera].close()
                model[camera].closed = True
            case "discard":
                boxes.discard()
                for one in model.values():
                    one.dropped += one.waiting
                    one.waiting = []
            case "take":
                got = boxes.take(0)
                order = [cameras[(turn + step) % 3] for step in range(3)]
                ready = [
                    name
                    for name in order
                    if model[name].waiting or (model[name].closed and not model[name].ended)
                ]
                if not ready:
                    assert got is None
                    continue
                one = model[ready[0]]
                turn = cameras.index(ready[0]) + 1
                assert got is not None
                assert got.camera == ready[0]
                assert got.ticket == len(one.taken)
                if one.waiting:
                    one.taken.append(one.waiting.pop(0))
                    assert got.frame is not None
                    assert got.frame.sequence == one.taken[-1]
                else:
                    one.ended = True
                    assert got.frame is None
        for name, one in model.items():
            assert boxes[name].counts == one.counts
            assert one.taken == sorted(one.taken)
        assert boxes.ended == all(one.ended for one in model.values())
