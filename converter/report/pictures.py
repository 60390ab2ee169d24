"""Held-back items as pictures inside the page, with what each side sees in them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from converter.report.facts import Box, Overlay, Sample, Side
from converter.report.markup import Markup, element, join, lines

LONGEST = 320
"""Pixels of a picture's longer side on the page, at most."""

_SHOWN = 200
"""At how many pixels a picture without boxes or masks is shown, so that small faces can be seen."""

SIDES: tuple[Side, ...] = ("truth", "float", "quantized")

_COLORS = (
    (0, 165, 255),
    (80, 200, 60),
    (220, 90, 200),
    (200, 200, 0),
    (0, 220, 240),
    (90, 120, 160),
)
"""Of labels, as BGR, in the order in which a sample names them; none is a side's."""

_ONLY = {"float": (255, 144, 30), "quantized": (30, 60, 230)}
"""Of what only one side sees, as BGR; the page's colours of the two."""


def sample_figure(sample: Sample, variant: str) -> Markup:
    """One item with its text.

    Parameters
    ----------
    sample
        Whose picture is made small enough for a page.
    variant
        Named under what its side sees.
    """
    small = _small(sample.picture)
    if sample.overlays:
        shown, key = _panels(small, sample.overlays, variant)
    else:
        shown, key = _framed(small, sample), Markup()
    caption = element("figcaption", element("strong", sample.title), lines(sample.lines), key)
    return element("figure", shown, caption)


def side_names(variant: str) -> dict[Side, str]:
    """What the page calls each side."""
    return {"truth": "labels", "float": "Keras", "quantized": variant}


def box_key(variant: str) -> Markup:
    """Says which frame is whose."""
    swatches = (
        element("span", element("i", class_=f"frame {side}"), name)
        for side, name in side_names(variant).items()
    )
    return element("p", *swatches, class_="key")


def _framed(small: npt.NDArray[np.uint8], sample: Sample) -> Markup:
    """The picture with its boxes as lines that stay sharp at any size."""
    if not sample.boxes:
        return _image(small, sample.title, _SHOWN / max(small.shape))
    height, width = small.shape[:2]
    scale = width / sample.picture.shape[1]
    boxes = sorted(sample.boxes, key=lambda box: SIDES.index(box.side))
    return element(
        "svg",
        element("title", sample.title),
        element("image", href=_data_uri(small), width=width, height=height),
        *(_frame(box, scale, width, height) for box in boxes),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        class_="picture",
    )


def _frame(box: Box, scale: float, width: int, height: int) -> Markup:
    x, y, w, h = (scale * value for value in (box.x, box.y, box.width, box.height))
    frame = element("rect", x=x, y=y, width=w, height=h, class_=f"frame {box.side}")
    if not box.caption:
        return frame
    # Each side writes at a place of its own, for where all three agree their frames coincide.
    bottom = {"truth": y - 3, "float": y + h + 9, "quantized": y + 10}[box.side]
    right = x + w / 2 > 0.6 * width
    caption = element(
        "text",
        box.caption,
        x=x + w - 2 if right else x + 2,
        y=min(max(bottom, 9), height - 2),
        text_anchor="end" if right else "start",
        class_=box.side,
    )
    return join((frame, caption))


def _panels(
    small: npt.NDArray[np.uint8], overlays: Sequence[Overlay], variant: str
) -> tuple[Markup, Markup]:
    """A copy of the picture for each side and one of what differs, and what the colours mean."""
    labels = list(dict.fromkeys(overlay.label for overlay in overlays))
    colors = {label: _COLORS[i % len(_COLORS)] for i, label in enumerate(labels)}
    panels = []
    for side, name in side_names(variant).items():
        seen = [overlay for overlay in overlays if overlay.side == side]
        if seen or side != "truth":  # a side that sees nothing is shown too, unless nobody labelled
            painted = small.copy()
            for overlay in seen:
                _paint(painted, overlay.mask, colors[overlay.label], 0.55)
            panels.append(_panel(painted, name))
    differ = small.copy()
    found = False
    for label in labels:
        masks = {
            side: _union([o.mask for o in overlays if o.side == side and o.label == label])
            for side in ("float", "quantized")
        }
        for side, other in (("float", "quantized"), ("quantized", "float")):
            only = _less(masks[side], masks[other])
            if only is not None and only.any():
                _paint(differ, only, _ONLY[side], 1.0)
                found = True
    key = [_swatch(colors[label], label) for label in labels]
    if found:
        panels.append(_panel(differ, "they differ"))
        key += [
            _swatch(_ONLY["float"], "only Keras"),
            _swatch(_ONLY["quantized"], f"only {variant}"),
        ]
    return element("div", *panels, class_="panels"), element("p", *key, class_="key")


def _panel(picture: npt.NDArray[np.uint8], name: str) -> Markup:
    return element("div", _image(picture, name), element("small", name))


def _union(masks: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_] | None:
    return np.any(masks, axis=0) if masks else None


def _less(
    a: npt.NDArray[np.bool_] | None, b: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.bool_] | None:
    """What is in ``a`` alone."""
    return a if a is None or b is None else a & ~b


def _paint(
    picture: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.bool_],
    color: tuple[int, int, int],
    opacity: float,
) -> None:
    """Colour what a mask covers; a single pixel of it shows, however small the picture is."""
    size = (picture.shape[1], picture.shape[0])
    covered = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    mixed = (1 - opacity) * picture[covered] + opacity * np.array(color, np.float64)
    picture[covered] = np.rint(mixed).astype(np.uint8)


def _small(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return picture
    size = (max(round(scale * width), 1), max(round(scale * height), 1))
    return cast("npt.NDArray[np.uint8]", cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _image(picture: npt.NDArray[np.uint8], alt: str, scale: float = 1.0) -> Markup:
    height, width = (max(round(scale * side), 1) for side in picture.shape[:2])
    return element(
        "img", src=_data_uri(picture), alt=alt, width=width, height=height, class_="picture"
    )


def _data_uri(picture: npt.NDArray[np.uint8]) -> str:
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"


def _swatch(color: tuple[int, int, int], name: str) -> Markup:
    blue, green, red = color
    return element("span", element("i", style=f"background:rgb({red},{green},{blue})"), name)
