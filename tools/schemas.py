"""Write the JSON Schema files that ship with the package, from the models that they describe."""

from __future__ import annotations

import sys
from pathlib import Path

from edge.contract.manifest import json_schema
from edge.messages import schemas

EDGE = Path(__file__).parent.parent / "edge"


def main() -> None:
    """Write every file."""
    texts = {EDGE / "messages" / "schemas" / name: text for name, text in schemas().items()}
    texts[EDGE / "contract" / "manifest.schema.json"] = json_schema()
    for path, text in sorted(texts.items()):
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(EDGE.parent)}\n")


if __name__ == "__main__":
    main()
