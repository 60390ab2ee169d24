"""Truth of a segmentation on disk: ``train.csv`` with run lengths, or index pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.evaluation.rle import decode_rle, parse_rle

Masks = npt.NDArray[np.bool_]

ROWS = ("ImageId", "ClassId", "EncodedPixels")
"""Head of a ``train.csv`` with one row a defect."""

JOINED = ("ImageId_ClassId", "EncodedPixels")
"""Head of a ``train.csv`` with one row for each picture and class, empty where there is none."""


@dataclass(frozen=True, slots=True)
class RunLengths:
    """One picture's masks as ``train.csv`` has them.

    Parameters
    ----------
    path
        The file.
    line
        Its first line that names the picture; 0 when none does.
    runs
        Label → text of its runs, and their line; what the picture does not hold is absent.
    """

    path: Path
    line: int = 0
    runs: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def held(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Those of ``labels`` that the picture holds, in their order."""
        return tuple(label for label in labels if label in self.runs)

    def read(self, labels: Sequence[str], height: int, width: int) -> Masks:
        """(labels, height, width) bool.

        Raises
        ------
        DataError
            A run lies outside of the picture.
        """
        masks = np.zeros((len(labels), height, width), np.bool_)
        for mask, label in zip(masks, labels, strict=True):
            text, line = self.runs.get(label, ("", self.line))
            try:
                mask[...] = decode_rle(text, height, width)
            except ValueError as error:
                raise DataError(f"{self.path}:{line}: EncodedPixels: {error}") from error
        return masks


@dataclass(frozen=True, slots=True)
class IndexPicture:
    """One picture's masks as a grey picture of class numbers, 0 for none."""

    path: Path

    def held(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Those of ``labels`` that the picture holds, in their order.

        Raises
        ------
        DataError
            It cannot be read, or has a number without a label.
        """
        there = np.unique(self._index(labels))
        return tuple(label for number, label in enumerate(labels, 1) if number in there)

    def read(self, labels: Sequence[str], height: int, width: int) -> Masks:
        """(labels, height, width) bool.

        Raises
        ------
        DataError
            It cannot be read, has another size, or a number without a label.
        """
        index = self._index(labels)
        if index.shape != (height, width):
            raise DataError(
                f"{self.path}: is {index.shape[1]}×{index.shape[0]}, its picture {width}×{height}",
                hint="take the pictures that the masks were made for",
            )
        numbers = np.arange(1, len(labels) + 1)[:, np.newaxis, np.newaxis]
        return np.asarray(index[np.newaxis] == numbers)

    def _index(self, labels: Sequence[str]) -> npt.NDArray[np.integer]:
        try:
            content = np.fromfile(self.path, np.uint8)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror}") from error
        index = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
        if index is None:
            raise DataError(f"{self.path}: not a readable picture", hint="mend or remove it")
        if index.ndim != 2:  # a palette comes as colours, which say nothing of classes
            raise DataError(
                f"{self.path}: is in colour",
                hint="a mask is a grey picture; the value of a pixel is its class, 0 for none",
            )
        if (most := int(index.max())) > len(labels):
            raise DataError(
                f"{self.path}: holds class {most}, there are {len(labels)} labels",
                hint="the value of a pixel is its class, 0 for none",
            )
        return np.asarray(index, index.dtype)


def read_csv(path: Path, labels: Sequence[str]) -> dict[str, RunLengths] | None:
    """Picture name → its masks, from a ``train.csv`` in either form; None for another csv file.

    Class ``k`` is ``labels[k - 1]``.

    Raises
    ------
    DataError
        A row is wrong; the message names file and line.
    """
    found: dict[str, RunLengths] = {}
    line = 1
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            head = tuple(next(reader, ()))
            if head not in (ROWS, JOINED):
                return None
            for row in reader:
                line = reader.line_num
                if row:
                    _take(found, path, line, head, row, labels)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot be read: not UTF-8 text") from error
    except csv.Error as error:
        raise DataError(f"{path}:{line + 1}: cannot be read: {error}") from error
    return found


def _take(
    found: dict[str, RunLengths],
    path: Path,
    line: int,
    head: Sequence[str],
    row: Sequence[str],
    labels: Sequence[str],
) -> None:
    """Add one row to what was found."""
    where = f"{path}:{line}"
    if len(row) != len(head):
        raise DataError(f"{where}: has {len(row)} columns, the head {len(head)}")
    name, number = row[:2] if len(head) == len(ROWS) else row[0].rpartition("_")[::2]
    label = _label(number, labels, where)
    picture = found.setdefault(name, RunLengths(path, line))
    try:
        empty = not len(parse_rle(row[-1]))
    except ValueError as error:
        raise DataError(f"{where}: EncodedPixels: {error}") from error
    if label in picture.runs:
        raise DataError(
            f"{where}: class {number} of {name} stands there twice",
            hint="join the runs in one row",
        )
    if not empty:
        runs = {**picture.runs, label: (row[-1], line)}
        found[name] = RunLengths(path, picture.line, runs)


def _label(number: str, labels: Sequence[str], where: str) -> str:
    numbers = {str(k): label for k, label in enumerate(labels, 1)}
    if number not in numbers:
        raise DataError(
            f"{where}: class {number!r} is not one of 1 to {len(labels)}",
            hint="the labels must be those of the data, in its order",
        )
    return numbers[number]
