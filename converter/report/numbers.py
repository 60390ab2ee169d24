"""How figures are written: the same unit and the same digits all over the page."""

from __future__ import annotations

import math

from converter.parity import PERFECT_DB

NONE = "–"
"""Stands where nothing was measured."""

MINUS = "−"


def fixed(value: float | None, digits: int = 4) -> str:
    """With so many decimals, and a thousands separator."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return "not finite"
    rounded = round(value, digits) + 0.0
    return f"{rounded:,.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 4) -> str:
    """As ``fixed``, with its sign; nothing has none."""
    text = fixed(value, digits)
    return f"+{text}" if value is not None and round(value, digits) > 0 else text


def decibel(value: float) -> str:
    """A ratio of powers; beyond what float32 resolves there is only a least one."""
    return f"≥ {PERFECT_DB:g}" if value >= PERFECT_DB else fixed(value, 1)


def given(value: float) -> str:
    """What a person wrote into the recipe, as it stands there."""
    return f"{value:g}"


def short(value: float) -> str:
    """With three significant digits."""
    return f"{value:.3g}".replace("-", MINUS) if math.isfinite(value) else "not finite"


def percent(share: float | None, digits: int = 2) -> str:
    """A share in [0, 1] as a percentage; the unit stands in the head."""
    return fixed(None if share is None else 100 * share, digits)


def whole(value: int | None) -> str:
    """A count."""
    return NONE if value is None else f"{value:,}"
