"""``linesight bench``: how fast this machine is.

For a station the real service runs on a 640×480 picture with exactly N faces, and beside it, in
turns within the same run, the bare interpreters of both models, the service behind a camera's pace
with a real broker, and the Keras loop that we compare with: see :mod:`edge.commands.faces`. What it
does for a bundle is in :mod:`edge.commands.bench_bundle`.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from edge.commands import bench_bundle
from edge.commands.bench_table import frame_table, table
from edge.commands.faces import Setting, ms_per_face, run_turns
from edge.commands.frames import TASK, measure_frames
from edge.commands.options import add_json, positive, quiet_service, text_stream, write_json
from edge.commands.reference import Reference, reference_or_none
from edge.commands.targets import STATIONS, add_target, bundles_of, chosen_variant, cpus
from edge.commands.variants import choose, measure
from edge.contract.bundle import Bundle
from edge.demo.crowd import MOST
from edge.demo.local_broker import LocalBroker, local_broker
from edge.demo.progress import progress
from edge.engines import runtime_name
from edge.errors import ExtraAbsent, UsageError

CHOICE_S = 0.5
"""Of measuring one variant, when the fastest of a station is looked for first."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, and for how long."""
    add_target(parser)
    parser.add_argument(
        "--faces",
        type=_counts,
        default=(1, 2, 6, 18, 32),
        metavar="N,…",
        help="faces in the picture (default: 1,2,6,18,32)",
    )
    parser.add_argument(
        "--seconds", type=positive, default=2.0, help="of each measurement (default: %(default)s)"
    )
    parser.add_argument(
        "--variant",
        default="auto",
        help="of the models (default: %(default)s: of a station the fastest, which is measured "
        "first; every variant of a single bundle)",
    )
    parser.add_argument("--workers", type=_small, default=1, help="inference threads of Python")
    parser.add_argument(
        "--threads",
        type=_small,
        help=f"of each interpreter (default: {bench_bundle.THREADS}; with --write the station's)",
    )
    parser.add_argument(
        "--reference",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="take turns with the Keras loop we compare with (default: where it is installed)",
    )
    parser.add_argument(
        "--reference-detector",
        nargs=2,
        type=Path,
        default=(),
        metavar=("PB", "PBTXT"),
        help="opencv_face_detector_uint8.pb and opencv_face_detector.pbtxt: the loop detects too",
    )
    bench_bundle.add_write(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write the JSON."""
    if args.state_dir is not None and not args.write:
        raise UsageError("--state-dir: only says where --write writes", hint="add --write")
    if args.reference is False and args.reference_detector:
        raise UsageError("--reference-detector: is part of the reference, not of --no-reference")
    if args.reference or args.reference_detector:
        _check_compares(args)
    out = text_stream(args.json)
    report: dict[str, Any] = {"machine": machine()}
    if args.write or args.target not in STATIONS:
        report |= bench_bundle.run(args, out)
    else:
        report |= _station(args, out)
        out.write(frame_table(report) if "frame" in report else table(report))
    write_json(args.json, report)
    return 0


def _check_compares(args: argparse.Namespace) -> None:
    """Only frames with faces are compared with the reference."""
    option = "--reference" if args.reference else "--reference-detector"
    if args.target == TASK:
        raise UsageError(f"{option}: compares faces, and {TASK} has none", hint="leave it out")
    if args.target not in STATIONS:
        raise UsageError(
            f"{option}: {args.target!r} is no station, and only a station is compared",
            hint=f"leave it out, or name a station: {', '.join(STATIONS)}",
        )
    if args.write:
        raise UsageError(
            f"{option}: --write measures the models alone and compares with nothing",
            hint="leave one of the two out",
        )


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            model = value.strip()
    return {
        "cpu": model,
        "arch": platform.machine(),
        "cpus": cpus(),
        "python": platform.python_version(),
        "runtime": runtime_name(),
    }


def _station(args: argparse.Namespace, out: TextIO) -> dict[str, Any]:
    bundles = bundles_of(args.target, args.models)
    out.write("".join(f"{bundle.manifest.name}, {bundle.path}\n" for bundle in bundles))
    out.flush()
    lines = args.target == TASK
    wanted = reference_or_none(False if lines else args.reference, args.reference_detector)
    threads = args.threads or bench_bundle.THREADS
    variants, chosen = _variants(args, bundles, threads, out)
    with ExitStack() as stack:
        reference = _started(wanted, args.reference, stack, out)
        broker = stack.enter_context(local_broker())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="linesight-bench-")))
        stack.enter_context(quiet_service(args.verbose))
        update = stack.enter_context(progress("bench"))
        setting = Setting(bundles, variants, args.workers, threads, args.seconds, folder)
        if lines:
            measured = measure_frames(setting, broker, update)
            return {"bundles": chosen, "broker": _broker_report(broker), **measured}
        crowds, memory = run_turns(args.faces, setting, broker, reference, update)
    most = max(crowds, key=lambda crowd: crowd.count)
    found = {
        "bundles": chosen,
        "broker": _broker_report(broker),
        "by_faces": {str(crowd.count): crowd.report() for crowd in crowds},
        "bare_fps": round(most.bare_fps, 2),
        "efficiency": round(most.efficiency, 4),
        "rss_mb": round(memory, 1),
    }
    if len(crowds) > 1:
        found["ms_per_face"] = round(ms_per_face(crowds), 3)
    if reference is not None:
        found["reference"] = {"threads": 1, "detector": bool(args.reference_detector)}
    return found


def _variants(
    args: argparse.Namespace, bundles: Sequence[Bundle], threads: int, out: TextIO
) -> tuple[list[str], dict[str, Any]]:
    """The variant of each bundle, and what the report says of it."""
    variants: list[str] = []
    found: dict[str, Any] = {}
    for bundle in bundles:
        if args.variant == "auto":
            names = list(bundle.manifest.variants)
            with quiet_service(args.verbose), progress("bench") as update:
                measured = measure(bundle, names, threads, CHOICE_S, update, beside=())
            choice = choose(measured, threads)
            found[bundle.manifest.name] = {"choice": bench_bundle.choice_report(choice)}
            out.write(bench_bundle.choice_line(bundle, choice) + "\n")
            variants.append(choice.variant)
        else:
            variants.append(chosen_variant(bundle, args.variant))
            found[bundle.manifest.name] = {"choice": {"variant": variants[-1], "threads": threads}}
    out.flush()
    return variants, found


def _started(
    reference: Reference | None, wanted: bool | None, stack: ExitStack, out: TextIO
) -> Reference | None:
    """The reference at work; none where nobody asked for it by name and it cannot be had."""
    if reference is None:
        return None
    try:
        return stack.enter_context(reference)
    except ExtraAbsent as error:
        if wanted:
            raise
        out.write(f"{error}\n")
        return None


def _broker_report(broker: LocalBroker) -> dict[str, str]:
    return {"name": broker.name, "version": broker.version, "where": broker.where}


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        counts = (0,)
    if not all(1 <= count <= MOST for count in counts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers from 1 to {MOST}")
    return counts


def _small(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 64):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 64")
    return int(text)
