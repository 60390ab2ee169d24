"""``linesight bench``: how fast this machine is.

For a station the real service runs on a 640×480 picture with exactly N faces, and beside it, in
turns within the same run, the bare interpreters of both models. For a bundle each variant runs
alone, with 1, 2, 4 … threads.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import numpy as np

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
    chosen_variant,
    cpus,
)
from edge.contract.bundle import Bundle
from edge.demo.crowd import MOST, crowd
from edge.demo.progress import Update, progress
from edge.demo.summary import percentiles
from edge.engines import open_engine, runtime_name

ROUNDS = 5
"""How often service and bare interpreters take turns; their medians are compared."""
FEWEST = 20
"""Runs of a bundle's variant, however slow it is."""
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
    parser.add_argument("--threads", type=_small, default=2, help="of each interpreter")
    parser.add_argument(
        "--no-reference", action="store_true", help="leave out the Keras loop we compare with"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write the JSON."""
    bundles = bundles_of(args.target, args.models)
    out = text_stream(args.json)
    out.write("".join(f"{bundle.manifest.name}, {bundle.path}\n" for bundle in bundles))
    out.flush()
    report: dict[str, Any] = {"machine": machine()}
    if args.target in STATIONS:
        with quiet_service(args.verbose), progress("bench") as update:
            report |= _station(args, bundles, update)
        _tell_station(report, out)
    else:
        (bundle,) = bundles
        variants: list[str] = list(bundle.manifest.variants)
        if args.variant != "auto":
            variants = [chosen_variant(bundle, args.variant)]
        with progress("bench") as update:
            report["variants"] = _bundle(bundle, variants, args.seconds, update)
        _tell_bundle(report["variants"], out)
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


def _station(args: argparse.Namespace, bundles: Sequence[Bundle], update: Update) -> dict[str, Any]:
    steps = len(args.faces) + 2 * ROUNDS
    by_faces: dict[str, Any] = {}
    with ExitStack() as stack:
        loaded = [
            stack.enter_context(closing(Loaded(bundles, args.variant, args.threads)))
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
        compared = _efficiency(args, bundles, loaded, folder, update)
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
    loops = [BareLoop(parts, args.threads) for _ in loaded]
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


def _bundle(
    bundle: Bundle, variants: Sequence[str], seconds: float, update: Update
) -> dict[str, Any]:
    """Times of one inference of each of these variants, warm, by threads."""
    threads = [count for count in (1, 2, 4, 8) if count <= cpus()]
    steps = [(variant, count) for variant in variants for count in threads]
    report: dict[str, Any] = {}
    for done, (variant, count) in enumerate(steps):
        update(done, len(steps))
        spec = bundle.input_tensor(variant)
        tensor = np.zeros(spec.shape, spec.dtype)
        times: list[float] = []
        with closing(open_engine(bundle, variant, threads=count)) as engine:
            for _ in range(3):
                engine.infer(tensor)
            end = time.perf_counter() + seconds / 2
            while len(times) < FEWEST or time.perf_counter() < end:
                began = time.perf_counter()
                engine.infer(tensor)
                times.append(1000 * (time.perf_counter() - began))
        report.setdefault(variant, {"threads": {}})["threads"][str(count)] = percentiles(times)
    update(len(steps), len(steps))
    return report


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


def _tell_station(report: dict[str, Any], out: TextIO) -> None:
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


def _tell_bundle(variants: dict[str, Any], out: TextIO) -> None:
    lines = [f"{'variant':<10} {'threads':>7} {'p50':>9} {'p95':>9} {'p99':>9}"]
    for variant, entry in variants.items():
        for count, times in entry["threads"].items():
            shown = " ".join(f"{times[name]:6.2f} ms" for name in ("p50", "p95", "p99"))
            lines.append(f"{variant:<10} {count:>7} {shown}")
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
