"""`linesight check`: everything that is wrong, in one run."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands import check
from tests.helpers.broker import Broker, free_port
from tests.helpers.bundles import edit_manifest
from tests.helpers.command import linesight, station_models
from tests.helpers.forbidden import forbid


class Site:
    """A station's files, all right at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = station_models(folder)
        self.port = free_port()
        self.source = "synthetic://blobs"
        self.more = ""

    def check(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Write the configuration and check it."""
        path = self.folder / "station.toml"
        path.write_text(
            f'[station]\nnode = "n1"\ntask = "face_mask"\nstate_dir = "{self.folder}/state"\n'
            f'models_dir = "{self.models}"\n[[camera]]\nid = "c1"\nsource = "{self.source}"\n'
            f"[mqtt]\nport = {self.port}\n{self.more}"
        )
        return linesight("check", "--config", path, *arguments)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A station that is all right but for the broker."""
    return Site(tmp_path)


def wrong(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that name a mistake."""
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line.startswith("✗")]


def test_all_right(site: Site, tmp_path: Path) -> None:
    """With a broker there, every line is a ✓ and the exit code 0."""
    with Broker(tmp_path) as broker:
        site.port = broker.port
        done = site.check("--json", tmp_path / "check.json")
    assert done.returncode == 0, done.stdout
    assert not wrong(done)
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["ok"] is True
    assert {item["name"] for item in report["checks"]} == {
        "configuration",
        "runtime",
        "model face_detector",
        "model mask_classifier",
        "task face_mask",
        "camera c1",
        "state directory",
        "broker",
    }


def test_only_the_broker_is_missing(site: Site) -> None:
    """An absent broker alone ends with 69: the station would start without it."""
    done = site.check()
    (line,) = wrong(done)
    assert line.startswith("✗ broker: ")
    assert str(site.port) in line
    assert done.returncode == 69


def test_everything_wrong_comes_at_once(site: Site, tmp_path: Path) -> None:
    """Configuration, model, camera, state directory and broker are all named in one run."""
    model = site.models / "mask_classifier" / "model.float32.tflite"
    model.write_bytes(model.read_bytes()[:-1])
    site.source = "/nope.mp4"
    site.more = "[rule]\nraise_att = 0.5\nhits = 0\n"
    (tmp_path / "state").write_text("a file in its place")
    done = site.check("--json", tmp_path / "check.json")
    found = wrong(done)
    names = [line.split(":")[0].removeprefix("✗ ") for line in found]
    assert names == [
        "configuration",
        "configuration",
        "model mask_classifier",
        "camera c1",
        "state directory",
        "broker",
    ]
    assert "did you mean 'raise_at'?" in found[0]
    assert "sha256 mismatch" in found[2]
    assert "/nope.mp4" in found[3]
    assert done.returncode == 78
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["ok"] is False
    assert {item.get("exit_code") for item in report["checks"]} == {None, 69, 78}


def test_golden_vectors_are_replayed(site: Site) -> None:
    """A model whose numbers differ from the converter's is found although its hash is right."""
    (site.models / "face_detector" / "golden.npz").write_bytes(
        (site.models / "mask_classifier" / "golden.npz").read_bytes()
    )
    done = site.check()
    assert any("model face_detector" in line for line in wrong(done))
    assert done.returncode == 78


def test_models_that_do_not_fit_the_task(site: Site) -> None:
    """Two good bundles in each other's place are refused, with the task's name."""
    site.more = '[models]\ndetector = "mask_classifier"\nclassifier = "mask_classifier"\n'
    (line,) = (line for line in wrong(site.check()) if "task" in line)
    assert "its task is classification, needed is detection" in line


def test_a_missing_bundle_names_the_places(site: Site) -> None:
    """The error lists where the bundle was looked for."""
    site.more = '[models]\nclassifier = "no_such_bundle"\n'
    done = site.check()
    (line,) = (line for line in wrong(done) if "no_such_bundle" in line)
    assert str(site.models) in line
    assert done.returncode == 78


def test_a_wrong_manifest_names_the_key(site: Site) -> None:
    """A manifest with an unknown key is refused by name."""
    edit_manifest(site.models / "face_detector", lambda data: data.update(extra=1))
    assert any("extra" in line for line in wrong(site.check()))


@pytest.mark.parametrize(
    ("source", "says"),
    [("ftp://h/x", "ftp"), ("synthetic://blob", "blobs"), ("/", "holds no")],
)
def test_sources_are_opened(site: Site, source: str, says: str) -> None:
    """An unknown scheme, a wrong name and a folder without pictures are found before the start."""
    site.source = source
    done = site.check()
    assert any(says in line for line in wrong(done)), done.stdout
    assert done.returncode == 78


def test_empty_video(site: Site, tmp_path: Path) -> None:
    """A zero-byte video is named as empty."""
    video = tmp_path / "clip.mp4"
    video.touch()
    site.source = str(video)
    assert any("clip.mp4" in line and "empty" in line for line in wrong(site.check()))


def test_without_a_configuration_the_models_are_still_tried(tmp_path: Path) -> None:
    """A missing station.toml does not hide that the models are fine."""
    done = linesight(
        "check", "--config", tmp_path / "nope.toml", "--models", station_models(tmp_path)
    )
    assert done.returncode == 78
    assert len(wrong(done)) == 1
    assert "✓ model face_detector" in done.stdout


def test_json_on_standard_output_is_nothing_but_json(site: Site) -> None:
    """With `--json -` the lines for people go to stderr."""
    done = site.check("--json", "-")
    assert json.loads(done.stdout)["ok"] is False
    assert "✓ camera c1" in done.stderr


def test_forbidden_folders_do_not_end_the_check(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Models and state directory where one may not look are findings, and the broker comes too."""
    site.check()
    forbid(monkeypatch, tmp_path / "models")
    forbid(monkeypatch, tmp_path / "state")
    text = (tmp_path / "station.toml").read_text().replace("/state", "/state/inner")
    (tmp_path / "station.toml").write_text(text)
    assert main(["check", "--config", str(tmp_path / "station.toml")]) == 78
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("✗")]
    assert [line.split(":")[0].removeprefix("✗ ") for line in found] == [
        "model face_detector",
        "model mask_classifier",
        "state directory",
        "broker",
    ]
    assert all("Permission denied" in line for line in found[:3])


def test_what_nobody_foresaw_does_not_end_the_check(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An OSError that is none of ours is the finding of one thing; the next one is looked at."""

    def broken() -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/lib/runtime.so")

    site.check()
    monkeypatch.setattr(check, "runtime_name", broken)
    assert main(["check", "--config", str(site.folder / "station.toml")]) == 78
    said = capsys.readouterr().out
    assert "✗ runtime: /lib/runtime.so: Input/output error" in said
    assert "✓ camera c1" in said


def test_a_state_directory_that_cannot_exist(site: Site) -> None:
    """A NUL in a path is a mistake of the configuration, not a folder that can be made."""
    path = site.folder / "station.toml"
    site.check()
    path.write_text(path.read_text().replace("/state", "/st\\u0000ate"))
    done = linesight("check", "--config", path)
    assert "station.state_dir: a path has no NUL character" in done.stdout
    assert "can be made" not in done.stdout
    assert done.returncode == 78
