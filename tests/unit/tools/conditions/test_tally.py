"""Counting: what counts as found, as right, as an alarm, and how sure a count is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from edge.records import Classification, Detections, Image
from tools.conditions.conditions import LIGHT, OBJECT
from tools.conditions.report import Row, as_json, as_text
from tools.conditions.shots import WITH_MASK, WITHOUT_MASK, Condition, Face, Shot
from tools.conditions.tally import Share, tally

LABELS = (WITH_MASK, WITHOUT_MASK)
RAISE_AT = 0.6


class Says:
    """A system that says the same of every picture: boxes, each with its score of ``with_mask``."""

    def __init__(self, *found: tuple[Sequence[float], float]) -> None:
        boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
        scores = np.linspace(0.9, 0.5, len(found)).astype(np.float32)
        table = np.array([(with_mask, 1 - with_mask) for _, with_mask in found], np.float32)
        states = Classification.of_rows(LABELS, table.reshape(-1, 2))
        self._found = Detections(boxes, scores, ("face",) * len(found), states)

    def look(self, image: Image) -> Detections:
        """The same as ever."""
        return self._found


def shot(*faces: Face, exact: bool = True) -> Shot:
    """An empty picture that is said to show these."""
    return Shot(np.zeros((100, 100, 3), np.uint8), faces, exact)


def test_a_labelled_face_is_found_by_a_box_that_overlaps_it() -> None:
    """One of two is found, and its state is right; the box beside the other finds nobody."""
    faces = (Face((10, 10, 20, 20), WITH_MASK), Face((60, 60, 20, 20), WITHOUT_MASK))
    seen = tally(Says(((11, 9, 20, 20), 0.8), ((40, 40, 20, 20), 0.8)), [shot(*faces)], RAISE_AT)
    assert seen.found == Share(1, 2)
    assert seen.right == Share(1, 1)


def test_a_wrong_state_is_found_and_not_right() -> None:
    """The twin of a right one; a face without a labelled state is in no such count."""
    faces = (Face((10, 10, 20, 20), WITHOUT_MASK), Face((60, 60, 20, 20), None))
    seen = tally(Says(((10, 10, 20, 20), 0.8), ((60, 60, 20, 20), 0.8)), [shot(*faces)], RAISE_AT)
    assert seen.found == Share(2, 2)
    assert seen.right == Share(0, 1)


def test_a_face_that_does_not_count_takes_its_box_along() -> None:
    """Found or not, it is in no count, and its box does not find another."""
    faces = (Face((10, 10, 20, 20), WITH_MASK, counted=False), Face((12, 12, 20, 20), WITH_MASK))
    seen = tally(Says(((10, 10, 20, 20), 0.8)), [shot(*faces)], RAISE_AT)
    assert seen.found == Share(0, 1)


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((20, 20, 60, 60), 1),  # all of the crop
        ((40, 25, 20, 25), 1),  # a head above shoulders
        ((48, 48, 4, 4), 0),  # an eye
        ((70, 70, 60, 60), 0),  # beside it
        ((0, 0, 100, 100), 0),  # the whole picture
    ],
)
def test_the_face_of_a_tidy_crop_lies_in_it(box: Sequence[float], found: int) -> None:
    """Nobody labelled where in the crop it is: centre and size must be possible."""
    face = Face((20, 20, 60, 60), WITH_MASK)
    assert tally(Says((box, 0.8)), [shot(face, exact=False)], RAISE_AT).found == Share(found, 1)


def test_pictures_with_anything_found_and_with_an_alarm_are_counted() -> None:
    """A picture with two finds is one; an alarm needs ``without_mask`` at ``raise_at``."""
    two = Says(((1, 1, 20, 20), 0.9), ((50, 50, 20, 20), 0.35))
    seen = tally(two, [shot(), shot()], RAISE_AT)
    assert (seen.occupied, seen.alarming) == (Share(2, 2), Share(2, 2))
    calm = tally(Says(((1, 1, 20, 20), 0.45)), [shot()], RAISE_AT)
    assert (calm.occupied, calm.alarming) == (Share(1, 1), Share(0, 1))


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilsons(hits: int, of: int, low: float, high: float) -> None:
    """The values that textbooks give; of nothing, nothing is known."""
    assert Share(hits, of).interval == pytest.approx((low, high), abs=1e-4)
    assert math.isnan(Share(hits, of).value) == (of == 0)


def test_the_report_holds_every_row_in_both_forms() -> None:
    """Faces and objects have a table each; a system that was not there has a dash and no key."""
    seen = tally(Says(((10, 10, 20, 20), 0.8)), [shot(Face((10, 10, 20, 20), WITH_MASK))], RAISE_AT)
    rows = [
        Row(Condition(LIGHT, "27 lux", list), seen, None),
        Row(Condition(OBJECT, "springer", list), seen, seen),
    ]
    markdown = list(as_text(rows, markdown=True))
    assert "| light: 27 lux | 1 | 1 | 100 % (21–100) | 100 % (21–100) | – |" in markdown
    assert "| springer | 1 | 100 % (21–100) | 0 % (0–79) | 100 % (21–100) |" in markdown
    assert len(list(as_text(rows, markdown=False))) == 5
    report = as_json(rows)
    assert report["light"]["27 lux"]["found"]["share"] == 1.0
    assert set(report["light"]["27 lux"]) == {"pictures", "found", "right"}
    assert set(report["object"]["springer"]) == {"pictures", "occupied", "alarming", "reference"}
