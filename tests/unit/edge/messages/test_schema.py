"""The schema files that ship with the package."""

from __future__ import annotations

import json
from pathlib import Path

import edge.messages
from edge.messages import schemas
from edge.messages.payloads import PUBLISHED

FOLDER = Path(str(edge.messages.__file__)).with_name("schemas")


def test_files_are_those_of_the_code() -> None:
    """The files are what the models generate now; write ``schemas()`` there when they differ."""
    assert {file.name: file.read_text() for file in FOLDER.iterdir()} == schemas()


def test_one_for_each_published_payload() -> None:
    """Each schema id has its file, which names it, and asks for ``schema`` in the payload."""
    found = {json.loads(text)["$id"]: json.loads(text) for text in schemas().values()}
    assert set(found) == set(PUBLISHED)
    for identifier, schema in found.items():
        assert schema["properties"]["schema"]["const"] == identifier
        assert "schema" in schema["required"]


def test_nothing_is_null() -> None:
    """No schema allows null: what does not apply is absent."""
    assert not any('"null"' in text for text in schemas().values())
