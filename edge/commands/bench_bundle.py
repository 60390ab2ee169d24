"""``linesight bench BUNDLE``: every variant on this machine; ``--write`` keeps the fastest."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from edge.commands.options import add_config, quiet_service
from edge.commands.targets import STATIONS, bundles_of, chosen_variant
from edge.commands.variants import Choice, Measured, choose, measure
from edge.config import load
from edge.contract.bundle import Bundle, find_bundle, search_path
from edge.contract.choice import check_choice, write_choice
from edge.contract.manifest import VariantName
from edge.demo.progress import progress
from edge.demo.summary import percentiles
from edge.errors import ConfigError, LineSightError, UsageError

THREADS = 2
"""Of each interpreter, unless somebody says otherwise; ``[inference].threads`` begins there too."""

# The disk may be in a better state another time; everything else needs people.
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


@dataclass(frozen=True, slots=True)
class Keeper:
    """The station that a choice is for.

    ``named_by`` is what named ``state_dir``; ``fixed`` is its ``[models].variant``, empty when that
    is ``auto`` or not known.
    """

    bundles: Sequence[Bundle]
    threads: int
    state_dir: Path
    named_by: str
    fixed: str = ""


def add_write(parser: argparse.ArgumentParser) -> None:
    """``--write``, and which station's choice it is."""
    parser.add_argument(
        "--write",
        action="store_true",
        help="measure every variant (of a station: of its models) and keep the fastest as the "
        "choice of the station that --config names",
    )
    place = parser.add_mutually_exclusive_group()
    add_config(place)
    place.add_argument(
        "--state-dir",
        metavar="DIR",
        type=Path,
        help="with --write and --threads: the station's state directory, without its station.toml",
    )


def run(args: argparse.Namespace, out: TextIO) -> dict[str, Any]:
    """Measure the variants, say which is best here and why, keep that if asked to.

    Returns
    -------
    dict
        What goes into the report: of a bundle ``variants``, ``refused``, ``choice``; of a station
        the same under ``bundles.<name>``.

    Raises
    ------
    UsageError
        The arguments contradict each other, or there is no such target.
    ConfigError
        The configuration or its state directory cannot be used.
    ModelError, EngineError
        A bundle has no variant that can be used here, or ``choice.json`` is broken.
    LineSightError
        The disk fails now.
    """
    keeper = _keeper(args) if args.write else None
    bundles = bundles_of(args.target, args.models) if keeper is None else keeper.bundles
    threads = (args.threads or THREADS) if keeper is None else keeper.threads
    out.write("".join(f"{bundle.manifest.name}, {bundle.path}\n" for bundle in bundles))
    out.flush()
    wanted = [_variants(bundle, args.variant) for bundle in bundles]
    if keeper is not None:
        with _writing(keeper):
            check_choice(keeper.state_dir)
    reports: dict[str, dict[str, Any]] = {}
    choices: list[tuple[Bundle, Choice]] = []
    for bundle, variants in zip(bundles, wanted, strict=True):
        with quiet_service(args.verbose), progress("bench") as update:
            measured = measure(bundle, variants, threads, args.seconds, update)
        report = reports[bundle.manifest.name] = _report(measured)
        _tell(measured, out)
        if args.variant == "auto":
            choice = choose(measured, threads)
            choices.append((bundle, choice))
            report["choice"] = choice_report(choice)
            out.write(choice_line(bundle, choice) + "\n")
    if keeper is not None:
        _keep(keeper, choices, reports, out)
    if args.target in STATIONS:
        return {"bundles": reports}
    (report,) = reports.values()
    return report


def _keeper(args: argparse.Namespace) -> Keeper:
    if args.variant != "auto":
        raise UsageError(
            f"--variant {args.variant}: --write chooses among all variants",
            hint="leave --variant out, or set [models].variant of the station",
        )
    if args.state_dir is not None:
        if args.threads is None:
            raise UsageError(
                "--state-dir: needs --threads N, the threads of each interpreter of the station",
                hint="or name its station.toml with --config",
            )
        bundles = bundles_of(args.target, args.models)
        return Keeper(bundles, args.threads, args.state_dir, "--state-dir")
    if args.threads is not None:
        raise UsageError(
            f"--threads {args.threads}: --write measures for the station's own [inference].threads",
            hint="leave --threads out, or name --state-dir in place of a station.toml",
        )
    config = load(Path(args.config))
    if args.target in STATIONS:  # those that this station runs, as `linesight run` finds them
        search = search_path(args.models, config.station.models_dir)
        names = (config.models.detector, config.models.classifier)
        bundles = [find_bundle(name, search) for name in names]
    else:
        bundles = bundles_of(args.target, args.models)
    return Keeper(
        bundles,
        config.inference.threads,
        config.station.state_dir,
        "station.state_dir",
        "" if config.models.variant == "auto" else config.models.variant,
    )


def _variants(bundle: Bundle, wanted: str) -> list[VariantName]:
    if wanted == "auto":
        return list(bundle.manifest.variants)
    return [chosen_variant(bundle, wanted)]


def _keep(
    keeper: Keeper,
    choices: Sequence[tuple[Bundle, Choice]],
    reports: dict[str, dict[str, Any]],
    out: TextIO,
) -> None:
    with _writing(keeper):
        path = write_choice(
            keeper.state_dir, {bundle.manifest.name: choice.variant for bundle, choice in choices}
        )
    for report in reports.values():
        report["choice"]["file"] = str(path)
        if keeper.fixed:
            report["choice"]["overruled_by"] = keeper.fixed
    out.write(f"written to {path}: the station takes it when it starts\n")
    if keeper.fixed:
        out.write(
            f"but [models].variant of this station is {keeper.fixed!r}: "
            "the choice has no effect before that is 'auto'\n"
        )


@contextmanager
def _writing(keeper: Keeper) -> Iterator[None]:
    """What the disk says against the choice, as one of our errors."""
    try:
        yield
    except OSError as error:
        place = error.filename or keeper.state_dir
        text = f"{keeper.named_by}: {place}: choice not writable: {error.strerror}"
        if error.errno in _PASSING:
            raise LineSightError(text, hint="look at the disk: full or worn out?") from error
        raise ConfigError(
            text,
            hint="the state directory must be there, and this user must be able to write in it",
        ) from error


def _report(measured: Measured) -> dict[str, Any]:
    report: dict[str, Any] = {
        "variants": {
            variant: {
                "threads": {str(count): percentiles(times) for count, times in by_threads.items()}
            }
            for variant, by_threads in measured.times_ms.items()
        }
    }
    if measured.refused:
        report["refused"] = dict(measured.refused)
    return report


def choice_report(choice: Choice) -> dict[str, Any]:
    """The choice as it stands in the JSON."""
    report: dict[str, Any] = {
        "variant": choice.variant,
        "threads": choice.threads,
        "reason": choice.reason,
    }
    if choice.ratio:
        report["ratio"] = {name: round(value, 3) for name, value in choice.ratio.items()}
    return report


def _tell(measured: Measured, out: TextIO) -> None:
    lines = [f"{'variant':<10} {'threads':>7} {'p50':>9} {'p95':>9} {'p99':>9}"]
    for variant, by_threads in measured.times_ms.items():
        for count, times in by_threads.items():
            shown = " ".join(f"{value:6.2f} ms" for value in percentiles(times).values())
            lines.append(f"{variant:<10} {count:>7} {shown}")
    lines += [f"{variant:<10} not timed: {why}" for variant, why in measured.refused.items()]
    out.write("\n".join(lines) + "\n")


def choice_line(bundle: Bundle, choice: Choice) -> str:
    """The choice for people."""
    threads = "1 thread" if choice.threads == 1 else f"{choice.threads} threads"
    line = (
        f"{bundle.manifest.name} with {threads}: {choice.variant}, "
        f"{choice.p50_ms:.3g} ms, {choice.reason}"
    )
    others = ", ".join(f"{name} ×{ratio:.2f}" for name, ratio in choice.ratio.items())
    return f"{line}; time of the others: {others}" if others else line
