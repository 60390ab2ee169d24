"""The ``linesight-convert`` command: arguments, exit codes, one clear line when something is wrong.

Exit codes: 0 ok, 1 failed at run time or a gate not met, 2 usage, 69 the convert extra is not
there, 78 recipe, data or model, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from converter.say import Say
from edge import __version__
from edge.errors import ExtraAbsent, LineSightError, UsageError

if TYPE_CHECKING:
    from converter.process import Limits

_ENVIRONMENT: Mapping[str, str] = {
    # Read when the libraries are loaded, so they must stand before any verb is imported.
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "tensorflow",
    "OPENCV_LOG_LEVEL": "FATAL",
    "OPENCV_IO_MAX_IMAGE_PIXELS": "16777216",
}

_PACKAGES = frozenset(
    {"ai_edge_litert", "cv2", "h5py", "keras", "matplotlib", "numpy", "pydantic", "tensorflow"}
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"linesight-convert: {message} (see `{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the process's exit code.

    Raises
    ------
    SystemExit
        ``--help``, ``--version``, or wrong arguments, as argparse does.
    """
    args = _parser().parse_args(argv)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)]
    logging.basicConfig(level=level, format="linesight-convert: %(levelname)s %(message)s")
    try:
        code: int = args.run(args)
    except KeyboardInterrupt:
        sys.stderr.write("linesight-convert: interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if args.debug:
            raise
        return _report(error)
    return code


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("-v", "--verbose", action="count", default=0, help="say more (-vv: all)")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    limits = _Parser(add_help=False)
    limits.add_argument(
        "--weights", type=Path, metavar="FILE", help="of a network that is a JSON file"
    )
    limits.add_argument(
        "--memory",
        type=float,
        default=4.0,
        metavar="GIB",
        help="most memory of the process that loads the model (default: %(default)g)",
    )
    limits.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="most time of one step of that process (default: %(default)g)",
    )
    parser = _Parser(
        prog="linesight-convert",
        description="Trains Keras models and turns them into bundles for LineSight.",
    )
    parser.add_argument("--version", action="version", version=f"linesight {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)

    def verb(
        name: str, text: str, run: Callable[[argparse.Namespace], int], *parents: _Parser
    ) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text, parents=[common, *parents])
        added.set_defaults(run=run)
        return added

    train = verb("train", "train the network that a recipe describes", _train)
    _add_recipe(train)
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="where model.keras goes (default: build/NAME)"
    )
    train.add_argument("--resume", action="store_true", help="go on from where it was interrupted")

    convert = verb("convert", "turn a trained Keras model into a bundle", _convert, limits)
    _add_recipe(convert)
    convert.add_argument(
        "--keras", type=Path, metavar="FILE", help="the model (default: build/NAME/model.keras)"
    )
    convert.add_argument(
        "--out", type=Path, metavar="DIR", help="the bundle (default: the recipe's folder)"
    )
    convert.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="what was measured, to look at (default: build/NAME/report.html)",
    )
    convert.add_argument(
        "--skip-failed",
        action="store_true",
        help="leave out a variant that misses its gate, instead of writing nothing",
    )

    again = verb("verify", "repeat a bundle's gate on this machine", _verify)
    again.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle's folder")
    again.add_argument("--data", type=Path, metavar="DIR", help="the labelled pictures")
    again.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")

    inspect = verb("inspect", "explain a .tflite file or a Keras model", _inspect, limits)
    inspect.add_argument("model", type=Path, metavar="FILE", help=".tflite, or a Keras model")
    inspect.add_argument("--json", type=Path, metavar="FILE", help="write the facts there")

    init = verb("init", "write a commented recipe for a Keras model", _init, limits)
    init.add_argument("model", type=Path, metavar="MODEL", help="the Keras model")
    init.add_argument("--out", type=Path, metavar="FILE", help="the recipe (default: recipe.toml)")
    return parser


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a model's recipe.toml")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the labelled pictures")


def _train(args: argparse.Namespace) -> int:
    from converter.recipe import load_recipe

    recipe = load_recipe(args.recipe).recipe
    if recipe.training is None:
        raise UsageError(
            f"{args.recipe}: has no table [training]",
            hint="train the model elsewhere, then `linesight-convert convert --keras FILE`",
        )
    data = _data(args, "there is nothing to learn from")
    from converter.representative import check_data
    from converter.training import train

    check_data(recipe, data)
    out = args.out or Path("build", recipe.name)
    out.mkdir(parents=True, exist_ok=True)
    model = train(recipe.training, data, out, resume=args.resume, progress=_say())
    _say()(f"wrote {model}")
    return 0


def _convert(args: argparse.Namespace) -> int:
    from converter.recipe import load_recipe

    file = load_recipe(args.recipe)
    data = _data(args, "int8 learns its ranges from them and every variant is judged on them")
    from converter.extra import check_extra

    check_extra("tensorflow", "keras", "h5py", "matplotlib")
    from converter.bundle import check_outcome, write_bundle
    from converter.conversion import Request, run
    from converter.folder import check_target
    from converter.report import write_report

    out = args.out or args.recipe.absolute().parent
    check_target(out)
    name = file.recipe.name
    keras = args.keras or Path("build", name, "model.keras")
    say = _say()
    outcome = run(Request(file, keras, data, args.weights, _limits(args)), say)
    report = args.report or Path("build", name, "report.html")
    write_report(outcome, report)
    say(f"wrote {report}")
    check_outcome(outcome, skip_failed=args.skip_failed)
    for failure in outcome.failures.values():
        say(f"warning: left out: {failure.message}")
    manifest = write_bundle(outcome, out)
    say(f"wrote {out}: {', '.join(manifest.variants)}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    data = _data(args, "every variant is judged on them")
    from converter.verify import check_verification, verify

    verification = verify(args.bundle, data, _say())
    _write_json(args.json, verification.to_json())
    check_verification(verification)
    _say()(f"{args.bundle}: every variant holds its gate")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from converter.inspection import inspect

    facts = inspect(args.model, weights=args.weights, limits=_limits(args))
    sys.stdout.write("".join(f"{line}\n" for line in facts.lines()))
    _write_json(args.json, facts.to_json())
    return 0


def _init(args: argparse.Namespace) -> int:
    from converter.starter import write_recipe

    out = args.out or Path("recipe.toml")
    write_recipe(args.model, out, weights=args.weights, limits=_limits(args))
    _say()(f"wrote {out}: read it and mend what is marked, then")
    _say()(f"linesight-convert convert {out} --keras {args.model} --data DIR --out BUNDLE")
    return 0


def _limits(args: argparse.Namespace) -> Limits:
    from converter.process import Limits

    for name in ("memory", "timeout"):
        if not 0 < getattr(args, name) < math.inf:
            raise UsageError(f"--{name}: needs a number above 0, not {getattr(args, name):g}")
    return Limits(memory_bytes=int(args.memory * 2**30), seconds=args.timeout)


def _data(args: argparse.Namespace, why: str) -> Path:
    if args.data is None:
        raise UsageError(f"--data DIR is missing: {why}", hint="name the labelled pictures")
    return Path(args.data)


def _say() -> Say:
    return Say(sys.stdout)


def _write_json(path: Path | None, facts: Mapping[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _report(error: Exception) -> int:
    """One line on stderr for each thing that is wrong; the exit code."""
    if isinstance(error, ImportError) and not isinstance(error, LineSightError):
        package = (error.name or "").partition(".")[0]
        if package in _PACKAGES:
            error = ExtraAbsent(
                f"this needs the package {package!r}, which cannot be loaded: {error}",
                hint="pip install 'linesight[convert]'",
            )
    if isinstance(error, LineSightError):
        lines, code = str(error).splitlines(), error.exit_code
    elif isinstance(error, OSError):
        lines, code = [f"{error.filename or 'system'}: {error.strerror or error}"], 1
    else:
        text = " ".join(str(error).split())
        lines = [f"{type(error).__name__}: {text} (this is a bug; --debug shows where)"]
        code = 1
    for line in lines:
        sys.stderr.write(f"linesight-convert: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
