"""The ``linesight`` command: arguments, exit codes, and one clear line when something is wrong.

Exit codes: 0 ok, 1 failed at run time or a gate not met, 2 usage, 69 broker or an optional extra
not there, 78 configuration or model, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from edge import __version__
from edge.errors import ExtraAbsent, LineSightError

VERBS: Mapping[str, str] = {
    "run": "watch the cameras and report to the broker: the service",
    "check": "say everything that is wrong with configuration, models, cameras and broker",
    "demo": "show the station at work without broker, camera or account",
    "eval": "measure a station's models on labelled data",
    "bench": "measure how fast this machine is",
    "watch": "show every station under a root in the terminal",
    "config": "print an example station.toml, or the values in force",
    "schema": "print the JSON Schemas of messages and manifest",
}
"""Verb → help. The module ``edge.commands.<verb>`` has ``add_arguments(parser)`` and
``run(args) -> int`` and is imported only when the verb is called."""

EXTRAS: Mapping[str, str] = {
    **dict.fromkeys(("numpy", "cv2", "pydantic", "paho", "ai_edge_litert"), "edge"),
    **dict.fromkeys(("amqtt", "rich", "skimage"), "demo"),
}
"""Importable package → the extra that installs it."""

_OPENCV: Mapping[str, str] = {
    # OpenCV's and FFmpeg's own lines repeat what our errors say, without naming the thing.
    "OPENCV_LOG_LEVEL": "FATAL",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    # A picture that claims to be larger is refused before memory is taken for it.
    "OPENCV_IO_MAX_IMAGE_PIXELS": "16777216",
}
"""OpenCV reads these when it is loaded, so they must stand before any verb is imported."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"linesight: {message} (see `{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the process's exit code.

    Raises
    ------
    SystemExit
        ``--help``, ``--version``, or wrong arguments, as argparse does.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for name, value in _OPENCV.items():
        os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):  # a terminal without UTF-8 must not end a report
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    debug = "--debug" in arguments
    try:
        args = _parse(arguments)
        _set_up_logging(args.verbose)
        code: int = importlib.import_module(f"edge.commands.{args.verb}").run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        return _report(error)
    return code


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    common = _Parser(add_help=False)
    common.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=argparse.SUPPRESS,
        help="say more (-vv: everything)",
    )
    common.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )
    parser = _Parser(
        prog="linesight",
        description="Watches a camera and tells an MQTT broker what it saw.",
        parents=[common],
    )
    parser.set_defaults(verbose=0, debug=False)
    parser.add_argument("--version", action="version", version=f"linesight {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    called = next((word for word in arguments if not word.startswith("-")), None)
    for verb, text in VERBS.items():
        sub = verbs.add_parser(verb, help=text, description=text, parents=[common])
        if verb == called:
            importlib.import_module(f"edge.commands.{verb}").add_arguments(sub)
    return parser.parse_args(arguments)


def _set_up_logging(verbosity: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.basicConfig(level=level, format="linesight: %(levelname)s %(name)s: %(message)s")


def _report(error: Exception) -> int:
    """One line on stderr for each thing that is wrong; the exit code."""
    if isinstance(error, ImportError) and not isinstance(error, LineSightError):
        error = _absent(error) or error
    if isinstance(error, LineSightError):
        lines, code = str(error).splitlines(), error.exit_code
    else:
        text = " ".join(str(error).split())
        lines = [f"{type(error).__name__}: {text} (this is a bug; --debug shows where)"]
        code = 1
    for line in lines:
        sys.stderr.write(f"linesight: {line}\n")
    return code


def _absent(error: ImportError) -> ExtraAbsent | None:
    """A third-party package that is not installed, or does not load, as the extra to install."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        return None
    return ExtraAbsent(
        f"this needs the package {package!r}, which cannot be loaded: {error}",
        hint=f"pip install 'linesight[{extra}]'",
    )
