"""The recipe's training, once for each fold."""

from __future__ import annotations

import pytest

from tools.train_folds import RECIPE, settings_of


def test_each_fold_is_the_recipes_training_on_another_share() -> None:
    """Only what is held back, and for how long it trains, differs from the recipe."""
    first, last = (settings_of(RECIPE, fold, 5, 15.0) for fold in (0, 4))
    assert (first.fold, last.fold) == (0, 4)
    assert first.picture_fraction == last.picture_fraction == pytest.approx(0.2)
    assert first.model_copy(update={"fold": 4}) == last
    assert first.start_from_labeller


def test_from_scratch_changes_the_beginning_alone() -> None:
    """The road without another's weights differs from the one with them in nothing else."""
    with_weights = settings_of(RECIPE, 0, 5, 8.0)
    without = settings_of(RECIPE, 0, 5, 8.0, from_scratch=True)
    assert not without.start_from_labeller
    assert without.model_copy(update={"start_from_labeller": True}) == with_weights


def test_a_recipe_of_another_kind_is_refused() -> None:
    """Folds are for detectors."""
    with pytest.raises(TypeError, match="trains no detector"):
        settings_of(RECIPE.parents[1] / "mask_classifier" / "recipe.toml", 0, 5, 15.0)
