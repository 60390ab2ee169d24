"""Which variants a station runs when nobody has measured yet: a glance at its first start."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path

from edge.commands.variants import choose, glance
from edge.config import Config
from edge.contract.bundle import Bundle, find_bundle, search_path
from edge.contract.choice import check_choice, read_choice, write_choice
from edge.errors import GoldenMismatch, ModelError
from edge.modelcheck import check_bundle

LIMIT_S = 0.75
"""For each bundle, since a start must stay quick: what takes longer stays undecided, the default
runs, and the next start looks again."""

_log = logging.getLogger(__name__)


def settle(config: Config, models: Path | None) -> None:
    """Measure what ``auto`` means for bundles that ``choice.json`` does not name, and keep that.

    Does nothing where ``[models].variant`` names a variant, or where the choice cannot be kept:
    a station that decides anew at each start would change its numbers from start to start.

    Parameters
    ----------
    config
        The station's.
    models
        Searched for bundles before all other places.

    Raises
    ------
    ModelError
        A bundle is missing or its manifest is wrong.
    RuntimeAbsent
        There is no runtime.
    """
    if config.models.variant != "auto":
        return
    search = search_path(models, config.station.models_dir)
    bundles = [find_bundle(name, search) for name in config.bundles]
    state_dir = config.station.state_dir
    known = read_choice(state_dir)
    open_ones = [
        b for b in bundles if b.manifest.name not in known and len(b.manifest.variants) > 1
    ]
    if not open_ones:
        return
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_choice(state_dir)
        _tried(open_ones, config.inference.threads, state_dir)
        found = _measured(open_ones, config.inference.threads)
        if found:
            write_choice(state_dir, found)
    except (OSError, ModelError) as error:  # only a preference: the default runs as well
        _log.warning("no variant was chosen by measuring: %s", error)


def _tried(bundles: list[Bundle], threads: int, state_dir: Path) -> None:
    """A file that would end this process is met in another one; the glance leaves out the rest."""
    for bundle in bundles:
        for variant in bundle.manifest.variants:
            with suppress(GoldenMismatch):
                check_bundle(bundle, variant, threads=threads, cache_dir=state_dir)


def _measured(bundles: list[Bundle], threads: int) -> dict[str, str]:
    """Bundle name → variant, of those that time was left for."""
    found: dict[str, str] = {}
    for bundle in bundles:
        name = bundle.manifest.name
        measured = glance(bundle, threads, time.monotonic() + LIMIT_S)
        if measured is None:
            _log.info("model %s: too slow for a glance; linesight bench --write measures it", name)
            continue
        choice = choose(measured, threads)
        found[name] = choice.variant
        others = ", ".join(f"{key} ×{ratio:.1f}" for key, ratio in choice.ratio.items())
        _log.info(
            "model %s: %s takes %.3g ms here, %s (%s)",
            name,
            choice.variant,
            choice.p50_ms,
            choice.reason,
            f"others: {others}" if others else "no other",
        )
    return found
