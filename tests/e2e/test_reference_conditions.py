"""The shipped station under the reference system's own test conditions, acted out.

What stands for what, and the reference's own results, are in docs/reference-conditions.md, with the
goals that are missed. The thresholds lie a little below what the models reach, so that a worse one
is noticed; with 20 to 40 faces to a condition they leave room for one or two of bad luck.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from converter.recipe import load_recipe
from converter.training.split import split_boxes, split_crops
from tests.helpers.bundles import edit_manifest
from tests.helpers.data import data_dir
from tools.conditions.__main__ import RAISE_AT
from tools.conditions.conditions import COLOUR, all_conditions, listed
from tools.conditions.held_back import HeldBack
from tools.conditions.shots import Condition
from tools.conditions.systems import MODELS, ReferenceDetector, Station, System
from tools.conditions.tally import Share, Tally, tally

pytestmark = pytest.mark.data

DARK, BRIGHT = "light: 27 lux", "light: 1537 lux"
MASKED_PROFILE, BARE_PROFILE = "angle: 90°, with mask", "angle: 90°, without mask"
SPRINGER = "object: springer"
PLAIN_COLOURS = ("white", "blue", "black", "red", "green", "yellow", "inside out")
HARD_COLOURS = ("patterned", "skin-toned")
LEAST_FOUND = {
    "faces: 1, photos": 0.90,
    "faces: 2, photos": 0.80,
    "faces: 6, photos": 0.65,
    "faces: 18, composed": 0.65,
    "faces: 32, composed": 0.65,
    "faces: 18 and more, photos": 0.45,
}

Look = Callable[[str], Tally]
"""Condition → what a system made of it; each is measured once."""


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder of all shared data."""
    return data_dir()


@pytest.fixture(scope="module")
def held_back(data: Path) -> HeldBack:
    """The pictures that no shipped model was trained on."""
    return HeldBack(data / "face_mask")


@pytest.fixture(scope="module")
def conditions(data: Path) -> dict[str, Condition]:
    """Every condition by its key."""
    return {condition.key: condition for condition in all_conditions(data)}


@pytest.fixture(scope="module")
def station(conditions: dict[str, Condition]) -> Iterator[Look]:
    """The station as it ships."""
    with closing(Station()) as shipped:
        yield looks(shipped, conditions)


@pytest.fixture(scope="module")
def reference(conditions: dict[str, Condition]) -> Look:
    """The reference's detector."""
    names = ("opencv_face_detector_uint8.pb", "opencv_face_detector.pbtxt")
    return looks(ReferenceDetector(*(data_dir("keras_models", n) for n in names)), conditions)


def looks(system: System, conditions: dict[str, Condition]) -> Look:
    """What a system makes of conditions, by their keys."""
    return cache(lambda key: tally(system, conditions[key].shots(), RAISE_AT))


@pytest.fixture
def spoiled(
    tmp_path: Path, conditions: dict[str, Condition]
) -> Iterator[Callable[[str, Callable[[dict[str, Any]], object]], Look]]:
    """Bundle, change of its manifest → the station with that change."""
    opened = []

    def open_spoiled(bundle: str, change: Callable[[dict[str, Any]], object]) -> Look:
        models = Path(shutil.copytree(MODELS, tmp_path / "models"))
        edit_manifest(models / bundle, change)
        opened.append(Station(models))
        return looks(opened[-1], conditions)

    yield open_spoiled
    for system in opened:
        system.close()


def threshold(value: float) -> Callable[[dict[str, Any]], object]:
    """The change of a detector's manifest to another threshold."""
    return lambda manifest: manifest["decode"].update(threshold=value)


def exchanged(manifest: dict[str, Any]) -> None:
    """The change of a classifier's manifest that calls each state the other."""
    manifest["labels"].reverse()


def told(seen: Tally) -> float:
    """Share of the faces that were found *and* rightly judged."""
    return seen.right.hits / seen.found.of


def sees_in_the_dark(station: Look, reference: Look) -> bool:
    """Does it find as much as the reference, and hardly less than by day, and judge it?"""
    dark, bright = station(DARK), station(BRIGHT)
    as_by_day = dark.found.value >= bright.found.value - 0.1
    return dark.found.hits >= reference(DARK).found.hits and as_by_day and dark.right.value >= 0.93


def knows_a_masked_profile(station: Look) -> bool:
    """Is it found and called with_mask more often than the reference's detector finds it at all?"""
    return told(station(MASKED_PROFILE)) > 0.25


def knows_a_mask(station: Look, color: str, least: float) -> bool:
    """Are faces with such a drawn mask found, and most of them called with_mask?"""
    seen = station(f"{COLOUR}: {color}, drawn")
    return seen.found.value >= 0.9 and seen.right.value >= least


def leaves_dogs_alone(station: Look) -> bool:
    """Is a face seldom found on a springer, and rarely one without a mask?"""
    seen = station(SPRINGER)
    return seen.occupied.value <= 0.20 and seen.alarming.value <= 0.10


def test_every_listed_face_is_held_back(held_back: HeldBack) -> None:
    """Every file that the lists name belongs to the validation side, each once in its list."""
    lists = [names for cells in listed("angles").values() for names in cells.values()]
    lists += listed("faces").values()
    assert len(lists) == 8
    for names in lists:
        assert len(names) == len(set(names)) >= 20
        assert [name for name in names if not held_back.holds(name)] == []


def test_a_face_of_the_training_side_would_be_noticed(held_back: HeldBack) -> None:
    """The twin: neither a picture that trains nor a face that a picture lacks is held back."""
    data = held_back.data
    photo, crop = split_boxes(data).train[0], split_crops(data).train[0]
    known = next(iter(held_back.photos))
    assert not held_back.holds(f"boxes/images/{photo.name}#0")
    assert not held_back.holds(crop.relative_to(data).as_posix())
    assert not held_back.holds(f"boxes/images/{known}#999")


@pytest.mark.parametrize("model", ["face_detector", "mask_classifier"])
def test_the_shipped_models_held_back_what_is_shown(held_back: HeldBack, model: str) -> None:
    """The recipe's split has every picture shown here on its validation side, and it takes nothing
    from the pictures of things.
    """
    recipe = MODELS / model / "recipe.toml"
    assert "imagenette" not in recipe.read_text(encoding="utf-8")
    training = load_recipe(recipe).recipe.training
    assert training is not None
    fold = getattr(training, "fold", 0)
    photos = split_boxes(
        held_back.data, fraction=training.picture_fraction, seed=training.seed, fold=fold
    )
    crops = split_crops(held_back.data, fraction=training.crop_fraction, seed=training.seed)
    assert set(held_back.photos) <= {path.name for path in photos.validation}
    names = {path.relative_to(held_back.data).as_posix() for path in crops.validation}
    assert set(held_back.crop_names) <= names


def test_a_face_is_found_and_judged_at_27_lux(station: Look, reference: Look) -> None:
    """In the look-alike of 27 lux a face is found at least as often as by the reference's
    detector, hardly less often than at 1537 lux, and 93 of 100 are judged rightly.
    """
    assert sees_in_the_dark(station, reference), (station(DARK), reference(DARK), station(BRIGHT))


def test_a_blind_station_would_be_noticed_in_the_dark(
    spoiled: Callable[..., Look], reference: Look
) -> None:
    """The twin: a detector that takes hardly anything for a face."""
    assert not sees_in_the_dark(spoiled("face_detector", threshold(0.999)), reference)


@pytest.mark.parametrize("worn", ["with mask", "without mask"])
@pytest.mark.parametrize(("angle", "least"), [("0°", 0.90), ("45°", 0.80)], ids=["0", "45"])
def test_a_face_is_found_from_the_front_and_half_turned(
    station: Look, angle: str, least: float, worn: str
) -> None:
    """Nine of ten at 0 degrees and four of five at 45 are found, nine of ten of those judged
    rightly.
    """
    seen = station(f"angle: {angle}, {worn}")
    assert seen.found.value >= least, seen
    assert seen.right.value >= 0.90, seen


def test_a_masked_profile_is_found_and_called_masked(station: Look) -> None:
    """At 90 degrees one masked face of four at least is found and called with_mask: here the
    reference fails. It is the station's weakest condition, too.
    """
    assert knows_a_masked_profile(station), station(MASKED_PROFILE)


def test_exchanged_labels_would_be_noticed_in_profile(spoiled: Callable[..., Look]) -> None:
    """The twin: a classifier that calls each state the other."""
    assert not knows_a_masked_profile(spoiled("mask_classifier", exchanged))


@pytest.mark.parametrize("key", [MASKED_PROFILE, BARE_PROFILE], ids=["masked", "bare"])
def test_a_profile_is_found_as_often_as_by_the_reference(
    station: Look, reference: Look, key: str
) -> None:
    """With and without mask."""
    assert station(key).found.hits >= reference(key).found.hits, (station(key), reference(key))


@pytest.mark.parametrize("key", LEAST_FOUND)
def test_no_number_of_faces_is_too_many(station: Look, reference: Look, key: str) -> None:
    """From 1 to 32 faces in a picture, as many are found as the reference finds, and enough."""
    seen = station(key).found
    assert seen.hits >= reference(key).found.hits, (seen, reference(key))
    assert seen.value >= LEAST_FOUND[key], seen


def test_a_blind_station_would_be_noticed_in_a_crowd(spoiled: Callable[..., Look]) -> None:
    """The twin: a detector that takes hardly anything for a face."""
    key = "faces: 32, composed"
    blind = spoiled("face_detector", threshold(0.999))
    assert blind(key).found.value < LEAST_FOUND[key]


@pytest.mark.parametrize("color", [*PLAIN_COLOURS, *HARD_COLOURS])
def test_a_mask_of_every_colour_is_a_mask(station: Look, color: str) -> None:
    """A face with a drawn mask is found and called with_mask, nine of ten times each; with one of
    checks or of the colour of the skin, which hides, more often than not.
    """
    least = 0.9 if color in PLAIN_COLOURS else 0.51
    assert knows_a_mask(station, color, least), station(f"{COLOUR}: {color}, drawn")


def test_every_colour_that_is_drawn_is_tested(conditions: dict[str, Condition]) -> None:
    """No drawn mask of the table is forgotten here."""
    drawn = {key for key in conditions if key.startswith(COLOUR) and key.endswith(", drawn")}
    tested = {f"{COLOUR}: {color}, drawn" for color in (*PLAIN_COLOURS, *HARD_COLOURS)}
    assert drawn - tested == {f"{COLOUR}: below the chin, drawn"}


def test_exchanged_labels_would_be_noticed_under_a_mask(spoiled: Callable[..., Look]) -> None:
    """The twin: a classifier that calls each state the other."""
    assert not knows_a_mask(spoiled("mask_classifier", exchanged), "blue", 0.5)


def test_a_real_mask_of_another_hue_is_a_mask(station: Look) -> None:
    """Turned to other colours, four of five masked faces are found and nine of ten of those are
    called with_mask.
    """
    seen = station(f"{COLOUR}: real, hue turned")
    assert seen.found.value >= 0.80, seen
    assert seen.right.value >= 0.90, seen


def test_a_mask_below_the_chin_is_none(station: Look) -> None:
    """Four of five faces over a mask that was pulled down are called without_mask; so that the
    colours prove something, the same faces without any are as well.
    """
    for name in ("below the chin, drawn", "none, the same faces"):
        seen = station(f"{COLOUR}: {name}")
        assert seen.found.value >= 0.90, (name, seen)
        assert seen.right.value >= 0.80, (name, seen)


def test_a_springer_is_not_a_face(station: Look, reference: Look) -> None:
    """A face is found on one dog picture of five at most, and on no more than by the reference's
    detector; one of ten at most would be a hit of the rule.
    """
    assert leaves_dogs_alone(station), station(SPRINGER)
    assert station(SPRINGER).occupied.hits <= reference(SPRINGER).occupied.hits


def test_a_trigger_happy_station_would_be_noticed(spoiled: Callable[..., Look]) -> None:
    """The twin: a detector that takes nearly anything for a face."""
    assert not leaves_dogs_alone(spoiled("face_detector", threshold(0.01)))


def test_things_are_not_faces(station: Look, conditions: dict[str, Condition]) -> None:
    """Over cassette players, churches, garbage trucks and gas pumps together a face is found on
    one picture of ten at most, and three of a hundred at most would be a hit of the rule.
    """
    seen = [station(key) for key in conditions if key.startswith("object") and key != SPRINGER]
    assert len(seen) == 4
    assert share(t.occupied for t in seen).value <= 0.10, seen
    assert share(t.alarming for t in seen).value <= 0.03, seen


def share(parts: Iterator[Share]) -> Share:
    """All of them together."""
    found = list(parts)
    return Share(sum(part.hits for part in found), sum(part.of for part in found))
