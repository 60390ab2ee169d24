"""JSON Schemas of what goes on the wire, made from the models that encode it."""

from __future__ import annotations

import json
from typing import Any

from edge.messages.payloads import PUBLISHED


def schemas() -> dict[str, str]:
    """The text of every schema file, by file name; the package ships them in ``schemas/``."""
    texts = {}
    for identifier, model in PUBLISHED.items():
        name, _, version = identifier.removeprefix("linesight.").partition("/")
        schema = _absent_not_null(model.model_json_schema(by_alias=True))
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        schema["$id"] = identifier
        schema["required"] = sorted({*schema["required"], "schema"})
        text = json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False)
        texts[f"{name}.{version}.schema.json"] = text + "\n"
    return texts


def _absent_not_null(node: Any) -> Any:
    """Take out null and defaults: a key that does not apply is absent on the wire."""
    if isinstance(node, list):
        return [_absent_not_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    clean = {key: _absent_not_null(value) for key, value in node.items() if key != "default"}
    options = clean.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        [only] = [option for option in options if option != {"type": "null"}]
        del clean["anyOf"]
        clean = {**only, **clean}
    return clean
