"""The reference loop's own errors and where they end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from converter import reference
from converter.reference import SSD_MEAN, SSD_SIDE, _detector, main, serve
from edge.errors import ModelError


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    """What OpenCV cannot read is a model's error, with both files and what to name instead."""
    files = (tmp_path / "net.pb", tmp_path / "net.pbtxt")
    for file in files:
        file.write_text("no network")
    with pytest.raises(ModelError, match=r"net\.pb, .*net\.pbtxt: cannot be read") as told:
        _detector(cv2, files)
    assert "opencv_face_detector_uint8.pb" in told.value.hint


class Loop:
    """A loop without networks that takes no time, or fails."""

    error: Exception | None = None

    def __init__(self, detector: tuple[Path, Path] | None = None) -> None:
        if self.error is not None:
            raise self.error

    def frame_s(self, faces: int) -> float:
        return 0.25 * faces


def test_each_request_is_answered() -> None:
    """Ready first, then one line a request."""
    answers = io.StringIO()
    serve(Loop(), ["1\n", "8\n"], answers)  # type: ignore[arg-type]
    assert answers.getvalue().splitlines() == [
        '{"ready": true}',
        '{"faces": 1, "seconds": 0.25}',
        '{"faces": 8, "seconds": 2.0}',
    ]


def test_wrong_files_end_it_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 78, which tells the bench that the files are to blame."""
    monkeypatch.setattr(Loop, "error", ModelError("net.pb: cannot be read"))
    monkeypatch.setattr(reference, "ReferenceLoop", Loop)
    assert main(["--serve"]) == 78
    assert capsys.readouterr().err == "python -m converter.reference: net.pb: cannot be read\n"


def test_a_wrong_request_does_not_blame_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is wrong while it serves is a fault of its own and no exit 78."""
    monkeypatch.setattr(reference, "ReferenceLoop", Loop)
    monkeypatch.setattr("sys.stdin", io.StringIO("many\n"))
    with pytest.raises(ValueError, match="many"):
        main(["--serve"])


def test_the_detector_sees_the_whole_frame() -> None:
    """The frame is stretched to the network's input and the training's mean taken off."""
    told: dict[str, Any] = {}

    class Net:
        def setInput(self, blob: Any) -> None:  # noqa: N802 - OpenCV's name
            told["blob"] = blob

        def forward(self) -> str:
            return "found"

    class Dnn:
        blobFromImage = staticmethod(cv2.dnn.blobFromImage)  # noqa: N815 - OpenCV's name

        @staticmethod
        def readNetFromTensorflow(weights: str, graph: str) -> Net:  # noqa: N802 - OpenCV's name
            return Net()

    class OpenCV:
        dnn, error = Dnn, cv2.error

    frame = np.full((480, 640, 3), 130, np.uint8)
    detect = _detector(OpenCV, (Path("net.pb"), Path("net.pbtxt")))
    assert detect(frame) == "found"
    assert told["blob"].shape == (1, 3, SSD_SIDE, SSD_SIDE)
    assert told["blob"][0, :, 0, 0] == pytest.approx([130 - mean for mean in SSD_MEAN])
