"""The command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.conditions.__main__ import main


def test_data_that_are_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 78, and the message names the folder that is missing."""
    assert main(["--data", str(tmp_path)]) == 78
    assert str(tmp_path / "face_mask" / "boxes") in capsys.readouterr().err


def test_a_network_that_opencv_cannot_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 78, and the message names the files."""
    graph, text = tmp_path / "net.pb", tmp_path / "net.pbtxt"
    graph.write_bytes(b"no graph")
    text.write_text("no text")
    arguments = ["--data", str(tmp_path), "--reference-detector", str(graph), str(text)]
    assert main(arguments) == 78
    assert str(graph) in capsys.readouterr().err
