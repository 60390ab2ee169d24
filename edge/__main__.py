"""``python -m edge`` is ``linesight``."""

import sys

from edge.cli import main

sys.exit(main())
