"""The ``linesight-convert`` command: arguments, exit codes, one clear line when something is wrong.

Exit codes: 0 ok, 1 failed at run time or a gate not met, 2 usage, 69 the convert extra is not
there, 78 recipe, data or model, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from edge import __version__
from edge.errors import ExtraAbsent, LineSightError, UsageError

_ENVIRONMENT: Mapping[str, str] = {
    # Read when the libraries are loaded, so they must stand before any verb is imported.
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "tensorflow",
    "OPENCV_LOG_LEVEL": "FATAL",
    "OPENCV_IO_MAX_IMAGE_PIXELS": "16777216",
}

_PACKAGES = frozenset({"ai_edge_litert", "cv2", "h5py", "keras", "numpy", "pydantic", "tensorflow"})


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
    common.add_argument("recipe", type=Path, metavar="RECIPE", help="a model's recipe.toml")
    common.add_argument("--data", type=Path, metavar="DIR", help="the labelled pictures")
    parser = _Parser(
        prog="linesight-convert",
        description="Trains Keras models and turns them into bundles for LineSight.",
    )
    parser.add_argument("--version", action="version", version=f"linesight {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)

    text = "train the network that a recipe describes"
    train = verbs.add_parser("train", help=text, description=text, parents=[common])
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="where model.keras goes (default: build/NAME)"
    )
    train.add_argument("--resume", action="store_true", help="go on from where it was interrupted")
    train.set_defaults(run=_train)

    text = "turn a trained Keras model into a bundle"
    convert = verbs.add_parser("convert", help=text, description=text, parents=[common])
    convert.add_argument(
        "--keras", type=Path, metavar="FILE", help="the model (default: build/NAME/model.keras)"
    )
    convert.add_argument(
        "--out", type=Path, metavar="DIR", help="the bundle (default: the recipe's folder)"
    )
    convert.add_argument(
        "--skip-failed",
        action="store_true",
        help="leave out a variant that misses its gate, instead of writing nothing",
    )
    convert.set_defaults(run=_convert)
    return parser


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
    model = train(recipe.training, data, out, resume=args.resume, progress=_say)
    _say(f"wrote {model}")
    return 0


def _convert(args: argparse.Namespace) -> int:
    from converter.recipe import load_recipe

    file = load_recipe(args.recipe)
    data = _data(args, "int8 learns its ranges from them and every variant is judged on them")
    from converter.bundle import make_bundle

    out = args.out or args.recipe.absolute().parent
    keras = args.keras or Path("build", file.recipe.name, "model.keras")
    manifest = make_bundle(file, keras, data, out, skip_failed=args.skip_failed, say=_say)
    _say(f"wrote {out}: {', '.join(manifest.variants)}")
    return 0


def _data(args: argparse.Namespace, why: str) -> Path:
    if args.data is None:
        raise UsageError(f"--data DIR is missing: {why}", hint="name the labelled pictures")
    return Path(args.data)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


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
