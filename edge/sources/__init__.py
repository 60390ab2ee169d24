"""Where frames come from: ``open_source`` turns the URI of a camera into a ``Source``.

=============================  =================================================  ==============
URI                            reads                                              module
=============================  =================================================  ==============
``clips/door.gif``             a plain path, taken as it stands: no options       ``file``
``file:///srv/a%20b.mp4?…``    video, animated GIF, picture, folder of pictures   ``file``
``file:clips/door.gif?…``      the same, relative to the working directory        ``file``
``v4l2:///dev/video0?…``       a USB camera or capture card                       ``v4l2``
``0``                          the same as ``v4l2:///dev/video0``                 ``v4l2``
``http://host/path``           an MJPEG camera in the network, ``https`` too           ``http``
``synthetic://blobs?…``        pictures computed from their number                ``synthetic``
=============================  =================================================  ==============

The options behind ``?`` are documented in the module that reads them; they win over the camera's
keys of the same name.
"""

from __future__ import annotations

import difflib
import os

from edge.errors import DriverAbsent, UnsupportedSource
from edge.protocols import Source
from edge.sources.uri import parse_uri, scheme_of

__all__ = ["open_source"]

# OpenCV and the FFmpeg inside it read these when they are loaded or first used, so they must stand
# before any module here imports cv2. What the operator has set wins.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "16777216")
# A camera that stalls holds `grab` for this many seconds (default 10); a read may take 3.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
# Their own complaints on stderr repeat what our errors say, without naming the camera.
os.environ.setdefault("OPENCV_LOG_LEVEL", "FATAL")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_READS = ("file", "v4l2", "http", "https", "synthetic")
_LATER = ("rtsp", "rtsps", "csi", "gstreamer")


def open_source(
    uri: str,
    *,
    camera: str,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
) -> Source:
    """Build the source that a URI names. Nothing is opened yet: call ``open`` on it.

    Parameters
    ----------
    uri
        See the table above.
    camera
        The camera's id; frames carry it and errors name it.
    width, height, fps
        The picture size in pixels and the frames per second that are asked for; None leaves them
        to the source. A camera may answer with another size.

    Raises
    ------
    UnsupportedSource
        The scheme is unknown or not read by this version, or an option is unknown or wrong.
    DriverAbsent
        The library that reads such a source is not installed.
    """
    scheme = scheme_of(uri, camera)
    if scheme not in _READS:
        raise _refusal(scheme, camera)
    try:
        # Here and not at the top: each scheme loads its own driver and no other.
        if scheme in ("http", "https"):
            from edge.sources.http import HttpSource

            return HttpSource(uri, camera=camera, width=width, height=height, fps=fps)
        parsed = parse_uri(uri, camera)
        if scheme == "v4l2":
            from edge.sources.v4l2 import V4l2Source

            return V4l2Source(parsed, camera=camera, width=width, height=height, fps=fps)
        if scheme == "synthetic":
            from edge.sources.synthetic import SyntheticSource

            return SyntheticSource(parsed, camera=camera, width=width, height=height, fps=fps)
        from edge.sources.file import FileSource

        return FileSource(parsed, camera=camera, width=width, height=height, fps=fps)
    except ImportError as error:
        raise DriverAbsent(
            f"camera {camera!r}: {scheme} sources need a library that does not load: {error}",
            hint="pip install 'linesight[edge]'",
        ) from error


def _refusal(scheme: str, camera: str) -> UnsupportedSource:
    # The scheme only: the rest of such a URI may hold a password.
    reads = f"this version reads {', '.join(_READS)}"
    if scheme in _LATER:
        return UnsupportedSource(
            f"camera {camera!r}: {scheme} sources are not read by this version", hint=reads
        )
    nearest = difflib.get_close_matches(scheme, (*_READS, *_LATER), n=1)
    meant = f"did you mean {nearest[0]}? " if nearest else ""
    return UnsupportedSource(
        f"camera {camera!r}: unknown source scheme {scheme!r}", hint=meant + reads
    )
