"""The loop that LineSight is compared with, as a process of its own: Keras, one call for each face.

``python -m converter.reference --faces 32 --frames 3 --json -`` does for each face of each frame
what the reference system does: cut the crop, convert to RGB, resize to 224×224, preprocess, and
``model.predict`` on that one face, with a MobileNetV2 of width 1.0 and the reference head. The
weights are random: they change what the network says, not how long it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SIDE = 224
"""Side of the network's input, in pixels."""


def measure(faces: int, frames: int) -> dict[str, Any]:
    """Time the loop.

    Parameters
    ----------
    faces
        Faces in each frame.
    frames
        How many frames are timed, after one call that warms up.

    Returns
    -------
    dict
        ``faces``, ``frames``, ``fps`` (frames a second) and ``ms_per_face``.

    Raises
    ------
    ImportError
        TensorFlow, Keras or OpenCV is not installed.
    """
    import cv2
    import keras
    import numpy as np
    from keras.applications import mobilenet_v2

    model = _network(keras)
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    corners = [(int(rng.integers(0, 560)), int(rng.integers(0, 400))) for _ in range(faces)]

    def judge(x: int, y: int) -> None:
        face = cv2.cvtColor(frame[y : y + 80, x : x + 80], cv2.COLOR_BGR2RGB)
        face = keras.utils.img_to_array(cv2.resize(face, (SIDE, SIDE)))
        batch = np.expand_dims(mobilenet_v2.preprocess_input(face), axis=0)
        model.predict(batch, verbose=0)

    judge(*corners[0])
    began = time.perf_counter()
    for _ in range(frames):
        for corner in corners:
            judge(*corner)
    seconds = time.perf_counter() - began
    return {
        "faces": faces,
        "frames": frames,
        "fps": frames / seconds,
        "ms_per_face": 1e3 * seconds / (frames * faces),
    }


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
    """Measure, and write one JSON object; 69 when TensorFlow is not installed."""
    parser = argparse.ArgumentParser(prog="python -m converter.reference", description=__doc__)
    parser.add_argument("--faces", type=_count, default=32, help="faces in a frame")
    parser.add_argument("--frames", type=_count, default=3, help="frames to time")
    parser.add_argument("--json", default="-", metavar="FILE", help="where to write, - is stdout")
    args = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        text = json.dumps(measure(args.faces, args.frames)) + "\n"
    except ImportError as error:
        sys.stderr.write(f"{parser.prog}: {error} (pip install 'linesight[convert]')\n")
        return 69
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
