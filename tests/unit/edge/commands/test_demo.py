"""`linesight demo`: which variant of the models it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge import app
from edge.cli import main
from edge.config import Config
from edge.contract.bundle import choose_variant, load_bundle
from edge.contract.choice import read_choice
from edge.pipeline import Pipeline
from tests.helpers.bundles import spoil_golden
from tests.helpers.command import station_models


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The choice that lies in the state directory when a demo's station is built."""
    choices: list[dict[str, str]] = []
    build: Callable[..., Pipeline] = app.build

    def noted(config: Config, **more: object) -> Pipeline:
        choices.append(dict(read_choice(config.station.state_dir)))
        return build(config, **more)

    monkeypatch.setattr(app, "build", noted)
    return choices


def demo(models: Path, out: Path) -> int:
    """A short demo with these models."""
    source = ("--source", "synthetic://black?frames=10")
    return main(["demo", *source, "--models", str(models), "--out", str(out)])


def test_it_shows_the_variant_that_is_fastest_here(
    tmp_path: Path, built: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """As at the first start of a station it is measured, and nothing is said about it.

    The default fails its golden vectors, so that which one is fastest does not hang on the machine;
    a demo that had not measured would end with exit 78.
    """
    models = station_models(tmp_path)
    manifest = load_bundle(models / "mask_classifier").manifest
    default = choose_variant(manifest)
    spoil_golden(models / "mask_classifier", default)
    assert demo(models, tmp_path / "out") == 0
    (choice,) = built
    (other,) = set(manifest.variants) - {default}
    assert choice["tint_classifier"] == other
    assert set(choice) == {"blob_detector", "tint_classifier"}
    said = capsys.readouterr()
    assert said.err == ""
    assert "fastest" not in said.out


def test_models_of_which_nothing_works_are_refused(
    tmp_path: Path, built: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The twin: with every variant wrong there is no choice, and the demo ends with one line."""
    models = station_models(tmp_path)
    spoil_golden(models / "mask_classifier", "float32", "int8")
    assert demo(models, tmp_path / "out") == 78
    assert built == [{}]
    (line,) = capsys.readouterr().err.splitlines()
    assert "mask_classifier" in line
