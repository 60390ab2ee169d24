"""What a training of ours left beside the Keras file: ``metrics.json``, held against the recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converter.recipe import Recipe
from converter.training.settings import SPLIT
from edge.contract.manifest import CenterDecode
from edge.errors import ConfigError


def read_training(keras_file: Path, recipe: Recipe) -> dict[str, Any]:
    """What the training measured, empty when there is nothing beside the Keras file.

    Raises
    ------
    ConfigError
        It split the data in another way than the recipe, so that the pictures which are held back
        here were learned from there; or the file is no JSON object.
    """
    path = keras_file.with_name("metrics.json")
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", hint="remove it") from error
    if not isinstance(metrics, dict):
        raise ConfigError(f"{path}: is no JSON object", hint="remove it")
    settings = metrics.pop("settings", None)
    for key in SPLIT if isinstance(settings, dict) else ():
        there, here = settings.get(key), getattr(recipe.training, key, None)
        if None not in (there, here) and there != here:
            raise ConfigError(
                f"{path}: the model was trained with training.{key} {there}, the recipe says "
                f"{here}: the held-back pictures would not be unseen",
                hint="train again, or set the recipe to what was trained",
            )
    return metrics


def trained_score(recipe: Recipe, metrics: Mapping[str, Any]) -> float | None:
    """The gate's metric as ``metrics.json`` of our trainings has it, None when it has none."""
    try:
        if recipe.task == "detection":
            return float(metrics["shipped"]["ap"])
        if recipe.task == "segmentation":
            return float(metrics["shipped"]["dice"]["mean"])
        parts = [metrics["validation"][source] for source in recipe.representative.sources]
        right = sum(float(part["accuracy"]) * int(part["n"]) for part in parts)
        return right / sum(int(part["n"]) for part in parts)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def threshold_warning(recipe: Recipe, metrics: Mapping[str, Any]) -> str:
    """What to say when a detector's recipe has another threshold than the training read off."""
    found = metrics.get("shipped")
    threshold = found.get("threshold") if isinstance(found, dict) else None
    if not isinstance(threshold, float) or not isinstance(recipe.decode, CenterDecode):
        return ""
    if abs(threshold - recipe.decode.threshold) <= 0.005:
        return ""
    return f"decode.threshold is {recipe.decode.threshold:g}, the training found {threshold:g}"
