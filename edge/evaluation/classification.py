"""Figures of a classifier: how often it is right. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MASK_INCORRECT = "mask_incorrect"
"""A true label that no model knows: a mask that does not cover mouth and nose."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of one face, what the classifier said, and, if known, where it came from."""

    truth: str
    said: str
    group: str | None


def classification_figures(
    verdicts: Sequence[Verdict], labels: Sequence[str]
) -> dict[str, Any] | None:
    """The section ``classification`` of an evaluation, None when nothing was judged.

    Truths that are not among ``labels`` are left out; ``mask_incorrect``, for which neither
    verdict is right, is reported beside the others and counts in no accuracy.
    """
    figures: dict[str, Any] = {}
    known = [verdict for verdict in verdicts if verdict.truth in labels]
    if known:
        confusion = {truth: dict.fromkeys(labels, 0) for truth in labels}
        groups: dict[str, list[bool]] = {}
        for verdict in known:
            confusion[verdict.truth][verdict.said] += 1
            if verdict.group is not None:
                groups.setdefault(verdict.group, []).append(verdict.truth == verdict.said)
        right = sum(confusion[label][label] for label in labels)
        figures["accuracy"] = right / len(known)
        figures["confusion"] = confusion
        if groups:
            figures["by_group"] = {
                group: {"accuracy": sum(rights) / len(rights), "n": len(rights)}
                for group, rights in sorted(groups.items())
            }
    incorrect = [verdict.said for verdict in verdicts if verdict.truth == MASK_INCORRECT]
    if incorrect:
        figures[MASK_INCORRECT] = {
            "n": len(incorrect),
            "as_mask": incorrect.count("with_mask") / len(incorrect),
        }
    return figures or None
