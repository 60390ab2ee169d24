"""Arguments that several verbs share, and their report as a file."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from edge.errors import UsageError

DEFAULT_CONFIG = "/etc/linesight/station.toml"


def add_config(parser: argparse._ActionsContainer) -> None:
    """``--config FILE``, from ``$LINESIGHT_CONFIG`` or the usual place; a group takes it too."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=os.environ.get("LINESIGHT_CONFIG") or DEFAULT_CONFIG,
        help="the station.toml (default: $LINESIGHT_CONFIG, else %(default)s)",
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """``--models DIR``, a folder that exists: a mistyped one must not fall through to others."""
    parser.add_argument(
        "--models", metavar="DIR", type=_folder, help="look for bundles here before everywhere else"
    )


def add_json(parser: argparse.ArgumentParser, *, parse_time: bool = True) -> None:
    """``--json FILE``, looked at before the work begins: a report must not be lost at the end.

    A verb that first makes the folder that the report may lie in says ``parse_time=False`` and
    calls :func:`check_report` after that.
    """
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=_report_file if parse_time else str,
        help="write the report as JSON; - is standard output, all other text then goes to stderr",
    )


def check_report(name: str | None) -> None:
    """Look whether the report of ``--json`` can be written.

    Raises
    ------
    UsageError
        It cannot.
    """
    if name is not None:
        try:
            _report_file(name)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"--json {error}") from error


def text_stream(json_name: str | None) -> TextIO:
    """Where the text for people goes: stderr when ``--json -`` takes standard output."""
    return sys.stderr if json_name == "-" else sys.stdout


def write_json(name: str | None, report: Mapping[str, Any]) -> None:
    """Write a report where ``--json`` says; nothing when it says nothing.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    if name is None:
        return
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    if name == "-":
        sys.stdout.write(text)
        return
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--json {name}: cannot be written: {error.strerror}") from error


def positive(text: str) -> float:
    """An argument that is a finite number above 0.

    Raises
    ------
    argparse.ArgumentTypeError
        It is not.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0.0 < value < math.inf):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _folder(text: str) -> Path:
    path = Path(text)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path


def _report_file(text: str) -> str:
    path = Path(text)
    if text == "-" or (os.access(path, os.W_OK) and not path.is_dir()):
        return text
    if os.access(path, os.F_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: no folder that can be written to")
    return text


@contextmanager
def quiet_service(verbose: int) -> Iterator[None]:
    """Keep the service's notes, made for a journal, out of a verb's own output.

    Errors still show, and with ``-v`` everything does.
    """
    logger = logging.getLogger("edge")
    before = logger.level
    if not verbose:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
