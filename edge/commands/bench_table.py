"""The figures of ``linesight bench face_mask`` as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Report = Mapping[str, Any]


def table(report: Report) -> str:
    """What the JSON holds that people look for, as lines."""
    by_faces = report["by_faces"]
    broker = report["broker"]
    lines = [
        f"{report['machine']['cpu']}, {report['machine']['cpus']} CPUs",
        "640×480, the detector on every frame, then exactly N faces classified",
        f"{'faces':>5} {'frames/s':>9} {'bare':>8} {'efficiency':>10} {'overhead':>11} "
        f"{'p99/p50, ÷ bare':>16} {'reference':>10}",
        *(_speed(count, entry) for count, entry in by_faces.items()),
        f"behind a camera's 30 frames/s, an alert with each; broker: {broker['name']} "
        f"{broker['version']}, {broker['where']}",
        f"{'faces':>5} {'capture → verdict p50, p95, p99':>33} "
        f"{'capture → PUBACK p50, p95, p99':>33}",
        *(_latency(count, entry["latency_ms"]) for count, entry in by_faces.items()),
    ]
    total = f"{report['rss_mb']:.0f} MiB"
    if "ms_per_face" in report:
        total = f"a further face costs {report['ms_per_face']:.2f} ms; {total}"
    if "reference" in report:
        detector = "with its detector" if report["reference"]["detector"] else "no detector"
        total += f"; reference: the Keras loop, one thread, {detector}, in turns with all this"
    return "\n".join([*lines, total]) + "\n"


def frame_table(report: Report) -> str:
    """The same of a steel_defect station."""
    frame, broker = report["frame"], report["broker"]
    stages = ", ".join(f"{name} {values['p50']:.2f}" for name, values in frame["stages"].items())
    lines = [
        f"{report['machine']['cpu']}, {report['machine']['cpus']} CPUs",
        f"drawn frames of 1600×256: {frame['fps']:.1f} frames/s; medians in ms: {stages}",
        f"bare interpreters {report['bare_fps']:.1f} frames/s, "
        f"efficiency {report['efficiency']:.3f}",
        f"behind a camera's 60 frames/s, an alert with each; broker: {broker['name']} "
        f"{broker['version']}, {broker['where']}",
        f"capture → alert p50, p95, p99: {_milliseconds(frame['latency_ms'])}",
        f"capture → PUBACK p50, p95, p99: {_milliseconds(frame['puback_ms'])}",
        f"{report['rss_mb']:.0f} MiB",
    ]
    return "\n".join(lines) + "\n"


def _milliseconds(values: Report) -> str:
    return ", ".join(f"{value:.1f}" for value in values.values()) + " ms"


def _speed(count: str, entry: Report) -> str:
    tail = entry["p99_to_p50"]
    reference = f"×{entry['ratio']:.1f}" if "ratio" in entry else "-"
    return (
        f"{count:>5} {entry['fps']:9.1f} {entry['bare_fps']:8.1f} {entry['efficiency']:10.3f} "
        f"{entry['overhead_ms']:8.2f} ms {tail['service']:8.2f}, ×{tail['ratio']:5.2f} "
        f"{reference:>10}"
    )


def _latency(count: str, latency_ms: Report) -> str:
    verdict, puback = (_milliseconds(latency_ms[name]) for name in ("verdict", "puback"))
    return f"{count:>5} {verdict:>33} {puback:>33}"
