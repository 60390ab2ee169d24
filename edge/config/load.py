"""Read ``station.toml`` and say everything that is wrong with it."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edge.config.credentials import file_mistakes
from edge.config.lines import KeyPath, dotted, find_lines, nearest_line
from edge.config.models import Config, with_derived_defaults
from edge.config.wording import Mistake, mistakes_of
from edge.errors import ConfigError

Tables = Mapping[str, Any]


def load(path: Path, overrides: Tables | None = None) -> Config:
    """Read a station's configuration.

    Parameters
    ----------
    path
        The TOML file.
    overrides
        Table → key → value that wins over the file, from the command line:
        ``{"station": {"models_dir": "…"}}``.

    Raises
    ------
    ConfigError
        The file cannot be read, is not TOML, or holds mistakes; the message has one line
        ``file:line: key: what is wrong`` for each of them.
    """
    text, tables = _read(path)
    return build(_merged(tables, overrides or {}), origin=str(path), text=text)


def valid_tables(path: Path) -> dict[str, Any]:
    """Those tables of a file that are right on their own, defaults filled in, by name.

    For a check that wants to go on and look at models and cameras when another table is wrong.
    """
    try:
        _, tables = _read(path)
    except ConfigError:
        tables = {}
    valid: dict[str, Any] = {}
    for name, part in {"models": {}, **with_derived_defaults(tables)}.items():
        if name in Config.model_fields:
            kind: Any = Config.model_fields[name].annotation
            with contextlib.suppress(ValidationError):
                valid[name] = TypeAdapter(kind).validate_json(json.dumps(part, default=str))
    return valid


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a TOML file and its tables."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such file",
            hint="name one with --config; `linesight config example` prints one to start from",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text at byte {error.start}") from error
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}",
            hint="name a station.toml that this user may read, with --config",
        ) from error
    try:
        return text, tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def build(tables: Tables, *, origin: str, text: str = "") -> Config:
    """Check tables that are already in memory.

    Parameters
    ----------
    tables
        As ``tomllib`` gives them.
    origin, text
        Where they come from, and the TOML text to look line numbers up in.

    Raises
    ------
    ConfigError
        As :func:`load`.
    """
    # By way of JSON: there a list may become a tuple and a string a path, while strict mode still
    # refuses "5" for 5. A TOML date has no place in any table and becomes a string to be refused.
    document = json.dumps(with_derived_defaults(tables), default=str)
    config: Config | None = None
    mistakes: list[Mistake] = []
    try:
        config = Config.model_validate_json(document)
    except ValidationError as error:
        mistakes += mistakes_of(error)
    mistakes += file_mistakes(tables)
    if config is not None and not mistakes:
        return config
    lines = find_lines(text)
    report: dict[str, None] = {}  # ordered, without doubles
    for mistake in sorted(mistakes, key=lambda item: nearest_line(lines, item.path) or 0):
        report[f"{_place(origin, lines, mistake.path)}: {mistake.text}"] = None
    raise ConfigError("\n".join(report))


def _place(origin: str, lines: dict[KeyPath, int], path: KeyPath) -> str:
    number = nearest_line(lines, path)
    place = origin if number is None else f"{origin}:{number}"
    return f"{place}: {dotted(path)}" if path else place


def _merged(tables: Tables, overrides: Tables) -> dict[str, Any]:
    merged = dict(tables)
    for name, own in overrides.items():
        table = merged.get(name, {})
        if isinstance(table, dict):
            merged[name] = {**table, **own}
    return merged
