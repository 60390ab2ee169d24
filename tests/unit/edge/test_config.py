"""station.toml: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.commands.config import EXAMPLE
from edge.errors import ConfigError
from edge.inbox import VERBS
from edge.sinks.mqtt_settings import MqttSettings
from tests.helpers.forbidden import forbid

MINIMAL: dict[str, Any] = {
    "station": {"node": "door-1", "task": "face_mask"},
    "camera": [{"id": "c1", "source": "0"}],
}


def toml(tmp_path: Path, text: str) -> Path:
    """A station.toml with this text."""
    path = tmp_path / "station.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusals(tables: dict[str, Any]) -> list[str]:
    """The lines of the error that these tables cause."""
    with pytest.raises(ConfigError) as caught:
        config.build(tables, origin="here")
    return str(caught.value).splitlines()


def changed(table: str, **keys: Any) -> dict[str, Any]:
    """The minimal tables with some keys of one table set."""
    if table == "camera":
        return {**MINIMAL, "camera": [{**MINIMAL["camera"][0], **keys}]}
    return {**MINIMAL, table: {**MINIMAL.get(table, {}), **keys}}


def test_minimal_file_works(tmp_path: Path) -> None:
    """Node, task and one camera are enough; the rest has the documented defaults."""
    path = toml(
        tmp_path,
        '[station]\nnode = "n"\ntask = "face_mask"\n[[camera]]\nid = "c"\nsource = "0"\n',
    )
    loaded = config.load(path)
    assert (loaded.rule.hits, loaded.rule.of, loaded.rule.holdoff_s) == (5, 8, 10.0)
    assert (loaded.outbox.rate_per_s, loaded.outbox.burst) == (0.1, 20)
    assert (loaded.mqtt.host, loaded.mqtt.port, loaded.mqtt.protocol) == ("localhost", 1883, "5")
    assert loaded.station.root == "linesight"
    assert loaded.camera[0].mailbox is None


def test_all_mistakes_come_at_once_with_their_lines(tmp_path: Path) -> None:
    """Every mistake of a file is one line that begins with file:line and names the key."""
    path = toml(
        tmp_path,
        '[station]\nnode = "a/b"\ntask = "face_mask"\nrooot = "x"\n\n[[camera]]\nid = "c"\n'
        'source = "0"\nfps = 0\n\n[[camera]]\nid = "d"\nwidth = "640"\n\n[rule]\n'
        "raise_at = 1.7\n[mqtt]\nport = 70000\n",
    )
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(caught.value).splitlines() == [
        f"{path}:2: station.node: 'a/b' is not allowed; use 1 to 64 of A-Z a-z 0-9 _ -",
        f"{path}:4: station.rooot: unknown key; did you mean 'root'?",
        f"{path}:9: camera[0].fps: 0 is out of range; allowed: 0.1 to 1000",
        f"{path}:11: camera[1].source: is missing and has no default",
        f"{path}:13: camera[1].width: needs a whole number, not '640'",
        f"{path}:16: rule.raise_at: 1.7 is out of range; allowed: 0 to 1",
        f"{path}:18: mqtt.port: 70000 is out of range; allowed: 1 to 65535",
    ]


@pytest.mark.parametrize("key", ["a[b]", "[", "a\nb", "", "x.y", "a\u2028b"])
def test_an_unknown_key_may_be_called_anything(key: str) -> None:
    """Whatever an unknown key is called, it is named in one line, in the file and in a table."""
    for tables in (
        {**MINIMAL, key: 1},
        changed("station", **{key: 1}),
        changed("rule", **{key: 1}),
    ):
        (line,) = refusals(tables)
        assert "unknown key" in line
        assert json.dumps(key) in line


def test_toml_error_names_the_line(tmp_path: Path) -> None:
    """A file that is not TOML is refused with tomllib's line and column."""
    with pytest.raises(ConfigError, match=r"not TOML: .*line 2"):
        config.load(toml(tmp_path, "[station]\nnode = \n"))


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no text, and an empty file, are configuration errors."""
    path = tmp_path / "station.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        config.load(path)


def test_a_file_that_cannot_be_read_says_what_is_needed(tmp_path: Path) -> None:
    """A folder as station.toml, and a password that is not there, come with a remedy."""
    with pytest.raises(ConfigError, match=r"Is a directory \(name a station.toml"):
        config.load(tmp_path)
    with pytest.raises(ConfigError, match="No such file or directory; name a file"):
        config.read_password(tmp_path / "nope")


def test_a_credential_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credentials folder that is closed to us is named, and no other place is taken."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    forbid(monkeypatch, tmp_path)
    with pytest.raises(ConfigError, match=f"{tmp_path}/pw': Permission denied"):
        config.read_password(Path("pw"))


def test_the_example_says_how_an_alert_ends() -> None:
    """`config example` tells of both ends: enough clear frames, or the person is lost."""
    assert "as many are below this, or the person is lost" in EXAMPLE


def test_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    """The error for a missing file names the file and `config example`."""
    with pytest.raises(ConfigError, match="config example") as caught:
        config.load(tmp_path / "nope.toml")
    assert "nope.toml" in str(caught.value)


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    """What the command line says takes the place of the file's key."""
    path = toml(
        tmp_path,
        '[station]\nnode = "n"\ntask = "face_mask"\n[[camera]]\nid = "c"\nsource = "0"\n',
    )
    loaded = config.load(path, {"station": {"node": "other", "models_dir": "/m"}})
    assert loaded.station.node == "other"
    assert loaded.station.models_dir == Path("/m")
    assert loaded.station.task == "face_mask"


@pytest.mark.parametrize(
    "name", ["", "a/b", "a+", "#", "a b", "..", "$x", "n\0", "é", "e\u0301", "a\n", "x" * 65]
)
@pytest.mark.parametrize("key", ["node", "id"])
def test_ids_are_of_the_allowed_alphabet(name: str, key: str) -> None:
    """Node and camera ids become topics and file names, so only [A-Za-z0-9_-]{1,64} is taken."""
    table = "station" if key == "node" else "camera"
    assert len(refusals(changed(table, **{key: name}))) == 1


def test_longest_ids_are_taken() -> None:
    """64 letters, digits, _ and - are fine for both ids."""
    name = ("Az09_-" * 11)[:64]
    loaded = config.build(changed("station", node=name), origin="here")
    assert loaded.station.node == name


def test_camera_id_twice_is_refused() -> None:
    """Two cameras with one id would share topics."""
    cameras = [{"id": "c", "source": "0"}, {"id": "c", "source": "1"}]
    assert refusals({**MINIMAL, "camera": cameras}) == [
        "here: camera: the id 'c' stands at more than one camera"
    ]


@pytest.mark.parametrize("root", ["a/b/c", "plant-1/line_2", "x"])
def test_root_may_have_levels(root: str) -> None:
    """The root may contain slashes."""
    assert config.build(changed("station", root=root), origin="here").station.root == root


@pytest.mark.parametrize("root", ["", "/a", "a/", "a//b", "a/+", "a/#", "$SYS", "a b"])
def test_root_has_no_wildcards_and_no_empty_levels(root: str) -> None:
    """A root that MQTT would read otherwise is refused."""
    assert len(refusals(changed("station", root=root))) == 1


@pytest.mark.parametrize(
    ("table", "keys", "says"),
    [
        ("rule", {"raise_at": 0.4, "clear_at": 0.4}, "rule.clear_at: 0.4 must be below"),
        ("rule", {"raise_at": 0.3}, "rule.clear_at: 0.4 must be below rule.raise_at"),
        ("rule", {"hits": 9}, "rule.hits: 9 hits of 8 frames"),
        ("rule", {"of": 4}, "rule.hits: 5 hits of 4 frames"),
        ("rule", {"hits": 0}, "allowed: 1 to 1000"),
        ("rule", {"holdoff_s": -1}, "allowed: 0 to 86400"),
        ("rule", {"holdoff_s": float("nan")}, "needs a finite number"),
        ("camera", {"fps": 0}, "allowed: 0.1 to 1000"),
        ("camera", {"mailbox": "newest"}, "'newest' is not one of 'latest', 'every'"),
        ("camera", {"source": 0}, "needs text in quotes, not 0"),
        ("station", {"task": "masks"}, "is not one of 'face_mask', 'steel_defect'"),
        ("models", {"variant": "int4"}, "is not one of 'auto'"),
        ("models", {"detector": "../x"}, "a bundle's name is a-z"),
        ("inference", {"threads": 0}, "allowed: 1 to 64"),
        ("inference", {"workers": True}, "needs a whole number, not true"),
        ("inference", {"workers": 1.0}, "needs a whole number, not 1.0"),
        ("mqtt", {"protocol": 5}, "is not one of '5', '3.1.1'"),
        ("mqtt", {"qos": 3}, "unknown key"),
        ("mqtt", {"keep_alive": 0}, "unknown key"),
        ("mqtt", {"host": "a b"}, "a host name or address"),
        ("mqtt", {"host": "mqtt://a"}, "a host name or address"),
        ("mqtt", {"allow_commands": ["pings"]}, "allow_commands[0]: 'pings' is not one of"),
        ("mqtt", {"allow_commands": "ping"}, "needs a list, not 'ping'"),
        ("mqtt", {"allow_commands": ["reload"]}, "'reload' comes with a later version"),
        ("mqtt", {"ack": "both"}, "'broker', 'app'"),
        ("mqtt", {"insecure": "no"}, "needs true or false"),
        ("outbox", {"max_rows": 0}, "allowed: 1 to 10000000"),
        ("outbox", {"rate_per_s": 0}, "allowed: above 0 to 10000"),
    ],
)
def test_wrong_values_are_refused_in_one_line(table: str, keys: dict[str, Any], says: str) -> None:
    """Each wrong value gives one line with the key and what would be right."""
    lines = refusals(changed(table, **keys))
    assert len(lines) == 1
    assert says in lines[0]
    assert lines[0].startswith(f"here: {table}")


def test_right_values_at_the_limits_are_taken() -> None:
    """The twin of the refusals: the values beside the limits load."""
    tables = {
        **changed("camera", fps=0.1, width=16, height=8192, mailbox="every"),
        "rule": {"raise_at": 1, "clear_at": 0, "hits": 8},
        "outbox": {"max_rows": 1, "rate_per_s": 0.001},
    }
    loaded = config.build(tables, origin="here")
    assert loaded.rule.raise_at == 1.0
    assert loaded.camera[0].mailbox == "every"


@pytest.mark.parametrize(
    "host", ["broker.example.org", "192.0.2.7", "2001:db8::1", "[2001:db8::1]", "a.localhost"]
)
def test_plain_tcp_to_another_host_needs_writing(host: str) -> None:
    """Without TLS another host is refused with the remedy, and taken with insecure = true."""
    (line,) = refusals(changed("mqtt", host=host))
    assert line.startswith(f"here: mqtt.insecure: plain TCP to {host}")
    assert "mqtt.ca" in line
    assert config.build(changed("mqtt", host=host, insecure=True), origin="here").mqtt.insecure


LOCAL = ["localhost", "127.0.0.1", "127.3.2.1", "::1", "[::1]", "LOCALHOST."]


@pytest.mark.parametrize("host", LOCAL)
def test_plain_tcp_to_this_machine_is_fine(host: str) -> None:
    """The local host needs no TLS."""
    assert config.build(changed("mqtt", host=host), origin="here").mqtt.host == host


@pytest.mark.parametrize("host", [*LOCAL, "a.localhost", "[2001:db8::1]", "broker.example.org"])
def test_configuration_and_sink_agree_on_what_is_local(host: str) -> None:
    """What the configuration takes the sink takes too, and neither takes what the other refuses."""

    def takes(make: Callable[[], object]) -> bool:
        try:
            make()
        except ConfigError:
            return False
        return True

    assert takes(lambda: config.build(changed("mqtt", host=host), origin="here")) == takes(
        lambda: MqttSettings(host, "n1")
    )


def test_every_verb_that_is_built_can_be_named() -> None:
    """What the station carries out may stand in ``allow_commands``."""
    verbs = sorted(VERBS)
    built = config.build(changed("mqtt", allow_commands=verbs), origin="here")
    assert list(built.mqtt.allow_commands) == verbs


def test_tls_needs_no_insecure_and_has_its_own_port(tmp_path: Path) -> None:
    """With a CA another host is fine, by default on port 8883."""
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    loaded = config.build(changed("mqtt", host="b.example.org", ca=str(ca)), origin="here")
    assert loaded.mqtt.tls
    assert loaded.mqtt.port == 8883


def test_password_in_a_readable_file_is_refused(tmp_path: Path) -> None:
    """Others must not be able to read the password: `mode 0644, need 0600`."""
    secret = tmp_path / "secret"
    secret.write_text("pw")
    secret.chmod(0o644)
    tables = changed("mqtt", username="u", password_file=str(secret))
    (line,) = refusals(tables)
    assert "mode 0644, need 0600" in line
    secret.chmod(0o600)
    loaded = config.build(tables, origin="here")
    assert config.read_password(loaded.mqtt.password_file) == "pw"


def test_readable_password_is_reported_beside_other_mistakes(tmp_path: Path) -> None:
    """The file check runs although another key is wrong."""
    secret = tmp_path / "secret"
    secret.write_text("pw")
    secret.chmod(0o640)
    lines = refusals(changed("mqtt", username="u", password_file=str(secret), port=0))
    assert len(lines) == 2


def test_empty_password_is_not_no_password(tmp_path: Path) -> None:
    """An empty file is the empty password; no file is no password; one newline is dropped."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    assert config.read_password(secret) == ""
    assert config.read_password(None) is None
    secret.write_text(" pw \n\n")
    assert config.read_password(secret) == " pw \n"


def test_password_without_user_and_cert_without_key_are_refused(tmp_path: Path) -> None:
    """Keys that make sense together only are asked for together."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    (line,) = refusals(changed("mqtt", password_file=str(secret)))
    assert "a password needs mqtt.username" in line
    (line,) = refusals(changed("mqtt", ca=str(secret), cert=str(secret)))
    assert "mqtt.cert and mqtt.key go together" in line


def test_password_comes_from_systemd_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare name is found in $CREDENTIALS_DIRECTORY, whatever mode systemd gave it."""
    (tmp_path / "mqtt-password").write_text("pw\n")
    (tmp_path / "mqtt-password").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    tables = changed("mqtt", username="u", password_file="mqtt-password")
    loaded = config.build(tables, origin="here")
    assert config.read_password(loaded.mqtt.password_file) == "pw"


def test_state_dir_comes_from_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """$STATE_DIRECTORY is the default of state_dir, /var/lib/linesight without it."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert config.build(MINIMAL, origin="here").station.state_dir == Path("/var/lib/linesight")
    monkeypatch.setenv("STATE_DIRECTORY", "/run/a:/run/b")
    assert config.build(MINIMAL, origin="here").station.state_dir == Path("/run/a")


def test_fingerprint_follows_values_and_not_secrets() -> None:
    """The hash changes with a threshold, not with the camera's password."""
    first = config.build(changed("camera", source="rtsp://u:one@h/s"), origin="here")
    second = config.build(changed("camera", source="rtsp://u:two@h/s"), origin="here")
    third = config.build(changed("rule", raise_at=0.7), origin="here")
    assert re.fullmatch("[0-9a-f]{12}", first.fingerprint)
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != third.fingerprint


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://u:secret@h:554/s?x=1", "rtsp://u:***@h:554/s?x=1"),
        ("rtsp://u:se@cr:et@h/s", "rtsp://u:***@h/s"),
        ("rtsp://h/s", "rtsp://h/s"),
        ("/clips/a:b@c.mp4", "/clips/a:b@c.mp4"),
    ],
)
def test_passwords_in_uris_are_masked(uri: str, shown: str) -> None:
    """The effective values never show a camera's password."""
    loaded = config.build(changed("camera", source=uri), origin="here")
    assert loaded.effective()["camera"][0]["source"] == shown
    assert loaded.camera[0].source == uri


def test_configuration_is_frozen() -> None:
    """Nobody changes a configuration that is in force."""
    loaded = config.build(MINIMAL, origin="here")
    with pytest.raises(ValueError, match="frozen"):
        loaded.station.node = "other"


def test_valid_tables_leave_out_the_wrong_ones(tmp_path: Path) -> None:
    """A check can go on with the tables that are right."""
    path = toml(
        tmp_path,
        '[station]\nnode = "a/b"\ntask = "face_mask"\n[[camera]]\nid = "c"\nsource = "0"\n',
    )
    valid = config.valid_tables(path)
    assert "station" not in valid
    assert valid["camera"][0].id == "c"
    assert valid["models"].detector == "face_detector"


def test_multi_line_strings_do_not_shift_lines(tmp_path: Path) -> None:
    """A line inside a multi-line string is not taken for a key."""
    path = toml(
        tmp_path,
        '[station]\ntask = "face_mask"\nnode = """\nroot = 1\n"""\nroot = "a/#"\n'
        '[[camera]]\nid = "c"\nsource = "0"\n',
    )
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:3", f"{path}:6"]


def test_config_file_may_be_a_folder(tmp_path: Path) -> None:
    """A folder in place of the file is one line, not a traceback."""
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path)


def test_no_other_environment_enters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs with other LINESIGHT_ variables give the same configuration."""
    before = config.build(MINIMAL, origin="here")
    for name in ("NODE", "ROOT", "MQTT_HOST"):
        monkeypatch.setitem(os.environ, f"LINESIGHT_{name}", "x")
    assert config.build(MINIMAL, origin="here") == before


def test_the_documentations_examples_load(tmp_path: Path) -> None:
    """Each TOML example of docs/station-toml.md is a right configuration."""
    page = (Path(__file__).parents[3] / "docs" / "station-toml.md").read_text(encoding="utf-8")
    for name in ("ca.pem", "mqtt-password"):
        (tmp_path / name).touch(0o600)
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        config.load(toml(tmp_path, example.replace("/etc/linesight", str(tmp_path))))


def test_each_task_has_its_defaults_and_bundles(tmp_path: Path) -> None:
    """A line reports every defect at once and often; a door waits for evidence."""
    door, line = (
        config.build(
            {
                "station": {"node": "n", "task": task, "state_dir": str(tmp_path)},
                "camera": [{"id": "c", "source": "0"}],
            },
            origin="test",
        )
        for task in ("face_mask", "steel_defect")
    )
    assert (door.rule.hits, door.rule.of, door.rule.holdoff_s) == (5, 8, 10.0)
    assert (line.rule.hits, line.rule.of, line.rule.holdoff_s) == (1, 1, 0.0)
    assert (line.outbox.rate_per_s, line.outbox.burst) == (20.0, 2000)
    assert door.bundles == ("face_detector", "mask_classifier")
    assert line.bundles == ("steel_defect",)
