"""The command line as a user meets it: real processes, exit codes, one line for each mistake."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge import cli
from edge.errors import LineSightError
from tests.helpers.command import ROOT, linesight


def test_import_edge_loads_nothing_heavy() -> None:
    """`import edge` loads neither numpy, cv2, pydantic nor an inference runtime."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import edge"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "edge" in loaded
    assert not {"numpy", "cv2", "pydantic", "tensorflow", "ai_edge_litert"} & loaded


def test_help_is_quick_and_lists_every_verb() -> None:
    """`linesight --help` needs no heavy import and names all verbs."""
    best = float("inf")
    for _ in range(3):
        began = time.monotonic()
        done = linesight("--help")
        best = min(best, time.monotonic() - began)
    assert done.returncode == 0
    assert all(f"    {verb} " in done.stdout for verb in cli.VERBS)
    assert best < 0.5


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_has_help(verb: str) -> None:
    """Every listed verb exists and explains itself."""
    done = linesight(verb, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: linesight {verb}")


def test_version() -> None:
    """--version prints the name and the version."""
    assert linesight("--version").stdout.startswith("linesight 0")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "VERB"),
        (("rnu",), 2, "'rnu'"),
        (("eval", "face_mask"), 2, "--data"),
        (("watch", "--seconds", "0"), 2, "not a number above 0"),
        (("watch", "--host", "broker.example.org"), 2, "--ca"),
        (("watch", "--cert", "x"), 2, "--cert and --key"),
        (("watch", "--host", "127.0.0.1", "--port", "1", "--seconds", "1"), 69, "127.0.0.1:1"),
        (("watch", "--password-file", "/nope"), 78, "/nope"),
        (("run", "--config", "/nope.toml"), 78, "/nope.toml"),
        (("config", "show", "--config", "/"), 78, "cannot be read"),
        (("eval", "face_msk", "--data", "/nope"), 2, "did you mean face_mask?"),
        (("eval", "door", "--data", "/nope"), 2, "stations: face_mask, steel_defect"),
        (("eval", "face_mask", "--data", "/x", "--only", "/nope"), 2, "--only /nope"),
        (("bench", "/"), 78, "manifest.json"),
        (("bench", "face_mask", "--faces", "0"), 2, "numbers from 1 to"),
        (("demo", "--source", "ftp://x/y"), 78, "'ftp'"),
        (("demo", "--out", "/proc/x"), 2, "--out /proc/x"),
        (("schema", "alret"), 2, "alert.1.schema.json"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """Each mistake is one line that names the thing, with the right code and no traceback."""
    if arguments[:1] == ("demo",) and "--out" not in arguments:
        arguments = (*arguments, "--out", str(tmp_path))
    done = linesight(*arguments)
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("linesight: ")
    assert says in lines[0]


def test_config_mistakes_are_a_line_each(tmp_path: Path) -> None:
    """`linesight run` with three mistakes says three lines and ends with 78."""
    path = tmp_path / "station.toml"
    path.write_text('[station]\nnode = "a b"\ntask = "face_mask"\nx = 1\n')
    done = linesight("run", "--config", str(path))
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 3
    assert all(line.startswith("linesight: ") for line in done.stderr.splitlines())


def test_config_path_comes_from_the_environment(tmp_path: Path) -> None:
    """$LINESIGHT_CONFIG takes the place of the usual path, and --config wins over it."""
    done = linesight("config", "show", LINESIGHT_CONFIG=str(tmp_path / "env.toml"))
    assert "env.toml" in done.stderr
    done = linesight(
        "config", "show", "--config", "/arg.toml", LINESIGHT_CONFIG=str(tmp_path / "env.toml")
    )
    assert "/arg.toml" in done.stderr


@pytest.mark.parametrize(
    ("package", "verb", "extra"),
    [
        ("amqtt", ("demo",), "demo"),
        ("pydantic", ("config", "show"), "edge"),
        ("paho", ("watch",), "edge"),
        ("cv2", ("bench", "face_mask"), "edge"),
    ],
)
def test_a_missing_package_names_the_extra(
    tmp_path: Path, package: str, verb: tuple[str, ...], extra: str
) -> None:
    """Without an optional package the verb ends with 69 and the pip command."""
    # A package that fails to import as if it were not there.
    (tmp_path / f"{package}.py").write_text(
        f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')\n"
    )
    done = linesight(*verb, PYTHONPATH=str(tmp_path))
    assert done.returncode == 69
    assert done.stderr.splitlines() == [done.stderr.strip()]
    assert f"pip install 'linesight[{extra}]'" in done.stderr


def test_help_needs_no_extra(tmp_path: Path) -> None:
    """The help of the whole program works in a bare environment."""
    for package in ("numpy", "pydantic"):
        (tmp_path / f"{package}.py").write_text("raise ImportError\n")
    assert linesight("--help", PYTHONPATH=str(tmp_path)).returncode == 0
    assert linesight("config", "example", PYTHONPATH=str(tmp_path)).returncode == 0


def test_a_closed_pipe_is_quiet() -> None:
    """`linesight schema alert | head -1` ends without a complaint."""
    done = subprocess.run(
        f"{sys.executable} -m edge schema alert | head -1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


class _Verb:
    """A verb that fails in a given way."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def add_arguments(self, parser: object) -> None:
        """None."""

    def run(self, args: object) -> int:
        """Fail."""
        raise self._error


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (LineSightError("what", hint="remedy"), 1, "linesight: what (remedy)\n"),
        (KeyboardInterrupt(), 130, ""),
        (ZeroDivisionError("a\nb"), 1, "linesight: ZeroDivisionError: a b (this is a bug"),
        (ImportError("no x", name="xyz"), 1, "this is a bug"),
    ],
)
def test_whatever_a_verb_raises_ends_in_a_line_and_a_code(
    error: BaseException,
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Errors on purpose, interrupts and bugs each have their exit code and no traceback."""
    monkeypatch.setitem(sys.modules, "edge.commands.schema", _Verb(error))
    assert cli.main(["schema"]) == code
    assert says in capsys.readouterr().err


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --debug the exception comes through to Python."""
    monkeypatch.setitem(sys.modules, "edge.commands.schema", _Verb(ZeroDivisionError("x")))
    with pytest.raises(ZeroDivisionError):
        cli.main(["--debug", "schema"])
