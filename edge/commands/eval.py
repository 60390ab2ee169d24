"""``linesight eval``: how good a station's models are, on labelled data."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from edge.commands.options import add_json, text_stream, write_json
from edge.commands.targets import Loaded, add_target, bundles_of, cpus
from edge.demo.progress import progress
from edge.errors import UsageError
from edge.evaluation import evaluate
from edge.evaluation.clean import false_alarms

_SHARES = frozenset(
    {
        "recall",
        "precision",
        "ap",
        "accuracy",
        "accuracy_all",
        "balanced",
        "as_mask",
        "ece",
        "missed",
    }
)
_NAME = 44  # columns of the figures' names
_LEFT_OUT = ("detection", "at_precision", "0.90", "by_faces")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, and on which data."""
    add_target(parser)
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        required=True,
        help="annotations.json (COCO), train.csv or masks/ with images/, or one folder a class",
    )
    parser.add_argument("--only", metavar="FILE", type=Path, help="a list of pictures to take")
    parser.add_argument(
        "--clean",
        metavar="NAME=DIR",
        type=_named_folder,
        action="append",
        default=[],
        help="pictures without a defect; false_alarms.NAME is the share of them that is flagged",
    )
    parser.add_argument("--variant", default="auto", help="of the models (default: %(default)s)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print a table, write the JSON."""
    only = _names(args.only)
    bundles = bundles_of(args.target, args.models)
    out = text_stream(args.json)
    variants = [args.variant] * len(bundles)
    with closing(Loaded(bundles, variants, cpus())) as loaded, progress("eval") as update:
        if args.clean and loaded.segmenter is None:
            raise UsageError("--clean: is for a segmentation", hint="name a bundle that segments")
        report = evaluate(
            args.data,
            detector=loaded.detector,
            classifier=loaded.classifier,
            segmenter=loaded.segmenter,
            only=only,
            progress=update,
        )
        if args.clean and loaded.segmenter is not None:
            report["false_alarms"] = {
                name: false_alarms(folder, loaded.segmenter) for name, folder in args.clean
            }
    for bundle, variant in zip(bundles, loaded.variants, strict=True):
        out.write(f"{bundle.manifest.name} {bundle.manifest.version} {variant}, {bundle.path}\n")
    out.write("".join(f"{line}\n" for line in table(report)))
    write_json(args.json, report)
    return 0


def _named_folder(text: str) -> tuple[str, Path]:
    """``NAME=DIR``."""
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR")
    return name, Path(folder)


def table(report: dict[str, Any]) -> Iterator[str]:
    """Each figure of a section in one line, each part of a section (a range, a group) in another.

    Shares are percent, with the interval where there is one. Left out are the ranges of faces at
    the lower precision, which the JSON has.
    """
    for section, figures in report.items():
        if not isinstance(figures, dict):
            yield f"{section:<{_NAME}}{figures:>8}"
            continue
        # Below these stand the names of labels and folders.
        for key, shown in _shown(figures, shares=section in ("dice", "false_alarms")):
            yield f"{section + ' ' + key:<{_NAME}}{shown}"
        yield from _parts(figures, (section,))


def _parts(figures: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, part in figures.items():
        inner = (*path, key)
        if not isinstance(part, dict) or key == "interval" or inner == _LEFT_OUT:
            continue
        if own := "  ".join(f"{name} {shown.strip()}" for name, shown in _shown(part)):
            yield f"{' '.join(inner):<{_NAME}}  {own}"
        yield from _parts(part, inner)


def _shown(figures: dict[str, Any], *, shares: bool = False) -> Iterator[tuple[str, str]]:
    """The numbers that stand in a section itself, as text."""
    ranges = figures.get("interval", {})
    for key, value in figures.items():
        if isinstance(value, dict):
            continue
        if not (shares or key in _SHARES):
            yield key, f"{value:8.4f}" if isinstance(value, float) else f"{value:>8}"
            continue
        low, high = ranges.get(key, (None, None))
        beside = "" if low is None else f" ({100 * low:.1f}-{100 * high:.1f})"
        yield key, f"{100 * value:8.2f} %{beside}"


def _names(path: Path | None) -> frozenset[str] | None:
    """One picture a line; empty lines and those that begin with # do not count."""
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(
            f"--only {path}: cannot be read: {why}", hint="name a text file, one picture a line"
        ) from error
    return frozenset(line.strip() for line in lines if line.strip() and line[0] != "#")
