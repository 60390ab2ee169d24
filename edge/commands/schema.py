"""``linesight schema``: the JSON Schemas of everything that other programs read."""

from __future__ import annotations

import argparse
import sys

from edge.contract.manifest import json_schema
from edge.errors import UsageError
from edge.messages.schema import schemas

MANIFEST = "manifest.schema.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which one."""
    parser.add_argument("name", nargs="?", help="one schema's file name; without it, list them")


def run(args: argparse.Namespace) -> int:
    """Print the names of all schemas, or one schema.

    Raises
    ------
    UsageError
        There is no such schema.
    """
    texts = {**schemas(), MANIFEST: json_schema()}
    if args.name is None:
        sys.stdout.write("".join(f"{name}\n" for name in sorted(texts)))
        return 0
    for name in (args.name, f"{args.name}.schema.json", f"{args.name}.1.schema.json"):
        if name in texts:
            sys.stdout.write(texts[name])
            return 0
    raise UsageError(f"no schema {args.name!r}", hint=f"there are {', '.join(sorted(texts))}")
