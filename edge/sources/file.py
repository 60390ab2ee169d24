"""``file:`` sources: a video, an animated GIF, a picture, or a folder of pictures.

What a file is, its first bytes say, not its name. Options behind ``?``:

========  =============  ====================================================================
option    values         meaning
========  =============  ====================================================================
``loop``  0 … 1000000    how often to play it: 1 once (the default), 0 for ever
``pace``  real, fast     ``real`` (the default): at the file's own pace, a GIF by its delays;
                         ``fast``: as fast as frames are taken
``fps``   0.01 … 1000    frames per second in place of the file's own; it wins over the
                         camera's key ``fps``
========  =============  ====================================================================

Pictures have no pace of their own: without ``fps`` they come as fast as they are taken.
"""

from __future__ import annotations

import logging
import stat
import time
from pathlib import Path
from typing import Protocol

from edge.errors import (
    FrameCorrupt,
    SourceError,
    SourceNotFound,
    SourceUnavailable,
    UnsupportedSource,
)
from edge.records import Frame, Image
from edge.sources.frames import MAX_PIXELS, Moment, Pace
from edge.sources.picture import Pictures, folder_pictures, read_picture
from edge.sources.picture_header import picture_format, picture_header
from edge.sources.uri import Options, SourceUri
from edge.sources.video import Video, no_video

_log = logging.getLogger(__name__)


class Medium(Protocol):
    """What the pictures are in. ``shown_s`` and ``interval_s`` as in ``Video``."""

    shown_s: float | None
    interval_s: float

    def advance(self) -> bool:
        """Step to the next picture; False at the end."""

    def picture(self) -> Image:
        """Decode the picture stepped to; FrameCorrupt when that cannot be done."""

    def rewind(self) -> None:
        """Begin again before the first picture; SourceError when that cannot be done."""

    def close(self) -> None:
        """Release the file."""


class FileSource:
    """A ``Source`` that reads pictures from disk and waits for its reader.

    It looks one picture ahead, because how long a frame is shown stands in the one after it. A
    frame's ``captured_ns`` is when it was released to the reader.

    Raises
    ------
    UnsupportedSource
        An option is unknown or wrong, or a width or height is asked for.
    """

    live = False

    def __init__(
        self,
        uri: SourceUri,
        *,
        camera: str,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
    ) -> None:
        if width is not None or height is not None:
            raise UnsupportedSource(
                f"camera {camera!r}: width and height are for cameras, a file keeps its own",
                hint="leave them out",
            )
        if uri.authority not in ("", "localhost"):
            raise UnsupportedSource(
                f"camera {camera!r}: file://{uri.authority} names another machine",
                hint="write file:///absolute/path, file:relative/path or a plain path",
            )
        if not uri.path:
            raise UnsupportedSource(f"camera {camera!r}: the file source names no file")
        options = Options(uri, camera)
        self._rounds = options.integer("loop", 1, 0, 1_000_000)
        self._fast = options.choice("pace", ("real", "fast")) == "fast"
        self._fps = options.number("fps", fps, 0.01, 1000.0)
        options.finish()
        self._camera = camera
        self._path = Path(uri.path)
        self._medium: Medium | None = None
        self._forget()

    @property
    def due_ns(self) -> int:
        """Monotonic time of the next frame; 0 when it may come at any time."""
        return self._pace.due_ns

    def open(self) -> None:
        """Find out what the file is and step to its first picture.

        Raises
        ------
        SourceNotFound
            There is no such file or folder.
        UnsupportedSource
            It is empty, may not be read, or holds nothing that can be read.
        """
        self.close()
        medium = _medium_at(self._path, self._camera)
        if not medium.advance():
            medium.close()
            raise no_video(f"camera {self._camera!r}: {self._path}")
        self._forget()
        self._medium = medium

    def read(self) -> Frame | None:
        """The next frame, or None at the end.

        Raises
        ------
        FrameCorrupt
            A picture is damaged; its number is left out of the sequence.
        SourceUnavailable
            The source is not open, or the file has gone.
        """
        medium = self._medium
        if medium is None:
            raise SourceUnavailable(f"camera {self._camera!r}: {self._path}: is not open")
        if self._failure is not None:
            raise SourceUnavailable(self._failure.message) from self._failure
        if self._ended:
            return None
        captured = Moment.now()
        sequence = self._sequence
        self._sequence += 1
        try:
            image = medium.picture()
            ready_ns = time.monotonic_ns()
            self._decoded = True
        finally:
            self._look_ahead(medium, captured.monotonic_ns)
        return Frame(image, self._camera, sequence, captured.monotonic_ns, ready_ns, captured.utc)

    def close(self) -> None:
        """Release the file. Harmless when not open."""
        if self._medium is not None:
            self._medium.close()
            self._medium = None
            self._forget()

    def _forget(self) -> None:
        """Be as if nothing had been read yet."""
        self._pace = Pace()
        self._sequence = 0
        self._round = 1
        self._decoded = False  # anything, in this round
        self._ended: bool = False
        self._failure: SourceError | None = None

    def _look_ahead(self, medium: Medium, released_ns: int) -> None:
        """Step to the next picture and note when it is due."""
        before_s, own_s = medium.shown_s or 0.0, medium.interval_s
        if medium.advance():
            own_s = (medium.shown_s or 0.0) - before_s
        elif not self._begin_again(medium):
            self._ended = True
            self._pace = Pace()
            return
        if self._fast:
            return
        self._pace.release(released_ns, 1.0 / self._fps if self._fps else own_s)

    def _begin_again(self, medium: Medium) -> bool:
        """Play the next round, if there is one."""
        if self._round == self._rounds:
            return False
        if not self._decoded:
            _log.warning(
                "camera %r: %s: not one picture could be decoded, so it is not played again",
                self._camera,
                self._path,
            )
            return False
        self._round += 1
        self._decoded = False
        try:
            medium.rewind()
        except SourceError as error:
            self._failure = error
            return False
        return medium.advance()


def _medium_at(path: Path, camera: str) -> Medium:
    """What the path leads to, opened."""
    what = f"camera {camera!r}: {path}"
    mode, head = _look_at(path, what)
    if stat.S_ISDIR(mode):
        return Pictures(folder_pictures(path, camera), camera)
    if not stat.S_ISREG(mode):
        raise UnsupportedSource(
            f"{what}: is neither a file nor a folder",
            hint=f"for a camera write v4l2://{path.absolute()}" if stat.S_ISCHR(mode) else "",
        )
    if not head:
        raise UnsupportedSource(f"{what}: the file is empty", hint="copy it again")
    kind = picture_format(head)
    if kind is None:
        return Video(path, what)
    if kind == "GIF":
        header = picture_header(head)
        if header is not None and header.width * header.height > MAX_PIXELS:
            raise UnsupportedSource(
                f"{what}: has {header.width} × {header.height} pixels, allowed are {MAX_PIXELS}"
            )
        return Video(path, what)
    try:  # now, since a picture that cannot be read is a mistake in the configuration
        read_picture(path, camera)
    except FrameCorrupt as error:
        raise UnsupportedSource(error.message, hint="copy it again or leave it out") from error
    return Pictures([path], camera)


def _look_at(path: Path, what: str) -> tuple[int, bytes]:
    """Type of the file and its first bytes (none unless it is a regular file)."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe would block
            return mode, b""
        with path.open("rb") as file:
            return mode, file.read(64)
    except PermissionError as error:
        raise UnsupportedSource(
            f"{what}: permission denied",
            hint="the service runs under a user of its own; give it the right to read",
        ) from error
    except OSError as error:
        hint = "is the name right?" if path.is_absolute() else f"looked in {Path.cwd()}"
        raise SourceNotFound(f"{what}: {error.strerror}", hint=hint) from error
