"""What a model decided on one item, so that two models can be compared item by item."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """One item of an evaluation.

    Parameters
    ----------
    picture
        Its name.
    item
        Which face or label of the picture; 0 when the picture is the item.
    truth, said
        What is true and what the model says: a label; ``found`` or ``missed`` for a labelled face;
        ``present`` or ``absent`` for a label of a segmentation.
    score
        The score that the model gives to what is true, in [0, 1].
    """

    picture: str
    item: int
    truth: str
    said: str
    score: float
