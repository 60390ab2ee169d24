"""The conditions, in the order of the reference system's own tests."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from converter.training.pictures import read
from edge.errors import DataError
from edge.records import Image
from tools.conditions import canvas, light, masks
from tools.conditions.held_back import PHOTOS, HeldBack, shot_of
from tools.conditions.shots import WITH_MASK, WITHOUT_MASK, Box, Condition, Shot

FOLDER = Path(__file__).parent

LIGHT, ANGLE, FACES, COLOUR, OBJECT = "light", "angle", "faces", "mask", "object"
"""Groups of conditions."""

LUX = (1537, 552, 27)

SMALLEST = 24.0
"""Shorter side, in pixels of the camera, of the faces that count under dim light: what is asked is
the light, not the distance."""

EVERY_PHOTO, EVERY_CROP = 2, 10
"""Of the pictures for the light only so many are shown: each is shown three times."""

CROWDS = {18: 6, 32: 4}
"""Faces in a composed crowd → how many are composed."""

HUES = (90, 180, 270)
"""Degrees by which the hues of real masks are turned."""

SEED = 7

Draw = Callable[[Image, Box], Image]


def all_conditions(data: Path) -> list[Condition]:
    """Every condition, on the pictures of ``data/face_mask`` and ``data/imagenette``.

    Raises
    ------
    DataError
        One of the two is not there.
    """
    for needed in (data / "face_mask" / "boxes", data / "face_mask" / "crops", data / "imagenette"):
        if not needed.is_dir():
            raise DataError(f"{needed}: no such folder", hint="see --data")
    held_back = HeldBack(data / "face_mask")
    return [
        *(Condition(LIGHT, f"{lux} lux", partial(_lit, held_back, lux)) for lux in LUX),
        *_angles(held_back),
        *_counts(held_back),
        *_masks(held_back),
        *_objects(data / "imagenette" / "train"),
    ]


def listed(name: str) -> dict[str, Any]:
    """One of the lists of file names that were made by eye."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def _lit(held_back: HeldBack, lux: float) -> Iterator[Shot]:
    rng = np.random.default_rng(SEED)
    photos = held_back.masked_photos()[::EVERY_PHOTO]
    shots = [canvas.fitted(shot_of(picture), SMALLEST) for picture in photos]
    crops = held_back.crop_names[::EVERY_CROP]
    shots += [canvas.portrait(*held_back.crop(name)) for name in crops]
    for shot in shots:
        yield Shot(light.at(shot.image, lux, rng), shot.faces, shot.exact)


def _angles(held_back: HeldBack) -> Iterator[Condition]:
    states = {"masked": WITH_MASK, "bare": WITHOUT_MASK}
    words = {"masked": "with mask", "bare": "without mask"}
    for worn, cells in listed("angles").items():
        for angle, names in cells.items():
            shots = partial(_posed, held_back, names, states[worn])
            yield Condition(ANGLE, f"{angle}°, {words[worn]}", shots)


def _posed(held_back: HeldBack, names: Sequence[str], state: str) -> Iterator[Shot]:
    for name in names:
        if name.startswith(PHOTOS):
            yield canvas.close_up(*held_back.face(name), state)
        else:
            yield canvas.portrait(held_back.crop(name)[0], state)


def _counts(held_back: HeldBack) -> Iterator[Condition]:
    for count in (1, 2, 6):
        shots = partial(held_back.shots_of, least=count, most=count)
        yield Condition(FACES, f"{count}, photos", shots)
    for count, crowds in CROWDS.items():
        yield Condition(FACES, f"{count}, composed", partial(_crowds, held_back, count, crowds))
    yield Condition(FACES, "18 and more, photos", partial(held_back.shots_of, least=18))


def _crowds(held_back: HeldBack, faces: int, crowds: int) -> Iterator[Shot]:
    rng = np.random.default_rng(SEED)
    # The bal_* crops show a face and hardly anything else, so they can be made small.
    names = [name for name in held_back.crop_names if Path(name).name.startswith("bal_")]
    for _ in range(crowds):
        chosen = rng.choice(len(names), faces, replace=False)
        yield canvas.crowd([held_back.crop(names[k]) for k in chosen], rng)


def _masks(held_back: HeldBack) -> Iterator[Condition]:
    drawn: dict[str, Draw] = {
        color: partial(_coloured, masks.COLOURS[color], pleats=True) for color in masks.COLOURS
    }
    drawn["patterned"] = masks.patterned
    drawn["inside out"] = partial(_coloured, masks.PLAIN, pleats=False)
    drawn["skin-toned"] = masks.skin_toned
    lists = listed("faces")
    for color, draw in drawn.items():
        shots = partial(_drawn, held_back, lists["bare"], draw, WITH_MASK)
        yield Condition(COLOUR, f"{color}, drawn", shots)
    yield Condition(COLOUR, "real, hue turned", partial(_turned, held_back, lists["coloured"]))
    shots = partial(_drawn, held_back, lists["bare"], masks.below_chin, WITHOUT_MASK)
    yield Condition(COLOUR, "below the chin, drawn", shots)
    shots = partial(_posed, held_back, lists["bare"], WITHOUT_MASK)
    yield Condition(COLOUR, "none, the same faces", shots)


def _coloured(color: masks.Color, image: Image, box: Box, *, pleats: bool) -> Image:
    return masks.coloured(image, box, color, pleats=pleats)


def _drawn(held_back: HeldBack, names: Sequence[str], draw: Draw, state: str) -> Iterator[Shot]:
    for name in names:
        image, box = held_back.face(name)
        yield canvas.close_up(draw(image, box), box, state)


def _turned(held_back: HeldBack, names: Sequence[str]) -> Iterator[Shot]:
    for name in names:
        image, state = held_back.crop(name)
        for degrees in HUES:
            yield canvas.portrait(masks.hue_turned(image, degrees), state)


def _objects(folder: Path) -> Iterator[Condition]:
    for name, entry in listed("objects").items():
        paths = [folder / entry["folder"] / file for file in entry["files"]]
        yield Condition(OBJECT, name, partial(_things, paths))


def _things(paths: Iterable[Path]) -> Iterator[Shot]:
    for path in paths:
        yield Shot(read(path), ())
