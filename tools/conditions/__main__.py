"""``python -m tools.conditions``: show the conditions, print the table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from edge.config.models import RuleSettings
from edge.errors import LineSightError
from tools.conditions.conditions import all_conditions
from tools.conditions.report import Row, as_json, as_text
from tools.conditions.systems import MODELS, ReferenceDetector, Station
from tools.conditions.tally import tally

RAISE_AT: float = RuleSettings.model_fields["raise_at"].default
"""The score from which on the shipped rule takes a face for one without a mask."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every condition; the exit code is that of the error, or 0."""
    args = _parser().parse_args(arguments)
    try:
        reference = ReferenceDetector(*args.reference_detector) if args.reference_detector else None
        rows = []
        with closing(Station(args.models, args.variant)) as station:
            for condition in all_conditions(args.data):
                sys.stderr.write(f"{condition.key}\n")
                shots = list(condition.shots())
                theirs = None if reference is None else tally(reference, shots, RAISE_AT)
                rows.append(Row(condition, tally(station, shots, RAISE_AT), theirs))
    except LineSightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{', '.join(station.names)}; raise_at {RAISE_AT}\n\n")
    sys.stdout.write("".join(f"{line}\n" for line in as_text(rows, markdown=args.markdown)))
    if args.json is not None:
        report = {"models": station.names, "conditions": as_json(rows)}
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.conditions", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="holds face_mask/ and imagenette/train/",
    )
    parser.add_argument(
        "--reference-detector",
        type=Path,
        nargs=2,
        metavar=("PB", "PBTXT"),
        help="the reference's detector, to be measured beside the station",
    )
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR")
    parser.add_argument("--variant", default="auto", help="of both models (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
