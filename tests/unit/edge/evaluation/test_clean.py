"""False alarms on clean surfaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.errors import DataError
from edge.evaluation.clean import false_alarms
from edge.records import Image
from edge.tasks import SegmentationTask
from tests.helpers.colours import ColourEngine, colour_manifest, paint

SPOT = ("red", slice(2, 6), slice(1, 5))


def _folder(folder: Path, *images: Image) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


def _segmenter(**decode: Any) -> SegmentationTask:
    of = colour_manifest(**decode)
    return SegmentationTask(of, ColourEngine(of))


def test_the_share_of_pictures_with_any_label(tmp_path: Path) -> None:
    """A picture counts once, however much is reported in it; what is too small is not."""
    size = (16, 32)
    twice = paint(size, SPOT, ("blue", slice(8, 12), slice(8, 12)))
    small = paint(size, ("red", slice(2, 3), slice(1, 3)))
    data = _folder(tmp_path / "clean", paint(size), paint(size, SPOT), twice, small)
    assert false_alarms(data, _segmenter()) == 2 / 4


@pytest.mark.parametrize("count", [3, 4, 7])
def test_tiles_are_counted_one_by_one(count: int, tmp_path: Path) -> None:
    """Of tiles side by side, the one with a mark is flagged, and the whole frame among them too."""
    tiles = [paint((16, 8)) for _ in range(count - 1)]
    data = _folder(tmp_path / "clean", *tiles, paint((16, 8), SPOT), paint((16, 32), SPOT))
    assert false_alarms(data, _segmenter(tiles=4)) == 2 / (count + 1)


def test_pictures_that_cannot_be_read_do_not_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are named and left out; a folder of nothing else is no measurement."""
    data = _folder(tmp_path / "clean", paint((16, 32), SPOT))
    (data / "broken.png").write_bytes(b"not a picture")
    assert false_alarms(data, _segmenter()) == 1.0
    assert "broken.png: left out" in caplog.text
    (data / "0.png").unlink()
    with pytest.raises(DataError, match="none of its 1 pictures can be read"):
        false_alarms(data, _segmenter())
    for empty in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError, match="holds no pictures"):
            false_alarms(empty, _segmenter())
