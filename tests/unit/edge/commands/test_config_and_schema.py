"""`linesight config` and `linesight schema`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from edge import config
from edge.commands.config import EXAMPLE
from tests.helpers.command import linesight


def test_the_example_loads(tmp_path: Path) -> None:
    """What `config example` prints is a right configuration."""
    path = tmp_path / "station.toml"
    path.write_text(linesight("config", "example").stdout)
    loaded = config.load(path)
    assert loaded.camera[0].id == "entrance"


def test_the_examples_comments_are_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every key that is commented out with a value shows its default, and every key is there."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    uncommented = [
        line.removeprefix("# ")
        for line in EXAMPLE.splitlines()
        if not line.startswith("#") or (" = " in line and "PEM" not in line)
    ]
    tables = tomllib.loads("\n".join(uncommented))
    for name in ("models_dir", "username", "password_file"):
        (tables["station"] if name in tables["station"] else tables["mqtt"]).pop(name)
    assert tables["camera"][0].pop("mailbox") == "latest"
    path = tmp_path / "station.toml"
    path.write_text(EXAMPLE)
    effective = config.load(path).effective()
    assert tables == effective
    shown = {key for table in tables.values() if isinstance(table, dict) for key in table}
    hidden = {"models_dir", "username", "password_file", "ca", "cert", "key"}
    parts = (config.Station, config.Models, config.Inference, config.RuleSettings, config.Mqtt)
    keys = {key for part in (*parts, config.Outbox) for key in part.model_fields}
    assert keys == shown | hidden


def test_show_masks_secrets(tmp_path: Path) -> None:
    """`config show` gives the effective values and the hash, and no password."""
    path = tmp_path / "station.toml"
    path.write_text(
        '[station]\nnode = "n"\ntask = "face_mask"\n'
        '[[camera]]\nid = "c"\nsource = "rtsp://u:secret@h/s"\n'
    )
    done = linesight("config", "show", "--config", path)
    shown = json.loads(done.stdout)
    assert "secret" not in done.stdout
    assert shown["camera"][0]["source"] == "rtsp://u:***@h/s"
    assert shown["config"] == config.load(path).fingerprint
    assert shown["rule"]["hits"] == 5


def test_schema_lists_and_prints() -> None:
    """Without a name the schemas are listed; each listed one prints as JSON."""
    names = linesight("schema").stdout.split()
    assert {"alert.1.schema.json", "manifest.schema.json"} <= set(names)
    for name in ("alert", "manifest", "health.1.schema.json"):
        assert json.loads(linesight("schema", name).stdout)["type"] == "object"
