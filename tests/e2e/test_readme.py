"""What README.md and docs/ tell a newcomer is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.app.line import line_settings
from edge.config import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted([ROOT / "README.md", ROOT / "systemd" / "README.md", *ROOT.glob("docs/**/*.md")])


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_station_example_loads(tmp_path: Path) -> None:
    """The station.toml of the README is accepted and says what the text beside it says."""
    (block,) = _blocks("toml")
    path = tmp_path / "station.toml"
    path.write_text(block)
    config = load(path)
    assert (config.station.node, config.camera[0].id) == ("door-1", "entrance")
    assert (config.rule.hits, config.rule.of, config.rule.raise_at) == (5, 8, 0.6)
    assert len(block.splitlines()) <= 25, "fits one screen"


def test_the_line_of_the_docs_loads(tmp_path: Path) -> None:
    """The station of docs/line.md is accepted, and its gate is far enough."""
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "line.md").read_text(), re.DOTALL)
    path = tmp_path / "station.toml"
    path.write_text(block)
    config = load(path)
    assert config.line is not None
    made = line_settings(config, config.line)
    assert (made.frame_mm, made.section_mm, made.gate_mm) == (800.0, 1000.0, 6000.0)
    assert made.rolls == {"work roll": 180.0}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\w+)", README, re.MULTILINE))))
def test_make_targets_exist(target: str) -> None:
    """Each `make` command of the README is one that the Makefile knows how to do."""
    run = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"^linesight (\w+)", README, re.MULTILINE))))
def test_verbs_exist(verb: str) -> None:
    """Each `linesight` command of the README exists, with the options that it is shown with."""
    run = subprocess.run(
        [sys.executable, "-m", "edge", verb, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for line in re.findall(rf"^linesight {verb} .*", README, re.MULTILINE):
        for option in re.findall(r"--\w+", line.split("#")[0]):
            assert option in run.stdout, f"{verb} has no {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there."""
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target
