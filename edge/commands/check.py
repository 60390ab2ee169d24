"""``linesight check``: everything that is wrong with a station, in one run."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edge import app, config
from edge.app.line import check_labels, line_settings
from edge.commands.options import (
    add_config,
    add_json,
    add_models,
    quiet_service,
    text_stream,
    write_json,
)
from edge.contract.bundle import choose_variant, find_bundle, search_path
from edge.contract.choice import read_choice
from edge.contract.golden import check_golden
from edge.engines import open_engine, runtime_name
from edge.errors import ConfigError, LineSightError
from edge.line.encoders import LocalEncoder
from edge.line.uri import open_encoder, open_input, open_output, parse_line_uri
from edge.modelcheck import check_bundle
from edge.records import EncodedFrame
from edge.sinks.probe import probe
from edge.sources import open_source

FRAME_S = 5.0
"""How long a camera may take to give its first frame."""

WORST = (78, 69, 1)
"""Which exit code wins when several things are wrong: what can never work comes first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``error`` is None when it is right."""

    name: str
    text: str
    error: LineSightError | None = None

    @property
    def line(self) -> str:
        """For people."""
        return f"{'✓' if self.error is None else '✗'} {self.name}: {self.text}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which station."""
    add_config(parser)
    add_models(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Look at configuration, models, cameras, state directory and broker, whatever fails first."""
    findings: list[Finding] = []
    out = text_stream(args.json)
    with quiet_service(args.verbose):
        for finding in _findings(Path(args.config), args.models):
            findings.append(finding)
            out.write(finding.line + "\n")
            out.flush()
    codes = {finding.error.exit_code for finding in findings if finding.error is not None}
    write_json(args.json, {"ok": not codes, "checks": [_report(item) for item in findings]})
    return next((code for code in WORST if code in codes), 0)


def _findings(path: Path, models: Path | None) -> Iterator[Finding]:
    loaded: config.Config | None = None
    try:
        loaded = config.load(path)
        yield Finding("configuration", f"{path}, hash {loaded.fingerprint}")
    except ConfigError as error:
        for line in str(error).splitlines():
            yield Finding("configuration", line, error)
    valid = config.valid_tables(path)
    station: config.Station | None = valid.get("station")
    if "models" in valid:
        yield from _models(valid["models"], station, models)
    for camera in valid.get("camera", ()):
        yield _tried(f"camera {camera.id}", partial(_camera, camera))
    if loaded is not None and loaded.line is not None:
        yield _tried("line", partial(_line, loaded, loaded.line, models))
    if station is not None:
        yield _tried("state directory", partial(_state_dir, station.state_dir))
    if station is not None and "mqtt" in valid:
        yield _tried("broker", partial(_broker, station, valid["mqtt"]))


def _tried(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, look())
    except LineSightError as error:
        return Finding(name, " ".join(str(error).split()), error)
    except OSError as error:  # whatever it is, what comes after it is looked at too
        unforeseen = ConfigError(
            f"{error.filename or name}: {error.strerror or error}",
            hint="must be readable by the user who runs this",
        )
        return Finding(name, str(unforeseen), unforeseen)


def _models(
    models: config.Models, station: config.Station | None, option: Path | None
) -> Iterator[Finding]:
    yield _tried("runtime", runtime_name)
    models_dir = None if station is None else station.models_dir
    state_dir = None if station is None else station.state_dir
    search = search_path(option, models_dir)
    choice = {} if state_dir is None else read_choice(state_dir)
    fine = True
    task = "face_mask" if station is None else station.task
    for name in config.bundles_of(task, models):
        look = partial(_model, name, search, models.variant, choice, state_dir)
        finding = _tried(f"model {name}", look)
        fine = fine and finding.error is None
        yield finding
    if fine:
        open_all = partial(_task, task, models, option, models_dir, state_dir)
        yield _tried(f"task {task}", open_all)


def _model(
    name: str, search: list[Path], wanted: str, choice: dict[str, str], state_dir: Path | None
) -> str:
    bundle = find_bundle(name, search)
    variant = choose_variant(bundle.manifest, wanted, choice)
    check_bundle(bundle, variant, threads=2, cache_dir=state_dir)
    with closing(open_engine(bundle, variant)) as engine:  # opening verifies hash and tensors
        report = check_golden(bundle, variant, engine.infer)
    return (
        f"{bundle.path}, version {bundle.manifest.version}, {variant}, "
        f"sha256 {bundle.variant(variant).sha256[:12]}…, {report.images} golden images agree"
    )


def _task(
    name: str,
    models: config.Models,
    option: Path | None,
    models_dir: Path | None,
    state_dir: Path | None,
) -> str:
    task = app.open_task(
        name,
        config.bundles_of(name, models),
        variant=models.variant,
        models=option,
        models_dir=models_dir,
        state_dir=state_dir,
        golden=False,
    )
    task.close()
    if name == "face_mask":
        return "detector and classifier fit together"
    return "the model segments"


def _camera(camera: config.Camera) -> str:
    shown = config.without_password(camera.source)
    source = open_source(
        camera.source, camera=camera.id, width=camera.width, height=camera.height, fps=camera.fps
    )
    with closing(source):
        source.open()
        began = time.monotonic()
        frame = source.read()
        while frame is None and source.live and time.monotonic() - began < FRAME_S:
            frame = source.read()
    if frame is None:
        return f"{shown}, opens"
    frame = frame.decoded() if isinstance(frame, EncodedFrame) else frame
    return f"{shown}, gives {frame.width}×{frame.height}"


def _line(loaded: config.Config, line: config.LineTable, models: Path | None) -> str:
    """Whether the encoder counts, the digital lines can be driven here, and the table fits."""
    settings = line_settings(loaded, line)
    search = search_path(models, loaded.station.models_dir)
    manifest = find_bundle(loaded.models.segmenter, search).manifest
    check_labels(line, manifest.labels, manifest.name)
    # Off from the moment that it is requested, so looking drives nothing.
    if line.gate is not None:
        open_output(parse_line_uri(line.gate)).close()
    if line.lots is not None:
        open_input(parse_line_uri(line.lots)).close()
    where = f"sections of {settings.section_mm:g} mm, gate at {settings.gate_mm:g} mm"
    if line.encoder is None:
        return f"by its speed, {where}"
    encoder = open_encoder(parse_line_uri(line.encoder.source))
    if encoder is None or isinstance(encoder, LocalEncoder):
        return f"encoder {line.encoder.source}: its samples come in, {where}"
    with closing(encoder):
        encoder.open()
        return f"encoder {line.encoder.source} counts {encoder.read().count}, {where}"


def _state_dir(path: Path) -> str:
    """Try to write where the service will write; a folder it can make need not be there yet."""
    try:
        place = next(place for place in (path, *path.parents) if _is_there(place))
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"LineSight")
    except OSError as error:
        raise ConfigError(
            f"station.state_dir: {path}: state directory not writable: {error.strerror}",
            hint="give it to the service's user, or set station.state_dir",
        ) from error
    return f"{path} is writable" if place == path else f"{path} can be made"


def _is_there(path: Path) -> bool:
    # Path.exists() raises in some versions of Python and is False in others.
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _broker(station: config.Station, mqtt: config.Mqtt) -> str:
    # Only these two tables are looked at, and others may be wrong.
    settings = app.mqtt_settings(config.Config.model_construct(station=station, mqtt=mqtt))
    probe(settings)
    how = "TLS" if mqtt.tls else "plain TCP"
    return f"{settings.host}:{settings.port} answers, MQTT {settings.protocol}, {how}"


def _report(finding: Finding) -> dict[str, Any]:
    report: dict[str, Any] = {
        "name": finding.name,
        "ok": finding.error is None,
        "text": finding.text,
    }
    if finding.error is not None:
        report["exit_code"] = finding.error.exit_code
    return report
