"""A labelled picture, and where its file lies."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.errors import DataError
from edge.evaluation.masks import IndexPicture, RunLengths
from edge.records import Floats, Image

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""Which files of a folder are pictures."""

_FOLDERS = ("images", "train_images")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """What is true of one picture.

    Parameters
    ----------
    name
        How lists of pictures name it: COCO's ``file_name``, ``label/file`` of a class folder, or
        the file's name where there are masks.
    path
        Where it lies.
    boxes
        (N, 4) float32 in its pixels; None when the label is of the whole picture.
    labels
        One for each box, or the one of the whole picture; where there are masks those that it
        holds, in the order of the classes.
    size
        Width and height that the annotations promise, if they do.
    masks
        Truth of a segmentation; None of other data.
    """

    name: str
    path: Path
    boxes: Floats | None
    labels: tuple[str, ...]
    size: tuple[int, int] | None = None
    masks: RunLengths | IndexPicture | None = None

    @property
    def group(self) -> str | None:
        """The file's prefix before the first ``_``, which tells where the picture came from."""
        prefix, underscore, _ = self.path.stem.partition("_")
        return prefix if underscore else None

    def read(self) -> Image | None:
        """The picture, (H, W, 3) uint8 BGR; None when there is no such file or it is none.

        Raises
        ------
        DataError
            It has not the size that the annotations promise, so that their boxes are worthless.
        """
        image = read_picture(self.path)
        if image is None:
            return None
        size = (image.shape[1], image.shape[0])
        if self.size is not None and self.size != size:
            raise DataError(
                f"{self.path}: is {size[0]}×{size[1]}, "
                f"its annotations say {self.size[0]}×{self.size[1]}",
                hint="take the pictures that the annotations were made for",
            )
        return image


def read_picture(path: Path) -> Image | None:
    """A picture, (H, W, 3) uint8 BGR; None when there is no such file or it is none."""
    try:
        content = np.fromfile(path, np.uint8)
    except OSError:
        return None
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    return None if image is None else image.astype(np.uint8, copy=False)


def mode(path: Path) -> int:
    """What lies there, as :mod:`stat` says it; 0 when nothing does.

    Not ``Path.is_dir()``: where the user may not look it raises or is False, by Python's version.

    Raises
    ------
    DataError
        One may not look.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise unreadable(path, error) from error


def picture_folder(data: Path) -> Path:
    """Where a data set has its pictures: ``images/``, ``train_images/``, or the folder itself."""
    return next((data / name for name in _FOLDERS if stat.S_ISDIR(mode(data / name))), data)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures right in a folder; none when there is no such folder.

    Raises
    ------
    DataError
        It cannot be listed.
    """
    if not stat.S_ISDIR(mode(folder)):
        return []
    try:
        return [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise unreadable(folder, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file or folder that the system does not give."""
    return DataError(
        f"{path}: cannot be read: {error.strerror}",
        hint="must be readable by the user who runs this",
    )
