"""The process that ``bench`` compares with: how it is asked, and that it always ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands import reference
from edge.commands.reference import Reference, reference_or_none
from edge.errors import ExtraAbsent, ModelError, StageFailed
from tests.helpers.command import station_models

READY = "import sys; print('{\"ready\": true}', flush=True)\n"


def scripted(script: str) -> Reference:
    """A reference whose process is a few lines of Python."""
    found = Reference()
    found._command = [sys.executable, "-c", script]
    return found


def process_of(one: Reference) -> int:
    """The number of its process."""
    assert one._process is not None
    return one._process.pid


def test_it_measures_on_request_and_ends_with_its_user() -> None:
    """Each request is one frame; afterwards there is no process left."""
    script = READY + "for line in sys.stdin: print('{\"seconds\": %s}' % line, flush=True)"
    with scripted(script) as loop:
        assert [loop.frame_s(3), loop.frame_s(32)] == [3.0, 32.0]
        pid = process_of(loop)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_ends_although_it_is_at_work() -> None:
    """Whatever goes wrong in between, a frame that takes for ever is not waited for."""
    loop = scripted(READY + "import threading; threading.Event().wait()")
    pid = 0

    def interrupted() -> None:
        nonlocal pid
        with loop:
            pid = process_of(loop)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_one_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound on every answer, and the process ends."""
    monkeypatch.setattr(reference, "FRAME_S", 0.2)
    loop = scripted(READY + "import threading; threading.Event().wait()")
    with loop:
        pid = process_of(loop)
        with pytest.raises(StageFailed, match=r"did not answer within 0\.2 s"):
            loop.frame_s(1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("code", "error", "exit_code"),
    [(69, ExtraAbsent, 69), (78, ModelError, 78), (3, StageFailed, 1)],
)
def test_its_failure_is_one_line(
    code: int, error: type[ExtraAbsent | ModelError | StageFailed], exit_code: int
) -> None:
    """What it said last, with the house's exit code for its own."""
    script = f"import sys; sys.stderr.write('noise\\nno keras\\n'); sys.exit({code})"
    with pytest.raises(error, match="no keras") as caught, scripted(script):
        pass
    assert caught.value.exit_code == exit_code
    assert "noise" not in str(caught.value)


def test_one_that_dies_between_two_frames_is_no_figure() -> None:
    """The request finds nobody, and that is an error, not a ratio."""
    with (
        scripted(READY + "sys.stdin.readline(); sys.exit(5)") as loop,
        pytest.raises(StageFailed, match="ended with 5"),
    ):
        loop.frame_s(1)


@pytest.fixture
def no_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device."""
    monkeypatch.setattr(reference, "find_spec", lambda name: None)


def test_without_keras_it_is_left_out_unless_asked_for(no_keras: None) -> None:
    """Silence is for who said nothing; who asks by name is told what to install."""
    assert reference_or_none(None, ()) is None
    assert reference_or_none(False, ()) is None
    with pytest.raises(ExtraAbsent, match=r"linesight\[convert\]"):
        reference_or_none(True, ())


@pytest.mark.convert
def test_where_keras_is_installed_it_runs_unless_refused() -> None:
    """The twin, with the Keras of this environment."""
    assert reference_or_none(None, ()) is not None
    assert reference_or_none(True, ()) is not None
    assert reference_or_none(False, ()) is None


@pytest.mark.parametrize(
    ("extra", "code", "says"),
    [
        (("--reference",), 69, "linesight[convert]"),
        (("--reference-detector", "/nope.pb", "/nope.pbtxt"), 78, "/nope.pb"),
        (("--no-reference", "--reference-detector", "/a", "/b"), 2, "--reference-detector"),
    ],
)
def test_what_is_missing_is_told_before_the_work(
    tmp_path: Path,
    no_keras: None,
    capsys: pytest.CaptureFixture[str],
    extra: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    """One clear line, and nothing was measured."""
    assert main(["bench", "face_mask", "--models", str(station_models(tmp_path)), *extra]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
