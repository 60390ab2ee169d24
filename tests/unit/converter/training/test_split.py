"""The split is deterministic and leaks no near-twin."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from converter.training.split import faces_bin, split_crops, split_pictures


def picture(seed: int) -> np.ndarray:
    """Smooth random picture, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (96, 80), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """45 crops a label; every third has a near-twin beside it: smaller and brighter."""
    for k, label in enumerate(("with_mask", "without_mask")):
        folder = tmp_path / "crops" / label
        folder.mkdir(parents=True)
        for i in range(45):
            image = picture(100 * k + i)
            cv2.imwrite(str(folder / f"bal_{i:03}.png"), image)
            if i % 3 == 0:
                twin = cv2.resize(image, (70, 60))
                cv2.imwrite(
                    str(folder / f"kaa_{i:03}.png"), cv2.convertScaleAbs(twin, alpha=0.9, beta=12)
                )
    return tmp_path


def test_near_twins_stay_together(crops: Path) -> None:
    """No picture trains while its near-twin judges."""
    split = split_crops(crops, fraction=0.3)
    number = {(p.parent.name, p.stem[4:]) for p in split.validation}
    assert number
    assert not number & {(p.parent.name, p.stem[4:]) for p in split.train}


def test_split_is_whole_and_of_the_wanted_size(crops: Path) -> None:
    """Each picture is on exactly one side, and each label gives its share."""
    split = split_crops(crops, fraction=0.3)
    assert len({*split.train, *split.validation}) == len(split.train) + len(split.validation) == 120
    for label in ("with_mask", "without_mask"):
        assert sum(p.parent.name == label for p in split.validation) == pytest.approx(18, abs=2)


def test_split_depends_on_the_seed_only(crops: Path, tmp_path: Path) -> None:
    """The same seed gives the same split wherever the data lies and however they are listed."""
    split = split_crops(crops, seed=3)
    moved = tmp_path / "moved"
    moved.mkdir()
    (crops / "crops").rename(moved / "crops")
    again = split_crops(moved, seed=3)
    assert [p.relative_to(moved) for p in again.validation] == [
        p.relative_to(crops) for p in split.validation
    ]
    assert split_crops(moved, seed=4).validation != again.validation


def test_folds_hold_back_every_picture_once(crops: Path) -> None:
    """Five folds of a fifth are disjoint and whole, near-twins together in each."""
    strata = {p: p.parent.name for p in (crops / "crops").rglob("*.png")}
    folds = [split_pictures(strata, fraction=0.2, seed=7, fold=k).validation for k in range(5)]
    assert sorted(p for fold in folds for p in fold) == sorted(strata)
    assert all(fold for fold in folds)
    for fold in folds:
        numbers = {(p.parent.name, p.stem[4:]) for p in fold}
        others = {(p.parent.name, p.stem[4:]) for p in strata if p not in fold}
        assert not numbers & others


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    """A broken file ends the split with its name."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        split_pictures({broken: "all"}, fraction=0.5, seed=1)


def test_ranges_of_faces_are_those_of_the_evaluation() -> None:
    """The borders of the ranges lie where the evaluation has them."""
    names = [faces_bin(n) for n in (0, 1, 2, 5, 6, 17, 18, 99)]
    assert names == ["0", "1", "2-5", "2-5", "6-17", "6-17", "18+", "18+"]
