"""The loop that LineSight is compared with, as a process of its own: Keras, one call for each face.

``python -m converter.reference --faces 32 --frames 3 --json -`` does for each frame what the
reference system does: with ``--detector`` the 300×300 SSD of OpenCV's face detector by ``cv2.dnn``;
then for each face cut the crop, convert to RGB, resize to 224×224, preprocess, and
``model.predict`` on that one face, with a MobileNetV2 of width 1.0 and the reference head. The
weights of that one are random: they change what the network says, not how long it takes. TensorFlow
and OpenCV work with one thread each.

With ``--serve`` it stays and measures on request, so that somebody else's measurement and this one
can take turns: it says one JSON line when it is ready, then for each line with a number of faces on
standard input it measures one frame and says one JSON line, until its input ends.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from edge.errors import ModelError

SIDE = 224
"""Side of the network's input, in pixels."""
SSD_SIDE = 300
SSD_MEAN = (104.0, 177.0, 123.0)
"""Of the detector's input: pixels, and what is taken from blue, green and red."""

ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""TensorFlow and oneDNN read these when they are loaded."""


class ReferenceLoop:
    """The reference system's work on a frame of 640×480.

    Parameters
    ----------
    detector
        The network's two files (weights .pb, graph .pbtxt); without them only faces are judged.

    Raises
    ------
    ImportError
        TensorFlow, Keras or OpenCV is not installed.
    ModelError
        The detector's files cannot be read.
    """

    def __init__(self, detector: tuple[Path, Path] | None = None) -> None:
        import cv2
        import keras
        import numpy as np

        cv2.setNumThreads(1)
        self._detect = _detector(cv2, detector) if detector is not None else None
        self._judge = _judge(cv2, keras, np, _network(keras))
        rng = np.random.default_rng(0)
        self._frame = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
        self._corners = [(int(x), int(y)) for x, y in rng.integers(0, (560, 400), (10_000, 2))]
        self.frame_s(1)  # the first call builds and allocates

    def frame_s(self, faces: int) -> float:
        """Seconds that a frame with so many faces takes."""
        began = time.perf_counter()
        if self._detect is not None:
            self._detect(self._frame)
        for x, y in self._corners[:faces]:
            self._judge(self._frame[y : y + 80, x : x + 80])
        return time.perf_counter() - began


def measure(
    faces: int, frames: int, detector: tuple[Path, Path] | None = None
) -> dict[str, int | float]:
    """Time the loop.

    Parameters
    ----------
    faces
        Faces in each frame.
    frames
        How many frames are timed, after one that warms up.
    detector
        See :class:`ReferenceLoop`.

    Returns
    -------
    dict
        ``faces``, ``frames``, ``fps`` (frames a second) and ``ms_per_face``.

    Raises
    ------
    ImportError, ModelError
        See :class:`ReferenceLoop`.
    """
    loop = ReferenceLoop(detector)
    seconds = sum(loop.frame_s(faces) for _ in range(frames))
    return {
        "faces": faces,
        "frames": frames,
        "fps": frames / seconds,
        "ms_per_face": 1e3 * seconds / (frames * faces),
    }


def serve(loop: ReferenceLoop, requests: Iterable[str], answers: TextIO) -> None:
    """Answer each number of faces with ``{"faces": …, "seconds": …}`` of one frame."""
    _say(answers, {"ready": True})
    for line in requests:
        faces = _count(line)
        _say(answers, {"faces": faces, "seconds": loop.frame_s(faces)})


def _say(stream: TextIO, what: dict[str, Any]) -> None:
    stream.write(json.dumps(what) + "\n")
    stream.flush()


def _detector(cv2: Any, files: tuple[Path, Path]) -> Callable[[Any], Any]:
    weights, graph = map(str, files)
    try:
        network = cv2.dnn.readNetFromTensorflow(weights, graph)
    except cv2.error as error:
        raise ModelError(
            f"{weights}, {graph}: cannot be read by OpenCV: {error.err}",
            hint="name opencv_face_detector_uint8.pb and opencv_face_detector.pbtxt",
        ) from error

    def detect(frame: Any) -> Any:
        network.setInput(cv2.dnn.blobFromImage(frame, 1.0, (SSD_SIDE, SSD_SIDE), SSD_MEAN))
        return network.forward()

    return detect


def _judge(cv2: Any, keras: Any, np: Any, model: Any) -> Callable[[Any], None]:
    def judge(crop: Any) -> None:
        face = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)
        face = keras.utils.img_to_array(cv2.resize(face, (SIDE, SIDE)))
        batch = np.expand_dims(keras.applications.mobilenet_v2.preprocess_input(face), axis=0)
        model.predict(batch, verbose=0)

    return judge


def _network(keras: Any) -> Any:
    """MobileNetV2 1.0 under pooling, flatten, dense 128, dropout and two classes."""
    body = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(SIDE, SIDE, 3)
    )
    x = keras.layers.AveragePooling2D((7, 7))(body.output)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(128, activation="relu")(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(body.input, keras.layers.Dense(2, activation="softmax")(x))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write one JSON object, or serve; 69 without TensorFlow, 78 for wrong files."""
    parser = argparse.ArgumentParser(prog="python -m converter.reference", description=__doc__)
    parser.add_argument("--faces", type=_count, default=32, help="faces in a frame")
    parser.add_argument("--frames", type=_count, default=3, help="frames to time")
    parser.add_argument(
        "--detector",
        nargs=2,
        type=Path,
        metavar=("PB", "PBTXT"),
        help="opencv_face_detector_uint8.pb and opencv_face_detector.pbtxt: detect as well",
    )
    parser.add_argument("--json", default="-", metavar="FILE", help="where to write, - is stdout")
    parser.add_argument("--serve", action="store_true", help="measure a frame on each request")
    args = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.update(ONE_THREAD)
    detector = None if args.detector is None else (args.detector[0], args.detector[1])
    try:
        if args.serve:
            serve(ReferenceLoop(detector), sys.stdin, sys.stdout)
            return 0
        text = json.dumps(measure(args.faces, args.frames, detector)) + "\n"
    except ImportError as error:
        sys.stderr.write(f"{parser.prog}: {error} (pip install 'linesight[convert]')\n")
        return 69
    except ModelError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return error.exit_code
    if args.json == "-":
        sys.stdout.write(text)
    else:
        Path(args.json).write_text(text, encoding="utf-8")
    return 0


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"{number} is not in 1 to 10000")
    return number


if __name__ == "__main__":
    sys.exit(main())
