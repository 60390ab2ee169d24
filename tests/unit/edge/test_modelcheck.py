"""The check of a model in a process that may die, and what is kept of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge import app, modelcheck
from edge.contract.bundle import load_bundle
from edge.errors import GoldenMismatch, ModelError, SpecMismatch
from edge.modelcheck import CACHE, Limits, check_bundle
from tests.helpers.bundles import (
    BLOB_DETECTOR,
    FIXTURES,
    TINT_CLASSIFIER,
    copy_bundle,
    edit_manifest,
    exchange_model,
    spoil_golden,
)

BUNDLE = load_bundle(TINT_CLASSIFIER)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was started."""
    started: list[object] = []

    class Counted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            started.append(args)
            super().__init__(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    return started


def test_what_has_passed_is_not_tried_again(tmp_path: Path, children: list[object]) -> None:
    """The second check of the same file on the same machine starts no child."""
    check_bundle(BUNDLE, "float32", threads=1, cache_dir=tmp_path)
    check_bundle(BUNDLE, "float32", threads=1, cache_dir=tmp_path)
    assert len(children) == 1
    assert [file.name for file in tmp_path.iterdir()] == [CACHE]


@pytest.mark.parametrize("field", ["model", "manifest", "golden", "variant", "runtime", "machine"])
def test_any_other_key_is_tried(tmp_path: Path, children: list[object], field: str) -> None:
    """A result counts for exactly this file, manifest, variant, runtime and machine."""
    check_bundle(BUNDLE, "float32", threads=1, cache_dir=tmp_path)
    data = json.loads((tmp_path / CACHE).read_text())
    data["passed"][0][field] = "another"
    (tmp_path / CACHE).write_text(json.dumps(data))
    check_bundle(BUNDLE, "float32", threads=1, cache_dir=tmp_path)
    assert len(children) == 2
    assert len(json.loads((tmp_path / CACHE).read_text())["passed"]) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        b'{"version": 2, "passed": []}',
        b'{"version": 1, "passed": [{"model": 1}]}',
        b'{"version": 1, "passed": {}, "more": 0}',
        b"[" * 60_000,
        b" " * 70_000,
        b"\x80\x04\x95",
    ],
    ids=["empty", "cut", "null", "bytes", "version", "entry", "more", "deep", "large", "pickle"],
)
def test_f93_a_damaged_cache_is_ignored(
    tmp_path: Path, children: list[object], content: bytes
) -> None:
    """A cache that is no strict JSON of ours costs a check and is replaced."""
    (tmp_path / CACHE).write_bytes(content)
    check_bundle(BUNDLE, "float32", threads=1, cache_dir=tmp_path)
    assert len(children) == 1
    assert json.loads((tmp_path / CACHE).read_text())["version"] == 1


def test_f93_a_planted_pickle_is_never_loaded(tmp_path: Path) -> None:
    """A pickle that would make a file when loaded makes none, as cache or beside it."""
    canary = tmp_path / "canary"
    attack = f"cposix\nsystem\n(S'touch {canary}'\ntR.".encode()
    state = tmp_path / "state"
    state.mkdir()
    for name in (CACHE, f".{CACHE}.new", "modelcheck.pkl", "choice.json"):
        (state / name).write_bytes(attack)
    app.open_task(
        "face_mask", ("blob_detector", "tint_classifier"), models_dir=FIXTURES, state_dir=state
    ).close()
    assert not canary.exists()


def test_f93_the_planted_pickle_works(tmp_path: Path) -> None:
    """The twin: who loads it makes the file."""
    canary = tmp_path / "canary"
    attack = f"cposix\nsystem\n(S'touch {canary}'\ntR.".encode()
    code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", code], input=attack, check=True)
    assert canary.exists()


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing can be kept the check still passes, and the log says so."""
    check_bundle(BUNDLE, "float32", threads=1, cache_dir=tmp_path / "absent")
    assert "not kept" in caplog.text


def test_a_link_in_the_temporary_files_place_is_not_followed(tmp_path: Path) -> None:
    """The file that a planted link points to stays as it was."""
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / f".{CACHE}.new").symlink_to(other)
    check_bundle(BUNDLE, "float32", threads=1, cache_dir=tmp_path)
    assert other.read_text() == "mine"


def test_a_mismatch_is_not_kept(tmp_path: Path) -> None:
    """Other numbers than the golden ones are a GoldenMismatch each time."""
    path = copy_bundle(tmp_path, TINT_CLASSIFIER)
    spoil_golden(path, "float32")
    for _ in range(2):
        with pytest.raises(GoldenMismatch, match="golden image 0"):
            check_bundle(load_bundle(path), "float32", threads=1, cache_dir=tmp_path)
    assert not (tmp_path / CACHE).exists()


def test_f22_another_shape_than_promised(tmp_path: Path) -> None:
    """Tensors that are not the manifest's are a SpecMismatch that names both values."""
    path = copy_bundle(tmp_path, BLOB_DETECTOR)
    exchange_model(path, "float32", (TINT_CLASSIFIER / "model.float32.tflite").read_bytes())
    with pytest.raises(SpecMismatch, match=r"in the file, .* in the manifest"):
        check_bundle(load_bundle(path), "float32", threads=1, cache_dir=None)


def test_a_manifest_exchanged_meanwhile(tmp_path: Path) -> None:
    """The child tries the file that its parent will load, or none."""
    path = copy_bundle(tmp_path, TINT_CLASSIFIER)
    bundle = load_bundle(path)
    edit_manifest(path, lambda data: data["variants"]["float32"].update(sha256="0" * 64))
    with pytest.raises(ModelError, match="exchanged during the model check"):
        check_bundle(bundle, "float32", threads=1, cache_dir=None)


def test_without_golden_no_child_is_started(tmp_path: Path, children: list[object]) -> None:
    """Who does not ask for the golden vectors pays for no child."""
    app.open_task(
        "face_mask",
        ("blob_detector", "tint_classifier"),
        models_dir=FIXTURES,
        state_dir=tmp_path,
        golden=False,
    ).close()
    assert not children


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ("import os; os.kill(os.getpid(), 11)", r"interpreter crashed \(SIGSEGV\)"),
        (
            "import os; os.write(2, b'last\\n'); os.abort()",
            r"interpreter crashed \(SIGABRT\): last",
        ),
        ("raise SystemExit(3)", "exit 3"),
        ("pass", "exit 0"),
        ("print('[' * 20_000)", "exit 0"),
        ("print('{\"passed\": true}'); raise SystemExit(1)", "exit 1"),
        ("raise MemoryError", "needs more memory than 1024 MiB"),
    ],
    ids=["SEGV", "ABRT", "exit", "silence", "nonsense", "lie", "memory"],
)
def test_a_child_that_says_nothing_good(start: str, reason: str) -> None:
    """Each end but a pass is one line that names the file and the reason (f18, f20)."""
    with pytest.raises(ModelError, match=f"float32.tflite: model check failed: {reason}") as caught:
        check_bundle(BUNDLE, "float32", threads=1, cache_dir=None, start=start)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    "start",
    ["import time; time.sleep(60)", "import os\nwhile True: os.write(2, b'x' * 4096)"],
    ids=["silent", "talking"],
)
def test_f16_a_hang_ends_at_the_limit(start: str) -> None:
    """A child that never ends is killed at the wall limit, however much it writes."""
    with pytest.raises(ModelError, match=r"no end within 0\.5 s"):
        check_bundle(
            BUNDLE, "float32", threads=1, cache_dir=None, limits=Limits(seconds=0.5), start=start
        )


def test_f20_the_memory_is_limited() -> None:
    """A child that may have 64 MiB does not get as far as the model."""
    with pytest.raises(ModelError, match="model check failed"):
        check_bundle(
            BUNDLE, "float32", threads=1, cache_dir=None, limits=Limits(memory_bytes=64 * 2**20)
        )


def test_the_child_writes_no_file_and_reads_no_input() -> None:
    """Its limits hold: no file, no core, closed input; it says so itself."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import os, resource as r\n"
        "from edge.modelcheck import child\n"
        "child.check_golden = lambda *_: print(r.getrlimit(r.RLIMIT_FSIZE), "
        "r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_AS), os.read(0, 1), file=sys.stderr)\n"
        "child.main(sys.argv[2:]); raise SystemExit(4)"
    )
    with pytest.raises(ModelError) as caught:
        check_bundle(BUNDLE, "float32", threads=1, cache_dir=None, start=code)
    assert f"exit 4: (0, 0) (0, 0) ({2**30}, {2**30}) b''" in str(caught.value)


def test_at_most_32_are_kept(tmp_path: Path) -> None:
    """The cache does not grow for ever."""
    check_bundle(BUNDLE, "float32", threads=1, cache_dir=tmp_path)
    file = tmp_path / CACHE
    entry = json.loads(file.read_text())["passed"][0]
    others = [{**entry, "model": str(number)} for number in range(40)]
    file.write_text(json.dumps({"version": 1, "passed": others}))
    modelcheck.check_bundle(BUNDLE, "float32", threads=1, cache_dir=tmp_path)
    kept = json.loads(file.read_text())["passed"]
    assert len(kept) == 32
    assert kept[-1] == entry
