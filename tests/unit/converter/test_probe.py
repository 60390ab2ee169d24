"""The model tells its preprocessing: what counts as better, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.gate import GateNotMet
from converter.parity import HeldBack, Score
from converter.probe import Alternative, Probe, alternatives, check_probe, probe
from converter.recipe import Recipe, load_recipe
from converter.representative import split_items
from edge.contract.bundle import Bundle, load_bundle
from edge.contract.manifest import InputSpec, Normalize
from edge.engines import open_engine
from edge.evaluation import Decision
from tests.helpers.bundles import TINT_CLASSIFIER
from tests.helpers.labelled import write_labelled

ROOT = Path(__file__).resolve().parents[3]


def _recipe() -> Recipe:
    return load_recipe(ROOT / "models" / "mask_classifier" / "recipe.toml").recipe


def _probe(*found: Alternative) -> Probe:
    return Probe(0.9, 240, found)


def test_alternatives_change_one_thing_each() -> None:
    """Colour, four other ranges and the resize are tried, each with all the rest as it is."""
    spec = _recipe().input_spec
    tried = dict(alternatives(spec))
    changes = [
        [key for key in InputSpec.model_fields if getattr(other, key) != getattr(spec, key)]
        for other in tried.values()
    ]
    assert sorted(changes) == [["color"], *[["normalize"]] * 4, ["resize"]]
    assert tried['input.color = "BGR"'].color == "BGR"
    assert tried['input.resize.mode = "letterbox"'].resize.mode == "letterbox"


def test_own_range_is_no_alternative() -> None:
    """A range written in other numbers is known as the same; a grey input has no colour order."""
    spec = _recipe().input_spec
    same = spec.model_copy(update={"normalize": Normalize(mean=(127.0,) * 3, std=(128.0,) * 3)})
    grey = InputSpec(
        name="image",
        shape=(1, 64, 64, 1),
        color="GRAY",
        resize=spec.resize,
        normalize=Normalize(mean=(0.0,), std=(255.0,)),
    )
    assert not any("[-1, 1]" in change for change, _ in alternatives(same))
    tried = [change for change, _ in alternatives(grey)]
    assert not any("color" in change or "[0, 1]" in change for change in tried)


@pytest.mark.parametrize(
    ("lead", "gain", "sigma", "better"),
    [
        (3.0, 0.1, 12.0, True),
        (0.2, 0.1, 12.0, False),  # surer only: more contrast does that
        (3.0, 0.001, 12.0, False),  # too little to matter
        (3.0, 0.1, 1.5, False),  # chance
    ],
)
def test_better_needs_all_three(lead: float, gain: float, sigma: float, better: bool) -> None:
    """Another preprocessing counts when more is right, and more sure, beyond chance."""
    assert Alternative("x", 0.95, lead, gain, sigma).better is better


def test_refusal_names_the_key_to_change() -> None:
    """The best of the better ones is named with both figures; trust_input lets it pass."""
    recipe = _recipe()
    found = _probe(
        Alternative('input.color = "BGR"', 0.97, 5.0, 0.2, 20.0),
        Alternative('input.resize.mode = "letterbox"', 0.93, 2.0, 0.05, 8.0),
    )
    with pytest.raises(GateNotMet, match=r"wrong preprocessing: .* input\.color = \"BGR\"") as said:
        check_probe(recipe, found)
    assert "accuracy 0.9700 against 0.9000 on 240" in said.value.message
    trusted = recipe.gate.model_copy(update={"trust_input": True})
    check_probe(recipe.model_copy(update={"gate": trusted}), found)
    check_probe(recipe, _probe(Alternative('input.color = "BGR"', 0.4, -9.0, -0.5, -40.0)))


def _tint(color: str) -> tuple[Recipe, Bundle]:
    """The fixture's classifier of colours, with a manifest that says ``color``."""
    recipe = _recipe()
    given = load_bundle(TINT_CLASSIFIER)
    spec = given.manifest.input.model_copy(update={"color": color})
    small = recipe.input.model_copy(
        update={"size": (32, 32), "color": color, "normalize": spec.normalize}
    )
    changed = given.manifest.model_copy(update={"input": spec})
    return recipe.model_copy(update={"input": small}), Bundle(given.path, changed)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_planted_color_order_is_found(color: str, tmp_path: Path) -> None:
    """A network of RGB is refused under a recipe that says BGR, and passes under its own."""
    write_labelled(tmp_path / "data", photos=40, crops=40)
    recipe, bundle = _tint(color)
    held_back = HeldBack.of(recipe, tmp_path / "data", split_items(recipe, tmp_path / "data"))
    engine = open_engine(bundle, "float32")
    found = probe(recipe, bundle.manifest, engine, held_back)
    engine.close()
    if color == "RGB":
        check_probe(recipe, found)
    else:
        with pytest.raises(GateNotMet, match=r'better with input\.color = "RGB"'):
            check_probe(recipe, found)


def test_score_keeps_what_was_decided(tmp_path: Path) -> None:
    """Every held-back item has its decision, in the same order for every run."""
    write_labelled(tmp_path / "data", photos=20, crops=20)
    recipe, bundle = _tint("RGB")
    held_back = HeldBack.of(recipe, tmp_path / "data", split_items(recipe, tmp_path / "data"))
    engine = open_engine(bundle, "float32")
    scores: list[Score] = [held_back.judge(bundle.manifest, engine) for _ in range(2)]
    engine.close()
    assert scores[0].decisions == scores[1].decisions
    assert len(scores[0].decisions) == scores[0].n == len(held_back.items)
    assert all(isinstance(decision, Decision) for decision in scores[0].decisions)
    right = sum(decision.said == decision.truth for decision in scores[0].decisions)
    assert scores[0].value == right / scores[0].n
