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

_SHARES = frozenset({"recall", "precision", "ap", "accuracy", "accuracy_all", "as_mask"})


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
    parser.add_argument("--variant", default="auto", help="of the models (default: %(default)s)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print a table, write the JSON."""
    only = _names(args.only)
    bundles = bundles_of(args.target, args.models)
    out = text_stream(args.json)
    with closing(Loaded(bundles, args.variant, cpus())) as loaded, progress("eval") as update:
        report = evaluate(
            args.data,
            detector=loaded.detector,
            classifier=loaded.classifier,
            segmenter=loaded.segmenter,
            only=only,
            progress=update,
        )
    for bundle, variant in zip(bundles, loaded.variants, strict=True):
        out.write(f"{bundle.manifest.name} {bundle.manifest.version} {variant}, {bundle.path}\n")
    out.write("".join(f"{line}\n" for line in table(report)))
    write_json(args.json, report)
    return 0


def table(report: dict[str, Any]) -> Iterator[str]:
    """Each figure in one line; shares as percent."""
    for path, value in _flat(report):
        share = path[-1] in _SHARES or path[0] == "dice"  # below which stand labels
        shown = f"{100 * value:8.2f} %" if share else f"{value:>8}"
        yield f"{' '.join(path):<52}{shown}"


def _flat(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, (*path, key))
        else:
            yield (*path, key), inner


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
