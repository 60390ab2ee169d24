"""Pictures of a training, for people: its curve, and what the network marks on held-back surfaces.

They show pictures of the data and so stay in the training's folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

COLOURS = ((60, 60, 230), (230, 140, 40), (60, 190, 60), (200, 60, 200))
"""Of the labels, BGR, by number; more labels begin anew."""

ROWS = 24
"""Strips of an overlay picture at most."""


def plot_curve(curve: Path, out: Path) -> None:
    """Draw every number of ``curve.jsonl`` that has a course over the steps, as a PNG.

    What belongs together by the part of its name before the first dot shares a pair of axes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = [_flat(json.loads(text)) for text in curve.read_text(encoding="utf-8").splitlines()]
    names = [name for name in lines[0] if name not in ("epoch", "steps", "minutes")]
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.split(".")[0], []).append(name)
    figure = Figure(figsize=(7, 2.4 * len(groups)), layout="constrained")
    FigureCanvasAgg(figure)
    steps = [line["steps"] for line in lines]
    for place, (group, members) in enumerate(groups.items(), 1):
        axes = figure.add_subplot(len(groups), 1, place)
        for name in members:
            values = [line.get(name, float("nan")) for line in lines]
            axes.plot(steps, values, label=name.removeprefix(f"{group}."), marker=".")
        axes.set_title(group, loc="left", fontsize=9)
        axes.grid(alpha=0.3)
        if len(members) > 1:
            axes.legend(fontsize=7, ncols=3)
    axes.set_xlabel("steps")
    figure.savefig(out, dpi=110)


def draw_overlays(
    images: Grey, truth: NDArray[np.bool_], found: NDArray[np.bool_], out: Path
) -> None:
    """Strips with the outlines of what is true above and of what was found below, as a PNG.

    Parameters
    ----------
    images
        [n, height, width] uint8.
    truth, found
        [n, height, width, labels].
    out
        The file.
    """
    rows = [
        np.vstack([_outlined(image, true), _outlined(image, said)])
        for image, true, said in zip(images[:ROWS], truth, found, strict=False)
    ]
    cv2.imwrite(str(out), np.vstack(rows))


def _outlined(image: Grey, masks: NDArray[np.bool_]) -> Grey:
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    for k in range(masks.shape[-1]):
        outlines, _ = cv2.findContours(
            np.ascontiguousarray(masks[..., k]).astype(np.uint8),
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_NONE,
        )
        cv2.drawContours(picture, list(outlines), -1, COLOURS[k % len(COLOURS)], 1)
    return np.asarray(picture, np.uint8)


def _flat(values: dict[str, Any], before: str = "") -> dict[str, float]:
    """The numbers in nested objects, keys joined by dots; lists are left out."""
    found: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{before}{key}"] = float(value)
    return found
