"""Reading labelled pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from edge.evaluation.data import LabelledPicture, read_pictures
from tests.helpers.forbidden import forbid

LABELS = ("with_mask", "without_mask")


def _picture(path: Path, width: int = 8, height: int = 6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def _table() -> dict[str, Any]:
    return {
        "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": "with_mask"}],
        "images": [
            {"id": 7, "file_name": "kag_2.png", "width": 8, "height": 6},
            {"id": 8, "file_name": "icy_1.png"},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 2.5, 2]},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [0, 0, 8, 6], "iscrowd": 1},
        ],
    }


def _coco(folder: Path, table: object, images: str = "images") -> Path:
    (folder / "annotations.json").write_text(json.dumps(table))
    for name in ("kag_2.png", "icy_1.png"):
        _picture(folder / images / name)
    return folder


@pytest.mark.parametrize("images", ["images", "train_images", "."])
def test_coco(tmp_path: Path, images: str) -> None:
    """Boxes and category names of each listed picture, by file name; crowds are left out."""
    first, second = read_pictures(_coco(tmp_path, _table(), images), LABELS)
    assert (first.name, second.name) == ("icy_1.png", "kag_2.png")
    assert first.boxes is not None
    assert second.boxes is not None
    assert (first.boxes.shape, first.labels, first.group) == ((0, 4), (), "icy")
    assert second.boxes.tolist() == [[1, 2, 3, 4], [0, 0, 2.5, 2]]
    assert (second.labels, second.group) == (("with_mask", "face"), "kag")
    image = second.read()
    assert image is not None
    assert image.shape == (6, 8, 3)


def test_class_folders(tmp_path: Path) -> None:
    """Each folder named like a label gives whole pictures; other folders and files do not."""
    for name in ("with_mask/bal_1.png", "without_mask/kaa_1.jpg", "other/x.png"):
        _picture(tmp_path / name)
    (tmp_path / "with_mask" / "notes.txt").write_text("no picture")
    pictures = read_pictures(tmp_path, LABELS)
    assert [(p.name, p.labels, p.group, p.boxes) for p in pictures] == [
        ("with_mask/bal_1.png", ("with_mask",), "bal", None),
        ("without_mask/kaa_1.jpg", ("without_mask",), "kaa", None),
    ]


def test_only_some(tmp_path: Path) -> None:
    """A list names pictures with or without leading folders; class folders are part of a name."""
    for name in ("with_mask/a_1.png", "without_mask/a_1.png"):
        _picture(tmp_path / name)
    for line in ("with_mask/a_1.png", "crops/with_mask/a_1.png"):
        (picture,) = read_pictures(tmp_path, LABELS, frozenset({line}))
        assert picture.name == "with_mask/a_1.png"


@pytest.mark.parametrize("only", [frozenset({"a_2.png"}), frozenset[str]()])
def test_a_list_that_does_not_fit_is_refused(tmp_path: Path, only: frozenset[str]) -> None:
    """A name that is not there, or a list without names, is a DataError."""
    _picture(tmp_path / "with_mask" / "a_1.png")
    with pytest.raises(DataError, match="list"):
        read_pictures(tmp_path, LABELS, only)


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    """No folder, or one without labels, is a DataError that says what is needed."""
    with pytest.raises(DataError, match="nowhere: no such folder"):
        read_pictures(tmp_path / "nowhere", LABELS)
    with pytest.raises(DataError, match=r"annotations\.json.*with_mask, without_mask"):
        read_pictures(tmp_path, LABELS)


def test_json_that_is_none(tmp_path: Path) -> None:
    """Text that is not JSON is a DataError that names the file."""
    (tmp_path / "annotations.json").write_text("{")
    with pytest.raises(DataError, match=r"annotations\.json: cannot be read"):
        read_pictures(tmp_path, LABELS)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("images",), None, "images is not a list"),
        (("annotations",), {}, "annotations is not a list"),
        (("images", 0), 5, r"images\[0\]: is not an object"),
        (("images", 1, "file_name"), 5, r"images\[1\]\.file_name: needs str"),
        (("images", 1, "file_name"), "../x.png", "leads out"),
        (("images", 1, "id"), True, r"images\[1\]\.id: needs int"),
        (("categories", 0, "name"), None, r"categories\[0\]\.name"),
        (("annotations", 1, "image_id"), 99, r"annotations\[1\]: image 99"),
        (("annotations", 1, "category_id"), 99, "category 99"),
        (("annotations", 0, "bbox"), [1, 2, 3], r"annotations\[0\]\.bbox: needs four numbers"),
        (("annotations", 0, "bbox"), None, "needs four numbers"),
        (("annotations", 0, "bbox"), [1, 2, 0, 4], "has no area"),
        (("annotations", 0, "bbox"), [1, 2, float("nan"), 4], "has no area"),
        (("annotations", 0, "bbox"), [1, 2, 1e300, 4], "lies outside of every picture"),
        (("annotations", 0, "bbox"), [-1e38, 2, 3, 4], "lies outside of every picture"),
        (("annotations", 0, "bbox"), [10**400, 2, 3, 4], "needs four numbers"),
        (("images", 1, "file_name"), "a\0.png", r"images\[1\]\.file_name: .* cannot be the name"),
        (("images", 1, "file_name"), "\ud800.png", "cannot be the name"),
        (("images", 1, "file_name"), "./kag_2.png", r"images\[1\]\.file_name: .* twice"),
        (("images", 1, "id"), 7, r"images\[1\]\.id: 7 stands there twice"),
        (("categories", 1, "id"), 1, r"categories\[1\]\.id: 1 stands there twice"),
        (("images", 0, "width"), None, r"images\[0\]\.width: needs int, has None"),
    ],
)
def test_broken_annotations_are_named(
    tmp_path: Path, path: tuple[str | int, ...], value: object, named: str
) -> None:
    """Whatever breaks the format is a DataError that names its place in the file."""
    table: Any = _table()
    place = table
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(DataError, match=named):
        read_pictures(_coco(tmp_path, table), LABELS)


def test_a_name_without_underscore_has_no_group() -> None:
    """A file's own name is not where it came from."""
    names = {"kag_2.png": "kag", "photo.png": None}
    for name, group in names.items():
        assert LabelledPicture(name, Path(name), None, ("with_mask",)).group == group


def test_forbidden_folders_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that may not be looked at is a DataError with the path and the reason."""
    forbid(monkeypatch, tmp_path)
    for data in (tmp_path, tmp_path / "inner"):
        with pytest.raises(DataError, match=rf"{data}.*: cannot be read: Permission denied"):
            read_pictures(data, LABELS)


def test_a_class_folder_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class folder without the right to list it is a DataError."""
    (tmp_path / "with_mask").mkdir()

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match="with_mask: cannot be read: Permission denied"):
        read_pictures(tmp_path, LABELS)


def test_a_table_that_is_none(tmp_path: Path) -> None:
    """JSON that is no object is a DataError."""
    with pytest.raises(DataError, match="categories is not a list"):
        read_pictures(_coco(tmp_path, [1, 2]), LABELS)


def test_unreadable_pictures_are_none(tmp_path: Path) -> None:
    """A file that is missing, empty or no picture gives None."""
    pictures = read_pictures(_coco(tmp_path, _table()), LABELS)
    for content in (None, b"", b"GIF89a no"):
        pictures[0].path.unlink(missing_ok=True)
        if content is not None:
            pictures[0].path.write_bytes(content)
        assert pictures[0].read() is None


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    """Boxes for a picture of another size are worthless: a DataError that names both sizes."""
    _, picture = read_pictures(_coco(tmp_path, _table()), LABELS)
    _picture(picture.path, width=16, height=12)
    with pytest.raises(DataError, match=r"kag_2\.png: is 16×12, its annotations say 8×6"):
        picture.read()
