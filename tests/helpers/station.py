"""``linesight run`` as a process of its own, with the two tiny fixture bundles."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.fakes import wait_until
from tests.helpers.bundles import FIXTURES

ROOT = Path(__file__).resolve().parents[2]

PLAYFUL = "synthetic://blobs?faces=2&fps=15&mask_from=15&mask_to=30"
"""Two bare faces that put masks on after a second and take them off a second later."""


def config_text(
    state_dir: Path,
    port: int,
    cameras: Mapping[str, str],
    *,
    workers: int = 1,
    extra: str = "",
) -> str:
    """A station.toml; alerts come quickly and are not limited."""
    tables = "\n".join(
        f'[[camera]]\nid = "{name}"\nsource = "{source}"' for name, source in cameras.items()
    )
    return f"""
[station]
node = "n1"
task = "face_mask"
state_dir = "{state_dir}"
models_dir = "{FIXTURES}"
{tables}
[models]
detector = "blob_detector"
classifier = "tint_classifier"
[inference]
workers = {workers}
threads = 1
[rule]
hits = 2
of = 3
holdoff_s = 0.0
[mqtt]
host = "127.0.0.1"
port = {port}
[outbox]
rate_per_s = 10000.0
burst = 100000
{extra}
"""


class Station:
    """One ``linesight run``; started by the constructor, killed when the block ends.

    Parameters
    ----------
    folder
        Gets ``station.toml``, the state directory and the log.
    text
        The configuration, see ``config_text``.
    arguments
        Further arguments of the verb.
    environment
        Further variables.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log_path = folder / "log"
        config = folder / "station.toml"
        config.write_text(text)
        self.began = time.monotonic()
        with self.log_path.open("ab") as log:
            self._log_from = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge", "run", "--config", str(config), *arguments],
                cwd=ROOT,
                stdout=subprocess.PIPE if "--stdout" in arguments else log,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )

    @property
    def log(self) -> str:
        """What it has written to stderr so far."""
        return self.log_path.read_bytes()[self._log_from :].decode()

    def wait_for_log(self, text: str, timeout_s: float = 20.0) -> None:
        """Wait until the log holds a text."""
        wait_until(
            lambda: text in self.log or self.process.poll() is not None,
            timeout_s,
            f"{text!r} in: {self.log}",
        )
        assert text in self.log, self.log

    def terminate(self, timeout_s: float = 15.0) -> tuple[int, float]:
        """Send SIGTERM; the exit code and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s), time.monotonic() - began

    def wait(self, timeout_s: float = 30.0) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        self.process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        if self.process.stdout is not None and not self.process.stdout.closed:
            self.process.communicate()
        self.process.wait(10)
