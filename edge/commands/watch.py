"""``linesight watch``: every station under a root, live in the terminal."""

from __future__ import annotations

import argparse
import contextlib
import time

from edge.commands.brokers import add_broker, broker_of
from edge.commands.options import add_json, positive, text_stream, write_json
from edge.demo.screen import TICK_S, Screen
from edge.demo.subscriber import Subscriber
from edge.demo.summary import fleet_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The broker, and when to end."""
    add_broker(parser)
    parser.add_argument("--seconds", type=positive, help="end after so long (default: at Ctrl-C)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Show what is heard until time is up or Ctrl-C; both are a good end."""
    settings, root = broker_of(args)
    end = None if args.seconds is None else time.monotonic() + args.seconds
    title = f"LineSight {root} at {settings.host}:{settings.port}"
    with Subscriber(settings, root) as subscriber:
        out = text_stream(args.json)
        with contextlib.suppress(KeyboardInterrupt), Screen(subscriber, title, out) as screen:
            while end is None or time.monotonic() < end:
                time.sleep(TICK_S)  # until the screen is drawn again; Ctrl-C ends it
                screen.tick()
        write_json(args.json, fleet_report(subscriber.fleet, root))
    return 0
