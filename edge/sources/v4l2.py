"""``v4l2:`` sources: USB cameras and capture cards, through Video4Linux2.

``v4l2:///dev/video0``, or ``0`` for short. The numbers may change when cameras are plugged in
another order; the links in ``/dev/v4l/by-id/`` do not: ``v4l2:///dev/v4l/by-id/usb-…``. Options
behind ``?``, the last three winning over the camera's keys:

==========  ============  ==================================================================
option      values        meaning
==========  ============  ==================================================================
``fourcc``  MJPG, YUYV,   the pixel format to ask for. ``MJPG`` (the default) lets a USB 2
            any           camera send large pictures at full rate; ``any`` leaves it alone
``width``   2 … 8192      in pixels
``height``  2 … 8192      in pixels
``fps``     0.01 … 1000   frames per second
==========  ============  ==================================================================

A camera that cannot do what is asked gives what it can; the log says what that is. It may also
change its size while it runs: frames then simply have the new size.

Where the camera sends MJPG, a frame stays compressed until it is judged: what a slower network
leaves out is never decoded.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import FrameCorrupt, SourceUnavailable, UnsupportedSource
from edge.records import EncodedFrame, Frame
from edge.sources.frames import Moment, checked_image
from edge.sources.picture import check_picture, decode_picture
from edge.sources.uri import Options, SourceUri

_log = logging.getLogger(__name__)


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used here."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Says little: it stays True after the cable is pulled."""

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803 - OpenCV's name
        """Ask for a property."""

    def get(self, propId: int, /) -> float:  # noqa: N803 - OpenCV's name
        """A property as it is now."""

    def grab(self) -> bool:
        """Wait for a frame and take it from the driver."""

    def retrieve(self) -> tuple[bool, Any]:
        """Decode the frame that was grabbed."""

    def release(self) -> None:
        """Give the device back."""


def _capture(path: str) -> Capture:
    # The backend by name: OpenCV would otherwise try others, some of which block for 30 s.
    return cv2.VideoCapture(path, cv2.CAP_V4L2)


class V4l2Source:
    """A ``Source`` for one Video4Linux2 device.

    A device that is absent, busy or forbidden is ``SourceUnavailable``, not a mistake: it may be
    plugged in, or get its access rights, later.

    Parameters
    ----------
    uri, camera, width, height, fps
        As in ``open_source``.
    capture
        Opens a device by path; tests without hardware give another.

    Raises
    ------
    UnsupportedSource
        The URI names no device, or an option is unknown or wrong.
    """

    live = True

    def __init__(
        self,
        uri: SourceUri,
        *,
        camera: str,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
        capture: Callable[[str], Capture] = _capture,
    ) -> None:
        if uri.authority or not uri.path.startswith("/"):
            raise UnsupportedSource(
                f"camera {camera!r}: a v4l2 source needs the path of a device",
                hint="write v4l2:///dev/video0, with three slashes",
            )
        options = Options(uri, camera)
        fourcc = options.choice("fourcc", ("MJPG", "YUYV", "any"))
        wishes: list[tuple[int, float | None]] = [
            # The format first: which sizes there are depends on it.
            (cv2.CAP_PROP_FOURCC, None if fourcc == "any" else _fourcc(fourcc)),
            (cv2.CAP_PROP_FRAME_WIDTH, options.integer("width", width, 2, 8192)),
            (cv2.CAP_PROP_FRAME_HEIGHT, options.integer("height", height, 2, 8192)),
            (cv2.CAP_PROP_FPS, options.number("fps", fps, 0.01, 1000.0)),
            # The newest frame, not one from a queue in the driver.
            (cv2.CAP_PROP_BUFFERSIZE, 1),
        ]
        options.finish()
        self._wishes = [(key, float(value)) for key, value in wishes if value is not None]
        self._camera = camera
        self._path = Path(uri.path)
        self._what = f"camera {camera!r}: {self._path}"
        self._open_capture = capture
        self._device: Capture | None = None
        self._sequence = 0
        self._compressed = False

    @property
    def due_ns(self) -> int:
        """0: the camera sets the pace, ``read`` waits for it."""
        return 0

    def open(self) -> None:
        """Open the device and ask for format, size and rate.

        Raises
        ------
        UnsupportedSource
            The path is not that of a device.
        SourceUnavailable
            The device is absent, forbidden, busy, or gives no video.
        """
        self.close()
        self._check_node()
        try:
            device = self._open_capture(str(self._path))
            opened = device.isOpened()
        except cv2.error as error:
            raise SourceUnavailable(f"{self._what}: cannot be opened: {error.err}") from error
        if not opened:
            device.release()
            raise SourceUnavailable(
                f"{self._what}: is in use by another program, or gives no video",
                hint=f"`fuser {self._path}` names its user; of a camera's nodes often only the "
                "first gives video, see `v4l2-ctl --list-devices`",
            )
        for key, value in self._wishes:
            device.set(key, value)  # what it could not do, the next line shows
        _log.info(
            "%s: gives %.0f × %.0f pixels at %g frames/s",
            self._what,
            device.get(cv2.CAP_PROP_FRAME_WIDTH),
            device.get(cv2.CAP_PROP_FRAME_HEIGHT),
            device.get(cv2.CAP_PROP_FPS),
        )
        self._sequence = 0
        self._device = device
        # As the driver gives them: a JPEG that nobody judges need not be decoded.
        self._compressed = device.get(cv2.CAP_PROP_FOURCC) == _MJPG and device.set(
            cv2.CAP_PROP_CONVERT_RGB, 0.0
        )

    def read(self) -> Frame | EncodedFrame:
        """Wait for the next frame, at most 2 s (``OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT``).

        Raises
        ------
        FrameCorrupt
            A frame came, was cut off or could not be decoded; its number is left out of the
            sequence.
        SourceUnavailable
            No frame came: the camera has stalled or is gone.
        """
        device = self._device
        if device is None:
            raise SourceUnavailable(f"{self._what}: is not open")
        try:
            grabbed = device.grab()
        except cv2.error as error:
            raise SourceUnavailable(f"{self._what}: {error.err}") from error
        if not grabbed:
            raise SourceUnavailable(
                f"{self._what}: gives no frames", hint="is the cable in? see `dmesg`"
            )
        captured = Moment.now()
        sequence = self._sequence
        self._sequence += 1
        what = f"{self._what}: frame {sequence}"
        try:
            found, picture = device.retrieve()
        except cv2.error as error:
            raise FrameCorrupt(f"{what}: {error.err}") from error
        header = (
            self._camera,
            sequence,
            captured.monotonic_ns,
            time.monotonic_ns(),
            captured.utc,
        )
        if found and self._compressed and _is_bytes(picture):
            content = picture.tobytes()
            check_picture(content, what)
            return EncodedFrame(partial(decode_picture, content, what), *header)
        return Frame(checked_image(picture if found else None, what), *header)

    def close(self) -> None:
        """Give the device back. Harmless when not open."""
        if self._device is not None:
            self._device.release()
            self._device = None

    def _check_node(self) -> None:
        """Say what OpenCV would not: why a device cannot be opened."""
        try:
            mode = self._path.stat().st_mode
        except OSError as error:
            raise SourceUnavailable(
                f"{self._what}: {error.strerror}",
                hint="plug the camera in; `v4l2-ctl --list-devices` names those there are",
            ) from error
        if not stat.S_ISCHR(mode):
            raise UnsupportedSource(
                f"{self._what}: is not a device", hint="write a file's path without v4l2:"
            )
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise SourceUnavailable(
                f"{self._what}: permission denied",
                hint="put the user into the group `video`, then log in again",
            )


def _is_bytes(picture: object) -> TypeGuard[npt.NDArray[np.uint8]]:
    """Whether this is one row of bytes and no image."""
    return (
        isinstance(picture, np.ndarray)
        and picture.dtype == np.uint8
        and picture.ndim == 2
        and 1 in picture.shape
        and picture.size > 1
    )


def _fourcc(code: str) -> int:
    """The four letters as the number that OpenCV takes."""
    return int.from_bytes(code.encode("ascii"), "little")


_MJPG = _fourcc("MJPG")
