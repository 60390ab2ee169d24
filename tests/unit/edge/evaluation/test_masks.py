"""Reading the truth of a segmentation."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import DataError
from edge.evaluation.data import LabelledPicture, read_pictures
from edge.evaluation.rle import encode_rle
from tests.helpers.data import data_dir

LABELS = ("scratch", "patch", "hole")
SIZE = (4, 6)

ROWS = """ImageId,ClassId,EncodedPixels
b.jpg,1,1 2 9 1
b.jpg,3,21 4
a.jpg,2,5 1
"""

JOINED = """ImageId_ClassId,EncodedPixels
b.jpg_1,1 2 9 1
b.jpg_2,
b.jpg_3,21 4
a.jpg_1,
a.jpg_2,5 1
a.jpg_3,
c_1.jpg_1,
c_1.jpg_2,
c_1.jpg_3,
"""


def _folder(path: Path, text: str | None, images: str = "images") -> Path:
    """Three pictures of 6×4, and what ``train.csv`` says of them."""
    (path / images).mkdir(parents=True, exist_ok=True)
    for name in ("a.jpg", "b.jpg", "c_1.jpg"):
        assert cv2.imwrite(str(path / images / name), np.zeros((*SIZE, 3), np.uint8))
    if text is not None:
        (path / "train.csv").write_text(text, encoding="utf-8")
    return path


def _pixels(picture: LabelledPicture) -> list[list[int]]:
    """Row, column of all pixels of each label, as [label, row, column]."""
    assert picture.masks is not None
    masks = picture.masks.read(LABELS, *SIZE)
    assert masks.shape == (3, *SIZE)
    found: list[list[int]] = np.argwhere(masks).tolist()
    return found


@pytest.mark.parametrize("images", ["images", "train_images", "."])
@pytest.mark.parametrize("text", [ROWS, JOINED, "\ufeff" + ROWS.replace("\n", "\r\n") + "\r\n"])
def test_both_forms_of_csv(tmp_path: Path, text: str, images: str) -> None:
    """Rows of defects alone, and a row for each class of each picture, give the same masks."""
    a, b, c = read_pictures(_folder(tmp_path, text, images), LABELS)
    assert [(p.name, p.labels, p.boxes) for p in (a, b, c)] == [
        ("a.jpg", ("patch",), None),
        ("b.jpg", ("scratch", "hole"), None),
        ("c_1.jpg", (), None),
    ]
    assert _pixels(a) == [[1, 0, 1]]
    assert _pixels(b) == [[0, 0, 0], [0, 0, 2], [0, 1, 0], *([2, row, 5] for row in range(4))]
    assert _pixels(c) == []


def _write_masks(data: Path, **masks: list[tuple[int, int, int]]) -> None:
    """Index pictures with single pixels: row, column, class."""
    (data / "masks").mkdir()
    for name, pixels in masks.items():
        index = np.zeros(SIZE, np.uint8)
        for row, column, value in pixels:
            index[row, column] = value
        assert cv2.imwrite(str(data / "masks" / f"{name}.png"), index)


def test_index_pictures(tmp_path: Path) -> None:
    """Without train.csv the value of a mask's pixel is its class, 0 being none."""
    data = _folder(tmp_path, None)
    _write_masks(data, a=[(1, 2, 3), (0, 0, 1)], b=[], c_1=[(3, 5, 2)])
    a, b, c = read_pictures(data, LABELS)
    assert [p.labels for p in (a, b, c)] == [("scratch", "hole"), (), ("patch",)]
    assert [_pixels(p) for p in (a, b, c)] == [[[0, 0, 0], [2, 1, 2]], [], [[1, 3, 5]]]


def test_a_picture_without_mask_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where masks are pictures, one that is missing says nothing: its picture is left out, said."""
    data = _folder(tmp_path, None)
    _write_masks(data, a=[])
    assert [picture.name for picture in read_pictures(data, LABELS)] == ["a.jpg"]
    assert "2 without a mask left out" in caplog.text


def test_csv_wins_over_masks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With both there, train.csv is taken, and that is said; another csv file does not count."""
    data = _folder(tmp_path, ROWS)
    _write_masks(data, a=[(3, 5, 3)])
    with caplog.at_level(logging.WARNING):
        assert read_pictures(data, LABELS)[0].labels == ("patch",)
    assert "has both train.csv and masks/: train.csv is taken" in caplog.text
    (data / "train.csv").write_text("id,label\na.jpg,1\n", encoding="utf-8")
    assert read_pictures(data, LABELS)[0].labels == ("hole",)


def test_only_some_pictures(tmp_path: Path) -> None:
    """A list takes pictures by their names, with or without the folder that they lie in."""
    data = _folder(tmp_path, ROWS)
    chosen = read_pictures(data, LABELS, frozenset({"images/c_1.jpg", "a.jpg"}))
    assert [picture.name for picture in chosen] == ["a.jpg", "c_1.jpg"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a.jpg,2,5 1 7", "EncodedPixels: 3 numbers, needs pairs"),
        ("a.jpg,2,5 3 6 1", "EncodedPixels: a run overlaps the one before"),
        ("a.jpg,2,0 3", "EncodedPixels: a start or a length is below 1"),
        ("a.jpg,2,5 x", "EncodedPixels: 'x' is no whole number"),
        ("a.jpg,4,5 1", "class '4' is not one of 1 to 3"),
        ("a.jpg,0,5 1", "class '0' is not"),
        ("a.jpg,one,5 1", "class 'one' is not"),
        ("a.jpg,1", "has 2 columns, the head 3"),
        ("b.jpg,3,1 1", "class 3 of b.jpg stands there twice"),
        ("d.jpg,1,5 1", "picture 'd.jpg' is not in"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, says: str) -> None:
    """Whatever is wrong in train.csv is a DataError with the file and the line."""
    with pytest.raises(DataError, match=rf"train\.csv:5: {says}"):
        read_pictures(_folder(tmp_path, ROWS + row + "\n"), LABELS)


def test_a_wrong_joined_row_is_named(tmp_path: Path) -> None:
    """A name without class, or with one that is not there, is named with its line."""
    for row in ("a.jpg,", "a.jpg_4,1 1"):
        text = f"ImageId_ClassId,EncodedPixels\nb.jpg_1,\n{row}\n"
        with pytest.raises(DataError, match=r"train\.csv:3: class '"):
            read_pictures(_folder(tmp_path, text), LABELS)


def test_a_run_outside_of_its_picture_is_named(tmp_path: Path) -> None:
    """Whether a run fits only the picture can say; the line is named all the same."""
    a, *_ = read_pictures(_folder(tmp_path, ROWS.replace("5 1", "24 2")), LABELS)
    with pytest.raises(DataError, match=r"train\.csv:4: EncodedPixels: a run ends at pixel 25"):
        _pixels(a)


def test_a_csv_that_is_none(tmp_path: Path) -> None:
    """Bytes that are no text, and a cell without end, are DataErrors that name the file."""
    data = _folder(tmp_path, ROWS)
    (data / "train.csv").write_bytes(ROWS.encode() + b"\xff,1,1 1\n")
    with pytest.raises(DataError, match=r"train\.csv: cannot be read: not UTF-8"):
        read_pictures(data, LABELS)
    (data / "train.csv").write_text(ROWS + 'a.jpg,1,"1 1' + " 2" * 100_000)
    with pytest.raises(DataError, match=r"train\.csv:5: cannot be read: field larger"):
        read_pictures(data, LABELS)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.full(SIZE, 4, np.uint8), "holds class 4, there are 3 labels"),
        (np.full(SIZE, 256, np.uint16), "holds class 256"),
        (np.zeros((*SIZE, 3), np.uint8), "is in colour"),
        (np.zeros((6, 4), np.uint8), "is 4×6, its picture 6×4"),
    ],
)
def test_a_wrong_mask_is_named(tmp_path: Path, mask: npt.NDArray[np.uint8], says: str) -> None:
    """A mask with classes beyond the labels, in colour or of another size is a DataError."""
    data = _folder(tmp_path, None)
    (data / "masks").mkdir()
    assert cv2.imwrite(str(data / "masks" / "a.png"), mask)
    with pytest.raises(DataError, match=rf"a\.png: {says}"):
        _pixels(read_pictures(data, LABELS)[0])


def test_a_mask_that_is_no_picture_is_named(tmp_path: Path) -> None:
    """A mask that cannot be read is a DataError, unlike a picture: its truth is not known."""
    data = _folder(tmp_path, None)
    (data / "masks").mkdir()
    (data / "masks" / "a.png").write_bytes(b"GIF89a no")
    with pytest.raises(DataError, match=r"a\.png: not a readable picture"):
        read_pictures(data, LABELS)


def test_boxes_need_no_masks(tmp_path: Path) -> None:
    """Where boxes are wanted, masks are passed over."""
    with pytest.raises(DataError, match="no labelled pictures"):
        read_pictures(_folder(tmp_path, ROWS), ())


@pytest.mark.data
@pytest.mark.parametrize("part", ["single", "composite"])
def test_real_csv_and_masks_agree(part: str, tmp_path: Path) -> None:
    """The real run lengths and the real index pictures give the same masks of every picture."""
    labels, real = (
        ("inclusion", "patches", "scratches"),
        data_dir("surface_defect", "neu_seg", part),
    )
    for name in ("images", "masks"):
        (tmp_path / name).symlink_to(real / name)
    indexed = read_pictures(tmp_path, labels)
    (tmp_path / "train.csv").symlink_to(real / "train.csv")
    rows = read_pictures(tmp_path, labels)
    assert len(rows) == len(indexed) > 100
    for row, index in zip(rows, indexed, strict=True):
        assert (row.name, row.labels) == (index.name, index.labels)
        assert row.masks is not None
        assert index.masks is not None
        masks = row.masks.read(labels, 200, 200)
        np.testing.assert_array_equal(masks, index.masks.read(labels, 200, 200))


@pytest.mark.data
def test_real_frames(tmp_path: Path) -> None:
    """Of the real frames one has classes 3 and 4, those without a row have none."""
    labels = ("defect_1", "defect_2", "defect_3", "defect_4")
    frames = {p.name: p for p in read_pictures(data_dir("surface_defect", "severstal"), labels)}
    assert {name: p.labels for name, p in frames.items() if p.labels} == {
        "severstal_defect_a.jpg": ("defect_3", "defect_4")
    }
    image = frames["severstal_defect_a.jpg"].read()
    masks = frames["severstal_defect_a.jpg"].masks
    assert image is not None
    assert masks is not None
    read = masks.read(labels, *image.shape[:2])
    assert read.shape == (4, 256, 1600)
    text = data_dir("surface_defect", "severstal", "train.csv").read_text(encoding="utf-8")
    assert [encode_rle(mask) for mask in read[2:]] == [
        line.split(",")[2] for line in text.splitlines()[1:]
    ]
