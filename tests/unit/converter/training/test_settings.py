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


@pytest.mark.parametrize("kind", ["face_detector", "mask_classifier", "segmenter"])
@pytest.mark.parametrize(("fraction", "last"), [(0.15, 5), (0.2, 4), (1 / 3, 2), (0.85, 0)])
def test_the_last_fold_is_the_last_whole_share(kind: str, fraction: float, last: int) -> None:
    """A fold that ends within the pictures is taken; the next one is refused by its key."""
    table = {"kind": kind, "picture_fraction": fraction, "fold": last}
    if kind == "segmenter":
        table |= {"labels": ["scratch"], "sources": ["steel"]}
    assert TABLE.validate_python(table).fold == last
    with pytest.raises(ValidationError, match=rf"fold: {last + 1} holds no .* share is {last}"):
        TABLE.validate_python(table | {"fold": last + 1})
