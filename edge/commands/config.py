"""``linesight config example|show``: a file to start from, and the values in force."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge.commands.options import add_config

EXAMPLE = """\
# LineSight station. Every key that is commented out shows its default.
# `linesight check --config FILE` says everything that is wrong with this file.

[station]
node = "door-1"                 # this station's id: A-Z a-z 0-9 _ -, at most 64
task = "face_mask"              # or "steel_defect"
# root = "linesight"            # the first levels of every MQTT topic
# state_dir = "/var/lib/linesight"   # the outbox; or systemd's StateDirectory
# models_dir = "/srv/models"    # searched before /usr/share/linesight/models and the wheel's

[[camera]]                      # one table a camera
id = "entrance"
source = "v4l2:///dev/video0"   # or 0, rtsp://…, a video file, a folder, synthetic://blobs
# width, height, fps            # asked of the driver; without them it chooses
# mailbox = "latest"            # "every" for files: judge each frame, never skip

[models]
# detector = "face_detector"
# classifier = "mask_classifier"
# segmenter = "steel_defect"    # of a steel_defect station, which has neither of those
# variant = "auto"              # or float32 float16 dynamic int8 int16x8

[inference]
# workers = 1
# threads = 2                   # of each interpreter
# max_age_ms = 1000             # a live frame older than this is not judged

[rule]
# raise_at = 0.6                # an alert begins when hits of the last of frames reach this,
# clear_at = 0.4                # and ends when as many are below this, or the person is lost
# hits = 5                      # steel_defect: 1
# of = 8                        # steel_defect: 1
# holdoff_s = 10                # steel_defect: 0

[mqtt]
# host = "localhost"            # another host needs ca (TLS), or insecure = true in writing
# port = 1883                   # 8883 with ca
# protocol = "5"                # "3.1.1" hides refused messages
# username = "door-1"
# password_file = "/etc/linesight/mqtt-password"   # mode 0600
# ca, cert, key = PEM files
# insecure = false
# ack = "broker"
# allow_commands = []

[outbox]
# max_rows = 100000
# max_mb = 64
# rate_per_s = 0.1              # alerts a camera may send on average (steel_defect: 20),
# burst = 20                    # and at once (steel_defect: 2000)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define ``example`` and ``show``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("example", help="print a commented station.toml")
    show = actions.add_parser("show", help="print every value in force; secrets are masked")
    add_config(show)


def run(args: argparse.Namespace) -> int:
    """Print the example, or the effective values as JSON with the configuration's hash."""
    if args.action == "example":
        sys.stdout.write(EXAMPLE)
        return 0
    from edge import config

    loaded = config.load(Path(args.config))
    text = json.dumps({"config": loaded.fingerprint, **loaded.effective()}, indent=2)
    sys.stdout.write(text + "\n")
    return 0
