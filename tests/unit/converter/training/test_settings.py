"""The `[training]` table."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from converter.training.settings import ClassifierTraining, DetectorTraining, Training

TABLE: TypeAdapter[Training] = TypeAdapter(Training)


def test_kind_picks_the_settings() -> None:
    """The same table of another kind is another model."""
    assert isinstance(TABLE.validate_python({"kind": "face_detector"}), DetectorTraining)
    assert isinstance(TABLE.validate_python({"kind": "mask_classifier"}), ClassifierTraining)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"kind": "face_finder"},
        {"kind": "face_detector", "hight": 384},
        {"kind": "face_detector", "height": 380},
        {"kind": "mask_classifier", "minutes": 0},
    ],
    ids=["no kind", "unknown kind", "misspelt key", "height not a multiple of 32", "no time"],
)
def test_a_mistake_is_refused(table: dict[str, object]) -> None:
    """Unknown kinds, unknown keys and values out of range never reach a training."""
    with pytest.raises(ValidationError):
        TABLE.validate_python(table)
