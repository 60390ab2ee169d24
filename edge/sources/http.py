"""``http:`` and ``https:`` sources: network cameras that send MJPEG, one JPEG after the other.

``http://user:password@camera/video.mjpg?resolution=640x480``. All behind the host goes to the
camera as it stands, so there are no options of our own. User and password are percent-decoded and
sent by basic authentication; they stand in no message. The answer must be
``multipart/x-mixed-replace``: an address that gives a single picture is not polled. Redirections
are not followed. The certificate of an ``https`` camera is verified.

A camera has stalled when 3 s bring no whole picture. When the reader is slower than the camera it
gets the newest picture that is there; the numbers of those left out are missing in the sequence.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from functools import partial

from edge.errors import FrameCorrupt, SourceUnavailable, UnsupportedSource
from edge.records import EncodedFrame
from edge.sources.frames import Moment
from edge.sources.http_answer import Address, Answer, address_of, ask
from edge.sources.multipart import BrokenStream, Chunked, Multipart
from edge.sources.picture import check_picture, decode_picture

OPEN_S = 5.0
READ_S = 3.0
_MARGIN_S = 0.25  # what is promised to the caller includes our own time
_PIECE = 64 << 10
_DRAIN_LIMIT = 32 << 20
_DAMAGED_LIMIT = 64  # of which each is told before more is taken


class HttpSource:
    """A ``Source`` for one MJPEG camera.

    Parameters
    ----------
    uri
        As the operator wrote it, not decoded.
    camera, width, height, fps
        As in ``open_source``.
    context
        For ``https``; the default verifies the certificate against the system's authorities.

    Raises
    ------
    UnsupportedSource
        The URI is wrong, or a size or rate is asked for: the camera's address says these.
    """

    live = True

    def __init__(
        self,
        uri: str,
        *,
        camera: str,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        if (width, height, fps) != (None, None, None):
            raise UnsupportedSource(
                f"camera {camera!r}: an http source takes no width, height or fps",
                hint="set them in the camera, or in its address if it takes them there",
            )
        self._address: Address = address_of(uri, camera)
        self._camera = camera
        self._what = f"camera {camera!r}: {self._address.shown}"
        self._context = context
        self._socket: socket.socket | None = None
        self._lost = ""
        self._chunked: Chunked | None = None
        self._parts = Multipart("-")
        self._pending: deque[EncodedFrame | FrameCorrupt] = deque()
        self._sequence = 0

    @property
    def due_ns(self) -> int:
        """0: the camera sets the pace, ``read`` waits for it."""
        return 0

    def open(self) -> None:
        """Connect, ask, and read the head of the answer; 5 s at most.

        Raises
        ------
        UnsupportedSource
            The answer is no MJPEG, or sends us elsewhere.
        SourceUnavailable
            No answer, a refusal, or a certificate that is not trusted.
        """
        self.close()
        deadline = time.monotonic() + OPEN_S - _MARGIN_S
        try:
            answer: Answer = ask(self._address, deadline, self._context)
        except TimeoutError as error:
            raise SourceUnavailable(
                f"camera {self._camera!r}: no answer from {self._address.shown} "
                f"within {OPEN_S:g} s",
                hint="is the camera on, and its address right?",
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise SourceUnavailable(
                f"{self._what}: certificate verify failed: {error.verify_message}",
                hint="install the camera's authority in the system, and check the clock",
            ) from error
        except (UnsupportedSource, SourceUnavailable) as error:
            raise type(error)(f"{self._what}: {error.message}", hint=error.hint) from error
        except (OSError, BrokenStream) as error:
            raise SourceUnavailable(f"{self._what}: {_reason(error)}") from error
        self._socket = answer.socket
        self._chunked = Chunked() if answer.chunked else None
        self._parts = Multipart(answer.boundary)
        self._sequence = 0
        self._take(answer.rest)

    def read(self) -> EncodedFrame:
        """The newest whole picture, waiting for one for at most 3 s.

        Raises
        ------
        FrameCorrupt
            A picture was cut off, has too many pixels or is none; its number is left out.
        SourceUnavailable
            No picture came, or the camera ended the stream.
        """
        if self._socket is None:
            raise SourceUnavailable(f"{self._what}: is not open")
        if not self._pending:
            self._collect(self._socket, time.monotonic() + READ_S - _MARGIN_S)
        if not self._pending:
            raise SourceUnavailable(f"{self._what}: {self._lost}")
        item = self._pending.popleft()
        if isinstance(item, FrameCorrupt):
            raise item
        return item

    def close(self) -> None:
        """Hang up. Harmless when not open."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._parts = Multipart("-")
        self._pending.clear()
        self._lost = ""

    def _collect(self, camera: socket.socket, deadline: float) -> None:
        """Take all that has come; wait while that completes nothing."""
        poller = select.poll()
        poller.register(camera, select.POLLIN)
        drained = 0
        while not self._lost and drained < _DRAIN_LIMIT and len(self._pending) < _DAMAGED_LIMIT:
            try:
                data = camera.recv(_PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                if self._pending:
                    return
                data = b""
            except OSError as error:
                self._lost = _reason(error)
                return
            else:
                if not data:
                    self._lost = "the camera ended the stream"
                    return
            if data:
                drained += len(data)
                self._take(data)
            left_s = deadline - time.monotonic()
            if left_s <= 0 and not self._pending:
                self._lost = f"no whole picture within {READ_S:g} s"
            elif left_s <= 0:
                return
            elif not data:
                poller.poll(left_s * 1000)

    def _take(self, data: bytes) -> None:
        moment = Moment.now()
        try:
            plain = data if self._chunked is None else self._chunked.feed(data)
            bodies = self._parts.feed(plain)
        except BrokenStream as error:
            self._lost = str(error)
            return
        for body in bodies:
            self._keep(body, moment)
        if self._parts.ended or (self._chunked is not None and self._chunked.ended):
            self._lost = "the camera ended the stream"

    def _keep(self, body: bytes, moment: Moment) -> None:
        what = f"{self._what}: frame {self._sequence}"
        sequence = self._sequence
        self._sequence += 1
        try:
            if not body.startswith(b"\xff\xd8"):
                raise FrameCorrupt(f"{what}: is no JPEG")
            check_picture(body, what)
        except FrameCorrupt as error:
            self._pending.append(error)
            return
        # The newest wins; a damaged one stays, for each is counted.
        self._pending = deque(item for item in self._pending if isinstance(item, FrameCorrupt))
        frame = EncodedFrame(
            partial(decode_picture, body, what),
            self._camera,
            sequence,
            moment.monotonic_ns,
            time.monotonic_ns(),
            moment.utc,
        )
        self._pending.append(frame)


def _reason(error: Exception) -> str:
    """What went wrong, without an address or a header in it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
