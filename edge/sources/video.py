"""Videos and animated GIFs, through the FFmpeg that comes with OpenCV.

FFmpeg conceals damage inside a video: such frames come out with smeared areas and nothing says so.
Only a video whose end is missing can be told from a whole one.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

import cv2

from edge.errors import FrameCorrupt, UnsupportedSource
from edge.records import Image
from edge.sources.frames import MAX_PIXELS, checked_image

_log = logging.getLogger(__name__)

_USUAL_FPS = 25.0
# FFmpeg shows text and some unknown bytes as "text art" when the name ends in .txt, .bin and the
# like. It does so in pixels of a palette ("PAL" and a depth of 8), which no camera's video has.
_PALETTE = int.from_bytes(b"PAL\x08", "little")
_LONGEST_S = 60.0
# A container's number of frames is an estimate; a video that lacks less than this is whole.
_WHOLE_SHARE = 0.9


class Video:
    """Gives the frames of one video file in order, each with the time at which it is shown.

    Attributes
    ----------
    shown_s
        When the frame stepped to is shown, in seconds since the first, from the file's own time
        stamps (a GIF's delays). A step of more than a minute is taken for damage.
    interval_s
        How long the last frame is shown, in seconds; the file does not say, so as long as the one
        before it.

    Raises
    ------
    UnsupportedSource
        FFmpeg finds no video in the file, or its frames have too many pixels.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._open()

    def _open(self) -> None:
        # An absolute path, since FFmpeg would take "a:b.avi" for a protocol.
        self._capture = cv2.VideoCapture(str(self._path.absolute()), cv2.CAP_FFMPEG)
        pixels = self._capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)
        if not self._capture.isOpened() or pixels == _PALETTE:
            self._capture.release()
            raise no_video(self._what)
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            self._capture.release()
            raise UnsupportedSource(
                f"{self._what}: has {width} × {height} pixels, allowed are {MAX_PIXELS}"
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps if math.isfinite(fps) and 0.0 < fps <= 1000.0 else _USUAL_FPS
        self._promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._frames = 0
        self._broken = False
        self._stamp_s = 0.0
        self.shown_s: float | None = None
        self.interval_s = 1.0 / self._fps

    def advance(self) -> bool:
        """Step to the next frame; False at the end.

        When the file ends long before its header says, there is one more step, to a frame that
        cannot be decoded.
        """
        if self._broken:
            return False
        if not self._capture.grab():
            self._broken = self._ends_early()
            return self._broken
        self._frames += 1
        stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        if self.shown_s is None:
            self.shown_s = 0.0
        else:
            # Streams without time stamps give 0 or a huge negative number, damaged ones anything.
            if 0.0 < stamp_s - self._stamp_s <= _LONGEST_S:
                self.interval_s = stamp_s - self._stamp_s
            self.shown_s += self.interval_s
        self._stamp_s = stamp_s
        return True

    def picture(self) -> Image:
        """Decode the frame stepped to.

        Raises
        ------
        FrameCorrupt
            It cannot be decoded, or the file breaks off here.
        """
        if self._broken:
            raise FrameCorrupt(
                f"{self._what}: the video breaks off after frame {self._frames} "
                f"of about {self._promised:.0f}"
            )
        try:
            found, image = self._capture.retrieve()
        except cv2.error as error:
            raise FrameCorrupt(f"{self._what}: frame {self._frames}: {error.err}") from error
        return checked_image(image if found else None, f"{self._what}: frame {self._frames}")

    def rewind(self) -> None:
        """Begin again before the first frame.

        Raises
        ------
        UnsupportedSource
            The file is not there any more.
        """
        # By opening again: not every format can seek.
        self._capture.release()
        self._open()

    def close(self) -> None:
        """Release the file."""
        self._capture.release()

    def _ends_early(self) -> bool:
        # By number and by time, for a frame rate that varies makes either of them wrong.
        played_s = (self.shown_s or 0.0) + self.interval_s
        early = (
            self._frames < self._promised * _WHOLE_SHARE
            and played_s < self._promised / self._fps * _WHOLE_SHARE
        )
        if early:
            _log.warning(
                "%s: ends after frame %d of about %.0f", self._what, self._frames, self._promised
            )
        return early


def no_video(what: str) -> UnsupportedSource:
    """The error for a file in which FFmpeg finds no frames."""
    return UnsupportedSource(
        f"{what}: holds no picture or video that can be read",
        hint="try to play the file with another program",
    )
