"""How a verb reaches the broker: by options, or as a station.toml says."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from edge.config import is_local, load, read_password
from edge.errors import UsageError
from edge.sinks.mqtt_settings import MqttSettings


def add_broker(parser: argparse.ArgumentParser) -> None:
    """``--config`` or ``--host`` and its companions."""
    parser.add_argument("--config", metavar="FILE", help="take broker and root from a station.toml")
    parser.add_argument("--host", default="localhost", help="the broker (default: %(default)s)")
    parser.add_argument("--port", type=int, help="default: 1883, with --ca 8883")
    parser.add_argument("--root", default="linesight", help="first levels of every topic")
    parser.add_argument("--protocol", choices=("5", "3.1.1"), default="5")
    parser.add_argument("--username")
    parser.add_argument("--password-file", metavar="FILE", type=Path, help="mode 0600")
    parser.add_argument("--ca", metavar="FILE", type=Path, help="the broker's CA: use TLS")
    parser.add_argument("--cert", metavar="FILE", type=Path, help="client certificate")
    parser.add_argument("--key", metavar="FILE", type=Path, help="its key")
    parser.add_argument("--insecure", action="store_true", help="permit plain TCP to another host")


def broker_of(args: argparse.Namespace) -> tuple[MqttSettings, str]:
    """The broker that the options of :func:`add_broker` name, and the root.

    Raises
    ------
    UsageError
        The options contradict each other.
    ConfigError
        The station.toml or the password file cannot be used.
    """
    if args.config is not None:
        from edge.app import mqtt_settings

        config = load(Path(args.config))
        # Not the station's client id, which would throw the station itself off the broker.
        return replace(mqtt_settings(config), client_id=""), config.station.root
    if args.ca is None and not args.insecure and not is_local(args.host):
        raise UsageError(
            f"--host {args.host}: plain TCP lets the network read and forge every message",
            hint="name the broker's CA with --ca for TLS, or add --insecure",
        )
    if (args.cert is None) != (args.key is None):
        raise UsageError("--cert and --key go together")
    port = args.port or (1883 if args.ca is None else 8883)
    settings = MqttSettings(
        host=args.host,
        client_id="",
        port=port,
        protocol=args.protocol,
        username=args.username,
        password=read_password(args.password_file),
        ca=args.ca,
        cert=args.cert,
        key=args.key,
        insecure=args.insecure,
    )
    return settings, args.root
