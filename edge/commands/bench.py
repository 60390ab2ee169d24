"""``linesight bench``: how fast this machine is.

For a station the real service runs on a 640×480 picture with exactly N faces, and beside it, in
turns within the same run, the bare interpreters of both models. What it does for a bundle is in
:mod:`edge.commands.bench_bundle`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from edge.commands import bench_bundle
from edge.commands.measure import (
    BareLoop,
    Judged,
    bare_fps,
    crops_of,
    rss_mb,
    run_station,
)
from edge.commands.options import add_json, positive, quiet_service, text_stream, write_json
from edge.commands.targets import (
    STATIONS,
    Loaded,
    add_target,
    bundles_of,
    cpus,
)
from edge.contract.bundle import Bundle
from edge.demo.crowd import MOST, crowd
from edge.demo.progress import Update, progress
from edge.demo.summary import percentiles
from edge.engines import runtime_name
from edge.errors import UsageError

ROUNDS = 5
"""How often service and bare interpreters take turns; their medians are compared."""
STAGES = ("preprocess", "infer", "postprocess")
REFERENCE_S = 600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, and for how long."""
    add_target(parser)
    parser.add_argument("--faces", type=_counts, default=(1, 6, 18, 32), metavar="N,…")
    parser.add_argument(
        "--seconds", type=positive, default=2.0, help="of each measurement (default: %(default)s)"
    )
    parser.add_argument(
        "--variant",
        default="auto",
        help="of the models (default: %(default)s, which is every variant of a single bundle)",
    )
    parser.add_argument("--workers", type=_small, default=1, help="inference threads of Python")
    parser.add_argument(
        "--threads",
        type=_small,
        help=f"of each interpreter (default: {bench_bundle.THREADS}; with --write the station's)",
    )
    parser.add_argument(
        "--no-reference", action="store_true", help="leave out the Keras loop we compare with"
    )
    bench_bundle.add_write(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write the JSON."""
    if args.state_dir is not None and not args.write:
        raise UsageError("--state-dir: only says where --write writes", hint="add --write")
    out = text_stream(args.json)
    report: dict[str, Any] = {"machine": machine()}
    if args.write or args.target not in STATIONS:
        report |= bench_bundle.run(args, out)
    else:
        report |= _station(args, out)
        _tell(report, out)
    write_json(args.json, report)
    return 0


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
    with quiet_service(args.verbose), progress("bench") as update:
        return _measured(args, bundles, args.threads or bench_bundle.THREADS, update)


def _measured(
    args: argparse.Namespace, bundles: Sequence[Bundle], threads: int, update: Update
) -> dict[str, Any]:
    steps = len(args.faces) + 2 * ROUNDS
    by_faces: dict[str, Any] = {}
    with ExitStack() as stack:
        loaded = [
            stack.enter_context(closing(Loaded(bundles, args.variant, threads)))
            for _ in range(args.workers)
        ]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="linesight-bench-")))
        memory = 0.0
        for done, count in enumerate(args.faces):
            update(done, steps)
            image, boxes = crowd(count)
            judged = run_station(loaded, image, boxes, args.seconds, folder)
            memory = max(memory, rss_mb())
            by_faces[str(count)] = {"fps": round(judged.fps, 2), "stages": _stages(judged)}
        compared = _efficiency(args, bundles, threads, loaded, folder, update)
    update(steps, steps)
    for count, entry in by_faces.items():
        reference = None if args.no_reference else reference_fps(int(count))
        if reference is not None:
            entry["reference_fps"] = round(reference, 3)
            entry["ratio"] = round(entry["fps"] / reference, 2)
    return {"by_faces": by_faces, **compared, "rss_mb": round(memory, 1)}


def _efficiency(
    args: argparse.Namespace,
    bundles: Sequence[Bundle],
    threads: int,
    loaded: Sequence[Loaded],
    folder: Path,
    update: Update,
) -> dict[str, Any]:
    """Service and bare interpreters in turns, with the most faces: a busy moment hits both."""
    image, boxes = crowd(max(args.faces))
    parts = []
    for bundle, variant in zip(bundles, loaded[0].variants, strict=True):
        detects = bundle.manifest.task == "detection"
        parts.append((bundle, variant, [image] if detects else crops_of(bundle, image, boxes)))
    loops = [BareLoop(parts, threads) for _ in loaded]
    bare, service = [], []
    for turn in range(ROUNDS):
        done = len(args.faces) + 2 * turn
        update(done, len(args.faces) + 2 * ROUNDS)
        bare.append(bare_fps(loops, args.seconds / 2))
        update(done + 1, len(args.faces) + 2 * ROUNDS)
        service.append(run_station(loaded, image, boxes, args.seconds / 2, folder).fps)
    ratio = statistics.median(s / b for s, b in zip(service, bare, strict=True))
    return {"bare_fps": round(statistics.median(bare), 2), "efficiency": round(ratio, 4)}


def _stages(judged: Judged) -> dict[str, Any]:
    """Percentiles of each stage after the warm-up, and of their sum."""
    timings = judged.steady_timings
    stages = {name: [getattr(t, f"{name}_ms") for t in timings] for name in STAGES}
    stages["total"] = [sum(parts) for parts in zip(*stages.values(), strict=True)]
    return {name: percentiles(values) for name, values in stages.items()}


def reference_fps(faces: int) -> float | None:
    """Frames a second of the loop we compare with: Keras ``predict`` once a face.

    None when Keras or the converter's half of the project is not installed here. It runs in a
    process of its own: nothing of it may count as ours.
    """
    if find_spec("converter") is None or find_spec("keras") is None:
        return None
    command = [sys.executable, "-m", "converter.reference", "--faces", str(faces)]
    try:
        done = subprocess.run(
            [*command, "--frames", "2", "--json", "-"],
            capture_output=True,
            check=True,
            timeout=REFERENCE_S,
        )
        return float(json.loads(done.stdout)["fps"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        sys.stderr.write(f"linesight: bench: no reference for {faces} faces: {error}\n")
        return None


def _tell(report: dict[str, Any], out: TextIO) -> None:
    lines = [
        f"{report['machine']['cpu']}, {report['machine']['cpus']} CPUs",
        "640×480, the detector on every frame, then exactly N faces classified",
        f"{'faces':>5} {'frames/s':>9} {'infer p50':>10} {'total p95':>10} {'reference':>10}",
    ]
    for count, entry in report["by_faces"].items():
        stages = entry["stages"]
        reference = f"×{entry['ratio']:.1f}" if "ratio" in entry else "-"
        lines.append(
            f"{count:>5} {entry['fps']:9.1f} {stages['infer']['p50']:7.1f} ms "
            f"{stages['total']['p95']:7.1f} ms {reference:>10}"
        )
    lines.append(
        f"bare interpreters {report['bare_fps']:g} frames/s at the most faces; "
        f"efficiency {report['efficiency']:.3f}; {report['rss_mb']:.0f} MiB"
    )
    out.write("\n".join(lines) + "\n")


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
