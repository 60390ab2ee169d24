"""`linesight check` and `linesight run` agree about a station."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.broker import Broker
from tests.helpers.command import linesight, station_models


def station(tmp_path: Path, port: int, more: str = "") -> Path:
    """A station whose source ends by itself."""
    path = tmp_path / "station.toml"
    path.write_text(
        f'[station]\nnode = "n1"\ntask = "face_mask"\nstate_dir = "{tmp_path}/state"\n'
        f'models_dir = "{station_models(tmp_path)}"\n[[camera]]\nid = "c1"\n'
        'source = "synthetic://blobs?frames=5&pace=fast"\n'
        f"[mqtt]\nport = {port}\n{more}"
    )
    return path


def test_what_check_accepts_runs(tmp_path: Path) -> None:
    """A station that passes the check runs to the end of its source, exit 0."""
    with Broker(tmp_path) as broker:
        path = station(tmp_path, broker.port)
        assert linesight("check", "--config", path).returncode == 0
        done = linesight("run", "--config", path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "more",
    [
        "keepalive = 0\n",
        'password_file = "/nope"\n',
        "[rule]\nraise_at = 2\n",
        '[models]\nclassifier = "face_detector"\n',
        '[models]\nvariant = "int16x8"\n',
    ],
)
def test_what_check_refuses_does_not_run(tmp_path: Path, more: str) -> None:
    """Configuration and model mistakes end both verbs with 78, and neither shows a traceback."""
    path = station(tmp_path, 1, more)
    check, run = (linesight(verb, "--config", path) for verb in ("check", "run"))
    assert (check.returncode, run.returncode) == (78, 78), run.stderr
    assert "Traceback" not in check.stderr + run.stderr
