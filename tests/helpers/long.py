"""Whether the fault tests run in their long form: ``LINESIGHT_FAULTS_LONG=1``."""

from __future__ import annotations

import os

LONG = os.environ.get("LINESIGHT_FAULTS_LONG") == "1"
