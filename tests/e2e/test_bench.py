"""`linesight bench --write`: the fastest variant becomes the station's choice."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli import main
from edge.contract.bundle import choose_variant, load_bundle
from edge.contract.choice import read_choice, write_choice
from tests.helpers.bundles import BLOB_DETECTOR, FIXTURES, TINT_CLASSIFIER, spoil_golden
from tests.helpers.command import linesight
from tests.helpers.station import PLAYFUL, config_text

QUICK = ("--seconds", "0.01")


class Site:
    """A station's files: its configuration, its two bundles, and where it keeps its choice."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        for which in (BLOB_DETECTOR, TINT_CLASSIFIER):
            shutil.copytree(which, self.models / which.name)
        self.classifier = self.models / TINT_CLASSIFIER.name
        self.state = folder / "state"
        self.state.mkdir()
        self.choice = self.state / "choice.json"
        self.config = folder / "station.toml"
        self.configure()

    def configure(self, extra: str = "") -> None:
        """Write the configuration; ``extra`` goes into ``[models]``."""
        text = config_text(self.state, 1, {"door": f"{PLAYFUL}&frames=2"})
        text = text.replace(str(FIXTURES), str(self.models))
        self.config.write_text(text.replace("[inference]", f"{extra}\n[inference]"))

    def bench(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """``bench --write`` for this station, as quickly as it goes."""
        return linesight("bench", *arguments, *QUICK, "--write", "--config", self.config)

    def checked_variant(self) -> str:
        """The classifier's variant that ``linesight check`` tries."""
        done = linesight("check", "--config", self.config)
        (line,) = (x for x in done.stdout.splitlines() if x.startswith("✓ model tint_classifier"))
        return line.split(", ")[2]

    def running_variant(self) -> str:
        """The classifier's variant that ``linesight run`` says it runs."""
        done = linesight("run", "--config", self.config, "--stdout")
        assert done.returncode == 0, done.stderr
        messages = [json.loads(line) for line in done.stdout.splitlines()]
        (info,) = (x["payload"] for x in messages if x["topic"].endswith("/info"))
        (model,) = (x for x in info["models"] if x["name"] == "tint_classifier")
        return str(model["variant"])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A station that has measured nothing yet."""
    return Site(tmp_path)


def test_the_station_takes_what_was_fastest(site: Site) -> None:
    """A choice that differs from the default is taken by `check` and `run`; without it they do not.

    The default variant is made to fail its golden vectors while it is measured, so that which one
    is chosen does not hang on the machine.
    """
    manifest = load_bundle(site.classifier).manifest
    default = choose_variant(manifest)
    (other,) = set(manifest.variants) - {default}
    assert site.checked_variant() == default
    golden = (site.classifier / "golden.npz").read_bytes()
    spoil_golden(site.classifier, default)
    done = site.bench(site.classifier)
    assert done.returncode == 0, done.stderr
    (site.classifier / "golden.npz").write_bytes(golden)
    assert f"{default:<10} not timed: " in done.stdout
    assert "differs by" in done.stdout
    assert f"tint_classifier with 1 thread: {other}, " in done.stdout
    assert str(site.choice) in done.stdout.splitlines()[-1]
    assert json.loads(site.choice.read_text()) == {"tint_classifier": other}
    assert site.checked_variant() == site.running_variant() == other


def test_the_first_start_measures_and_keeps_it(site: Site) -> None:
    """Nobody has measured: `run` glances at the variants once, `check` and the next start know."""
    spoil_golden(site.classifier, choose_variant(load_bundle(site.classifier).manifest))
    site.state.rmdir()  # nor has anybody made the folder
    running = site.running_variant()
    kept = site.choice.read_bytes()
    assert set(json.loads(kept)) == {"blob_detector", "tint_classifier"}
    assert json.loads(kept)["tint_classifier"] == running
    assert running != choose_variant(load_bundle(site.classifier).manifest)
    assert site.checked_variant() == running
    site.choice.write_text(json.dumps({**json.loads(kept), "blob_detector": "float32"}))
    before = site.choice.stat().st_mtime_ns
    assert site.running_variant() == running
    assert site.choice.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("spoil", "left"),
    [
        (lambda site: site.configure('variant = "float32"'), None),
        (lambda site: site.choice.write_text("{"), "{"),
    ],
    ids=["a variant is named", "a broken choice"],
)
def test_a_start_that_has_nothing_to_choose_runs_the_default(
    site: Site, spoil: Callable[[Site], object], left: str | None
) -> None:
    """The twin: who names a variant gets that one; what cannot be kept is not measured."""
    spoil(site)
    assert site.running_variant() == choose_variant(load_bundle(site.classifier).manifest)
    assert (site.choice.read_text() if site.choice.exists() else None) == left


def test_report_of_a_bundle_with_its_choice(site: Site, tmp_path: Path) -> None:
    """The JSON has times as without --write, and the choice for the station's own thread count."""
    report = tmp_path / "bench.json"
    done = site.bench(site.classifier, "--json", report)
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())
    assert set(figures) == {"machine", "variants", "choice"}
    assert set(figures["variants"]["int8"]["threads"]["1"]) == {"p50", "p95", "p99"}
    choice = figures["choice"]
    assert set(choice) == {"variant", "threads", "reason", "ratio", "file"}
    assert choice["threads"] == 1
    assert {choice["variant"], *choice["ratio"]} == set(figures["variants"])
    assert read_choice(site.state) == {"tint_classifier": choice["variant"]}


def test_refused_variants_stand_beside_the_measured_ones(site: Site) -> None:
    """`variants` holds nothing but times; who was not timed is under `refused`, with the reason."""
    spoil_golden(site.classifier, "int8")
    figures = json.loads(linesight("bench", site.classifier, *QUICK, "--json", "-").stdout)
    assert set(figures["variants"]) == {"float32"}
    assert "differs by" in figures["refused"]["int8"]
    assert figures["choice"]["variant"] == "float32"
    assert "ratio" not in figures["choice"]


def test_a_station_writes_the_choice_of_both_models(site: Site) -> None:
    """`bench face_mask --write` measures the models that this station runs, and keeps both."""
    write_choice(site.state, {"other": "int16x8", "tint_classifier": "dynamic"})
    done = site.bench("face_mask", "--json", "-")
    assert done.returncode == 0, done.stderr
    bundles = json.loads(done.stdout)["bundles"]
    assert set(bundles) == {"blob_detector", "tint_classifier"}
    assert read_choice(site.state) == {
        "other": "int16x8",
        **{name: bundle["choice"]["variant"] for name, bundle in bundles.items()},
    }
    assert str(site.models / "blob_detector") in done.stderr


def test_a_choice_that_is_overruled_says_so(site: Site) -> None:
    """Where the configuration names a variant, the choice is kept but told to have no effect."""
    site.configure('variant = "float32"')
    done = site.bench(site.classifier, "--json", "-")
    assert done.returncode == 0, done.stderr
    choice = json.loads(done.stdout)["choice"]
    assert choice["overruled_by"] == "float32"
    assert "[models].variant of this station is 'float32'" in done.stderr
    assert read_choice(site.state) == {"tint_classifier": choice["variant"]}


def test_without_a_configuration(site: Site) -> None:
    """--state-dir and --threads stand for a station.toml; the threads are measured and counted."""
    done = linesight(
        *("bench", site.classifier, *QUICK, "--write", "--json", "-"),
        *("--state-dir", site.state, "--threads", "3"),
        LINESIGHT_CONFIG="/nope.toml",
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["choice"]["threads"] == 3
    assert "3" in figures["variants"]["int8"]["threads"]
    assert read_choice(site.state) == {"tint_classifier": figures["choice"]["variant"]}


def test_without_write_nothing_is_kept(site: Site) -> None:
    """The choice is shown, and no station is asked for."""
    done = linesight("bench", site.classifier, *QUICK, LINESIGHT_CONFIG="/nope.toml")
    assert done.returncode == 0, done.stderr
    assert "tint_classifier with 2 threads: " in done.stdout
    assert list(site.state.iterdir()) == []


def test_no_variant_left_writes_nothing(site: Site) -> None:
    """A bundle of which nothing works here is exit 78, and the old choice stays."""
    write_choice(site.state, {"tint_classifier": "int8"})
    before = site.choice.read_bytes()
    spoil_golden(site.classifier, "float32", "int8")
    done = site.bench("face_mask")
    assert done.returncode == 78
    assert "no variant can be used here" in done.stderr.splitlines()[-1]
    assert site.choice.read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda site: site.state.rmdir(), "No such file or directory"),
        (lambda site: (site.state.rmdir(), site.state.write_text("")), "Not a directory"),
        (lambda site: (site.state.rmdir(), site.state.symlink_to("/proc")), "choice not writable"),
        (lambda site: site.choice.write_text("{"), "choice.json: broken"),
        (lambda site: site.choice.mkdir(), "Is a directory"),
        (lambda site: site.config.unlink(), "no such file"),
        (lambda site: site.configure('variant = "int4"'), "models.variant"),
    ],
    ids=["absent", "a file", "unwritable", "broken", "a folder", "no config", "wrong config"],
)
def test_what_cannot_be_kept_is_told_before_the_work(
    site: Site, spoil: object, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A state directory, a choice or a configuration that cannot be used: exit 78, one line."""
    assert callable(spoil)
    spoil(site)
    assert main(["bench", str(site.classifier), "--write", "--config", str(site.config)]) == 78
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert says in line
    assert "p50" not in said.out


def test_a_disk_that_fails_now_is_another_code(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk may be better another time: exit 1 with one line, and the old choice stays."""
    write_choice(site.state, {"tint_classifier": "int8"})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["bench", str(site.classifier), "--write", "--config", str(site.config)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"station.state_dir: {site.state}" in line
    assert "No space left" in line
    assert read_choice(site.state) == {"tint_classifier": "int8"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--write", "--variant", "int8"), "chooses among all variants"),
        (("--write", "--threads", "2"), "[inference].threads"),
        (("--write", "--state-dir", "/tmp"), "needs --threads"),
        (("--write", "--state-dir", "/x", "--config", "/y"), "not allowed with"),
        (("--state-dir", "/x"), "add --write"),
    ],
)
def test_arguments_that_contradict_each_other(arguments: tuple[str, ...], says: str) -> None:
    """A choice is for one station's thread count and among all variants, else exit 2, one line."""
    done = linesight("bench", TINT_CLASSIFIER, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert says in line
