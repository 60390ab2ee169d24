"""A capture device at the seam of ``cv2.VideoCapture``: there is no camera where tests run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2

# A character device that everybody may read and write, in place of /dev/video0.
NODE = "/dev/null"


class FakeCapture:
    """Behaves as an opened ``cv2.VideoCapture``.

    Parameters
    ----------
    pictures
        What ``retrieve`` gives, one for each ``grab``; None stands for "cannot be decoded" and an
        exception for one that ``retrieve`` raises. When they are used up, ``grab`` fails, as after
        the cable was pulled, while ``isOpened`` stays True, as with the real one.
    opens
        Whether the device could be opened.
    """

    def __init__(self, pictures: Sequence[Any], opens: bool = True) -> None:
        self._pictures = list(pictures)
        self._opens = opens
        self._grabbed: Any = None
        self.properties: dict[int, float] = {}
        self.order: list[int] = []
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self._opens

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803
        self.order.append(propId)
        self.properties[propId] = value
        return True

    def get(self, propId: int, /) -> float:  # noqa: N803
        return self.properties.get(propId, 0.0)

    def grab(self) -> bool:
        if not self._pictures:
            return False
        self._grabbed = self._pictures.pop(0)
        return True

    def retrieve(self) -> tuple[bool, Any]:
        if isinstance(self._grabbed, Exception):
            raise self._grabbed
        return self._grabbed is not None, self._grabbed

    def release(self) -> None:
        self.released = True


class FakeDriver:
    """Opens ``FakeCapture``s and remembers them; every opening gives the same pictures."""

    def __init__(self, pictures: Sequence[Any] = (), opens: bool = True) -> None:
        self._pictures = pictures
        self._opens = opens
        self.paths: list[str] = []
        self.captures: list[FakeCapture] = []

    def __call__(self, path: str) -> FakeCapture:
        self.paths.append(path)
        self.captures.append(FakeCapture(self._pictures, self._opens))
        return self.captures[-1]


def decoder_error(text: str) -> cv2.error:
    """An error as OpenCV raises it, with the attributes that it has then."""
    error = cv2.error(text)
    error.err = text
    return error
