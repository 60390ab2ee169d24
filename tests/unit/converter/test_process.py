"""The child that holds a model: every way in which it can end is one line, and leaves nothing."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from converter.keras_model import KerasModelError
from converter.process import KerasProcess, Limits
from converter.tflite import VariantJob
from edge.contract.manifest import InputSpec, Normalize, Resize
from tests.helpers.keras_formats import SIZE

pytestmark = [pytest.mark.convert, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[3]
SPEC = InputSpec(
    name="image",
    shape=(1, SIZE, SIZE, 3),
    color="RGB",
    resize=Resize(mode="stretch"),
    normalize=Normalize(mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)),
)
IMAGES = np.zeros((1, SIZE, SIZE, 3), np.float32)

TINY = """
import sys, keras
layers = keras.layers
image = keras.Input((16, 16, 3), name="picture")
x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
keras.Model(image, layers.Dense(2, name="dense")(layers.Flatten(name="flat")(x))).save(sys.argv[1])
"""

PARENT = """
import signal
# A shell's background jobs ignore it, and what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
import sys
from pathlib import Path
from converter.process import KerasProcess
with KerasProcess(Path(sys.argv[1])) as process:
    print(process._child.pid, process.folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two layers."""
    path = tmp_path_factory.mktemp("keras") / "tiny.keras"
    subprocess.run([sys.executable, "-c", TINY, path], capture_output=True, check=True)
    return path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing that a process made is left, neither a folder nor a child."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []
    assert _children() == []


def _children() -> list[int]:
    """Children of this process, zombies too."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def _refused(error: pytest.ExceptionInfo[KerasModelError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def _exported(path: Path, seconds: float = 100.0) -> KerasProcess:
    process = KerasProcess(path, limits=Limits(seconds=seconds))
    process.export(SPEC, ["score"], {})
    return process


def test_child_killed_in_a_request(tiny: Path) -> None:
    """A child that is killed while it works ends the request with a line that says by what."""
    with _exported(tiny) as process:
        (child,) = _children()
        os.kill(child, signal.SIGSTOP)  # it cannot have answered before it dies
        threading.Timer(0.2, os.kill, (child, signal.SIGKILL)).start()
        with pytest.raises(KerasModelError, match=r"died .SIGKILL.") as error:
            process.infer(IMAGES)
        assert _refused(error).startswith(f"{tiny}: infer: ")
        with pytest.raises(KerasModelError, match=r"died .SIGKILL."):
            process.convert(VariantJob("float32", "image"))


def test_processor_time(tiny: Path) -> None:
    """A child that the kernel ends for its processor time is told from one that was killed."""
    with _exported(tiny) as process:
        (child,) = _children()
        os.kill(child, signal.SIGXCPU)
        with pytest.raises(KerasModelError, match="more processor time than 100 s") as error:
            process.infer(IMAGES)
        assert "--timeout" in _refused(error)


def test_processor_time_is_limited() -> None:
    """The limit that the child sets for itself ends a loop without end."""
    script = "from converter.limits import allow_seconds; allow_seconds(0.1)\nwhile True: pass"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert run.returncode == -signal.SIGXCPU


def test_wall_clock(tiny: Path) -> None:
    """A request without an answer ends at the deadline, the child with it."""
    with pytest.raises(KerasModelError, match=r"load took longer than 0\.2 s") as error:
        KerasProcess(tiny, limits=Limits(seconds=0.2))
    assert "--timeout" in _refused(error)


def test_deadline_holds_while_sending(tiny: Path) -> None:
    """A child that stands still before it has read the pictures does not hold the parent."""
    with _exported(tiny, seconds=20.0) as process:
        (child,) = _children()
        os.kill(child, signal.SIGSTOP)
        process._limits = Limits(seconds=0.2)
        with pytest.raises(KerasModelError, match="infer took longer"):
            process.infer(np.zeros((8, 256, 256, 3), np.float32))


@pytest.mark.parametrize(
    ("mebibytes", "said"),
    [(150, "needs more memory than 0.146 GiB"), (350, r"needs more memory|died .SIG(SEGV|ABRT)")],
)
def test_memory(tiny: Path, mebibytes: int, said: str) -> None:
    """Too little memory for TensorFlow is said, or guessed when native code crashes of it."""
    with pytest.raises(KerasModelError, match=said) as error:
        KerasProcess(tiny, limits=Limits(memory_bytes=mebibytes * 2**20))
    assert "allow more with --memory" in _refused(error)


def test_garbage(tiny: Path) -> None:
    """What is no answer is refused, and the child is ended."""
    with _exported(tiny) as process:
        (child,) = _children()
        os.kill(child, signal.SIGSTOP)
        assert process._child.stdout is not None
        ours = Path(f"/proc/self/fd/{process._child.stdout.fileno()}").readlink()
        ends = Path(f"/proc/{child}/fd").iterdir()
        (end,) = [fd for fd in ends if fd.readlink() == ours]
        end.write_bytes(b"<html>" + bytes(64))
        with pytest.raises(KerasModelError, match="a header of 1013478509 bytes") as error:
            process.infer(IMAGES)
        assert "answered nonsense" in _refused(error)
        assert process._child.wait(timeout=30) == -signal.SIGKILL


def test_worker_refuses_garbage(temporary: Path) -> None:
    """A child that is sent no message ends without having served anything."""
    arguments = [str(os.getpid()), str(2**32), str(temporary)]
    run = subprocess.run(
        [sys.executable, "-m", "converter.worker", *arguments],
        cwd=ROOT,
        input=b"\xff" * 100,
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (1, b"")
    assert run.stderr.splitlines()[-1] == b"a header of 4294967295 bytes"


def test_worker_of_another_parent(temporary: Path) -> None:
    """A child whose parent died before it was tied to it does not start."""
    arguments = [str(os.getpid() + 1), str(2**32), str(temporary)]
    run = subprocess.run(
        [sys.executable, "-m", "converter.worker", *arguments], cwd=ROOT, check=False
    )
    assert run.returncode == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_parent_ends(tiny: Path, temporary: Path, how: signal.Signals) -> None:
    """A parent that is killed or interrupted leaves no child behind; interrupted, no folder."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tiny],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child, folder = parent.stdout.readline().split()
    handle = os.pidfd_open(int(child))
    parent.send_signal(how)
    gone, _, _ = select.select([handle], [], [], 30)
    os.close(handle)
    parent.communicate()
    assert gone
    assert Path(folder).exists() == (how == signal.SIGKILL)
    if how == signal.SIGKILL:
        subprocess.run(["rm", "-r", folder], check=True)


def test_nothing_reaches_the_terminal(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What TensorFlow and Keras say goes neither to stdout nor to stderr."""
    with _exported(tiny) as process:
        assert process.convert(VariantJob("float32", "image"))[4:8] == b"TFL3"
    assert capfd.readouterr() == ("", "")


def test_working_directory_is_not_imported(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ``keras.py`` beside the model, and axes turned in the user's Keras settings, do nothing."""
    home = tmp_path / "home"
    (home / ".keras").mkdir(parents=True)
    settings = '{"image_data_format": "channels_first", "floatx": "float16"}'
    (home / ".keras" / "keras.json").write_text(settings)
    (tmp_path / "keras.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    with _exported(tiny) as process:
        assert [tensor.dtype for tensor in process.facts.outputs] == ["float32"]
        assert process.infer(IMAGES)["score"].shape == (1, 2)
