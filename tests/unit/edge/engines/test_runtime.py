"""Finding a runtime that works."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge.engines import runtime, runtime_name
from edge.errors import RuntimeAbsent

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    runtime.find_runtime.cache_clear()
    yield
    runtime.find_runtime.cache_clear()


class _Refuses:
    """Like tflite-runtime under numpy 2: there, but no interpreter can be built."""

    def __init__(self, **_: Any) -> None:
        raise SystemError("returned a result with an exception set\nmore lines")


class _Works:
    """An interpreter as far as the probe goes."""

    def __init__(self, **_: Any) -> None:
        pass

    def allocate_tensors(self) -> None:
        pass


def _install(monkeypatch: pytest.MonkeyPatch, package: str, interpreter: type | None) -> None:
    """Stand in for a package; None hides it."""
    name = f"{package}.interpreter"
    if interpreter is None:
        monkeypatch.setitem(sys.modules, name, None)
        return
    module = ModuleType(name)
    module.__dict__["Interpreter"] = interpreter
    monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setitem(sys.modules, name, module)


def test_the_runtime_here_is_named_with_its_version() -> None:
    """There is one in this environment, found by building an interpreter."""
    name, _, version = runtime_name().partition(" ")
    assert name in {"ai-edge-litert", "tflite-runtime"}
    assert version[0].isdigit()


def test_a_runtime_that_imports_but_cannot_build_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The import proves nothing; the next candidate is taken."""
    _install(monkeypatch, "ai_edge_litert", _Refuses)
    _install(monkeypatch, "tflite_runtime", _Works)
    monkeypatch.setattr("importlib.metadata.version", lambda package: f"1.0-{package}")
    assert runtime_name() == "tflite-runtime 1.0-tflite-runtime"


def test_no_runtime_at_all_names_the_extra_and_every_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, exit code 69, both candidates with what is wrong with them."""
    _install(monkeypatch, "ai_edge_litert", None)
    _install(monkeypatch, "tflite_runtime", _Refuses)
    with pytest.raises(RuntimeAbsent) as caught:
        runtime_name()
    text = str(caught.value)
    assert caught.value.exit_code == 69
    assert "ai-edge-litert: " in text
    assert "tflite-runtime: returned a result with an exception set" in text
    assert "linesight[edge]" in text
    assert "\n" not in text


def _python(code: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, **options
    )


OPEN = """
from edge.contract.bundle import load_bundle
from edge.engines import open_engine
from tests.helpers.bundles import BLOB_DETECTOR
import sys
open_engine(load_bundle(BLOB_DETECTOR), "float32")
print("after", file=sys.stderr)
"""


def test_opening_an_engine_says_nothing_on_the_terminal() -> None:
    """The runtime's INFO line about XNNPACK stays away; stderr works afterwards."""
    assert _python(OPEN).stderr == b"after\n"


def test_the_runtime_does_speak_by_itself() -> None:
    """The twin: without us the line is there."""
    speaks = """
import contextlib
from edge.engines import runtime
runtime._quiet_stderr = contextlib.nullcontext
runtime.find_runtime()
"""
    assert b"INFO: Created TensorFlow Lite XNNPACK delegate" in _python(speaks).stderr


def test_other_lines_on_stderr_are_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    """What others write meanwhile, or the runtime as a warning, comes out when the block ends."""
    with runtime._quiet_stderr():
        os.write(2, b"INFO: chatter\nWARNING: heard\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "WARNING: heard\nafter\n"


def test_stderr_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """An exception in the block does not leave the descriptor exchanged."""
    with pytest.raises(ZeroDivisionError), runtime._quiet_stderr():
        raise ZeroDivisionError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_closed_stderr_is_no_error() -> None:
    """A service that was started without file descriptor 2 finds its runtime all the same."""
    code = "import os; os.close(2); from edge.engines import runtime_name; print(runtime_name())"
    assert _python(code).stdout.strip()


def test_importing_the_package_loads_no_runtime() -> None:
    """``edge.engines`` costs nothing until an engine is opened."""
    code = """
import sys, edge.engines
print([name for name in sys.modules if name.startswith(("ai_edge_litert", "tflite"))])
"""
    assert _python(code).stdout.strip() == b"[]"
