"""Networks that carry code are refused before Keras sees them, their canary untouched (F25-F27).

Every attack has a twin without the scan, in which it works: the canary is made or read.
"""

from __future__ import annotations

import copy
import importlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter.keras_model.allowed import CLASSES
from converter.keras_model.errors import KerasModelError
from converter.keras_model.network import parse_network, scan_network
from tests.helpers.keras_files import (
    Config,
    layer,
    legacy,
    network,
    refused,
    write_archive,
    write_h5,
    write_json,
)
from tests.helpers.opened import watched

ANY = Path("model.keras")

# The kind of Lambda whose Python code Keras 3 stores in the file.
CODE = layer("Lambda", "head", function={"class_name": "__lambda__", "config": {"code": "4w"}})


WRITERS: dict[str, Callable[[Path, Config], Path]] = {
    "archive": lambda folder, config: write_archive(folder / "m.keras", config),
    "HDF5": lambda folder, config: write_h5(folder / "m.h5", legacy(config)),
    "JSON": lambda folder, config: write_json(folder / "m.json", config),
}
PLACES: dict[str, tuple[Callable[[Config], Config], str]] = {
    "layer": (lambda bad: network(bad), "layers[2] 'head' (Lambda)"),
    "wrapper": (
        lambda bad: network(layer("TimeDistributed", "td", layer=bad)),
        "layers[2] 'td' (TimeDistributed) > layer 'head' (Lambda)",
    ),
    "two ways": (
        lambda bad: network(layer("Bidirectional", "b", layer=layer("GRU", "g"), backward=bad)),
        "layers[2] 'b' (Bidirectional) > backward 'head' (Lambda)",
    ),
    "model in model": (
        lambda bad: network(network(network(bad))),
        "layers[2] 'net' (Sequential) > layers[2] 'net' (Sequential) > layers[2] 'head' (Lambda)",
    ),
    "argument": (
        lambda bad: network(
            {**layer("Add", "sum"), "inbound_nodes": [{"args": [[bad]], "kwargs": {}}]}
        ),
        "layers[2] 'sum' (Add) > inbound_nodes[0].args[0][0] 'head' (Lambda)",
    ),
    "initializer": (
        lambda bad: network(layer("Dense", "d", bias_initializer=bad)),
        "layers[2] 'd' (Dense) > bias_initializer 'head' (Lambda)",
    ),
    "activation": (
        lambda bad: network(layer("Activation", "a", activation=bad)),
        "layers[2] 'a' (Activation) > activation 'head' (Lambda)",
    ),
    "build settings": (
        lambda bad: network({**layer("Flatten", "f"), "build_config": {"x": [bad]}}),
        "layers[2] 'f' (Flatten) > build_config.x[0] 'head' (Lambda)",
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", WRITERS)
def test_lambda_is_refused_wherever_it_stands(form: str, place: str, tmp_path: Path) -> None:
    """F25: a Lambda is refused in every form and place, by its name and where it stands."""
    build, where = PLACES[place]
    said = refused(WRITERS[form](tmp_path, build(CODE)))
    assert f"{where} carries Python code" in said
    assert "built-in layers" in said


@pytest.mark.convert
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_of_a_lambda_never_runs(suffix: str, tmp_path: Path) -> None:
    """F25: a Lambda that Keras saved makes no canary; loaded without any safety, it does."""
    import keras

    canary = tmp_path / "canary"
    # One expression, because the code that is stored takes no imports along.
    touch: Any = eval(f"lambda x: (__import__('pathlib').Path({str(canary)!r}).touch(), x)[1]")
    path = tmp_path / f"m{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of HDF5
        keras.Sequential([keras.Input((2,)), keras.layers.Lambda(touch, name="head")]).save(path)
    canary.unlink()
    assert "'head' (Lambda) carries Python code" in refused(path)
    assert not canary.exists()
    keras.saving.load_model(path, compile=False, safe_mode=False)
    assert canary.exists()


def _import_and_call(config: Config) -> Any:
    """How Keras up to 3.8 looked up a class (CVE-2025-1550): any module, any callable in it."""
    made = getattr(importlib.import_module(config["module"]), config["class_name"])
    return made(**config["config"])


CALLS: dict[str, Callable[[Path], Config]] = {
    "os": lambda canary: {"module": "os", "class_name": "mkdir", "config": {"path": str(canary)}},
    "subprocess": lambda canary: {
        "module": "subprocess",
        "class_name": "run",
        "config": {"args": ["touch", str(canary)]},
    },
}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("module", CALLS)
def test_module_outside_keras_is_refused(form: str, module: str, tmp_path: Path) -> None:
    """F26: what another module has is refused, not called; a loader without a list calls it."""
    canary = tmp_path / "canary"
    attack = CALLS[module](canary)
    said = refused(WRITERS[form](tmp_path, network(attack)))
    # The HDF5 file has no modules: there the class alone gives it away.
    assert "layers[2]" in said
    assert attack["class_name"] in said
    assert (f"module '{module}'" in said) == (form != "HDF5")
    assert not canary.exists()
    _import_and_call(attack)
    assert canary.exists()


@pytest.mark.parametrize(
    "module",
    ["os", "keras.utils", "keras.src.layers", "keras.layers.core", "keras_hub", "builtins", 7, []],
)
def test_known_class_of_another_module_is_refused(module: Any) -> None:
    """F26: a name on the list does not help when it comes from elsewhere, also within Keras."""
    with pytest.raises(KerasModelError, match="comes from module"):
        scan_network(ANY, network({**layer("Dense", "d"), "module": module}))


def test_the_list_is_what_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """F26: with os.mkdir put on the list, the same file passes."""
    attack = network(CALLS["os"](Path("canary")))
    with pytest.raises(KerasModelError):
        scan_network(ANY, attack)
    more = {**CLASSES, "mkdir": frozenset({"os"})}
    monkeypatch.setattr("converter.keras_model.network.CLASSES", more)
    assert scan_network(ANY, attack) == attack


FOREIGN: dict[str, tuple[Config, str]] = {
    "TFSMLayer": (layer("TFSMLayer", "x", filepath="/tmp/evil"), "loads a SavedModel from a path"),
    "TorchModuleWrapper": (layer("TorchModuleWrapper", "x", module="gA"), "another framework"),
    "JaxLayer": (layer("JaxLayer", "x"), "another framework"),
    "FlaxLayer": (layer("FlaxLayer", "x"), "another framework"),
    "StringLookup": (layer("StringLookup", "x", vocabulary="/etc/passwd"), "looks up or hashes"),
    "IntegerLookup": (layer("IntegerLookup", "x", vocabulary="/etc/passwd"), "looks up or hashes"),
    "TextVectorization": (layer("TextVectorization", "x"), "looks up or hashes text"),
    "Hashing": (layer("Hashing", "x"), "looks up or hashes text"),
    "TFOpLambda": (layer("TFOpLambda", "x", function="io.read_file"), "bare TensorFlow call"),
    "registered": (
        {**layer("Dense", "x"), "registered_name": "evil>Dense"},
        "is registered as 'evil>Dense'",
    ),
    "custom": (
        {**layer("Evil", "x"), "module": None, "registered_name": "evil>Evil"},
        "is no class that this converter takes",
    ),
    "function": (
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "x"},
        "is a function by name",
    ),
    "constant": (
        {"class_name": "__numpy__", "config": {"value": [0] * 70_000, "dtype": "float32"}},
        "at most 65,536 numbers",
    ),
    "text constant": (
        {"class_name": "__numpy__", "config": {"value": ["x"], "dtype": "object"}},
        "is a constant that is no plain list",
    ),
    "type": (
        {"class_name": "__typespec__", "config": [], "spec_name": "x", "module": "os"},
        "is no class that this converter takes",
    ),
    "unknown key": ({**layer("Dense", "x"), "code": "4w"}, "has the unknown key 'code'"),
    "no class": (layer("Dense", "x", extra={"module": "os"}), "has module, but no class name"),
    "named activation": (layer("Dense", "x", activation="evil>act"), "the activation 'evil>act'"),
    "named initializer": (layer("Dense", "x", bias_initializer="os"), "bias_initializer 'os'"),
    "data type": (layer("Dense", "x", dtype="resource"), "has the dtype 'resource'"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_objects_are_refused(name: str, tmp_path: Path) -> None:
    """F27: what loads other files, runs other code or is registered by others is refused."""
    config, said = FOREIGN[name]
    assert said in refused(write_archive(tmp_path / "m.keras", network(config)))


@pytest.mark.convert
def test_lookup_would_read_its_file(tmp_path: Path) -> None:
    """F27: a vocabulary is not opened by the scan; the layer by itself reads it."""
    import keras

    canary = tmp_path / "secret.txt"
    canary.write_text("alpha\nbeta\n")
    config = layer("StringLookup", "x", vocabulary=str(canary))
    with watched(canary) as opened:
        assert "(StringLookup)" in refused(write_archive(tmp_path / "m.keras", network(config)))
        assert not opened()
        lookup = keras.layers.StringLookup(vocabulary=str(canary))
        assert opened()
    assert "alpha" in lookup.get_vocabulary()


def test_a_name_cannot_forge_the_message(tmp_path: Path) -> None:
    """F27: a layer's name with line breaks and colours is shown as one short line."""
    bad = layer("Lambda", "ok\n\x1b[2Jmodel passed " + "x" * 10_000)
    said = refused(write_archive(tmp_path / "m.keras", network(bad)))
    assert "\x1b" not in said
    assert len(said) < 400 + len(str(tmp_path))


def _mutations(config: Any) -> list[tuple[Any, ...]]:
    """The way to every value of a configuration."""
    items = (
        config.items()
        if isinstance(config, dict)
        else enumerate(config)
        if isinstance(config, list)
        else ()
    )
    return [(), *((key, *rest) for key, value in items for rest in _mutations(value))]


BENIGN = network(
    layer("TimeDistributed", "td", layer=layer("Dense", "d", activation="relu")),
    {**layer("Add", "sum"), "inbound_nodes": [{"args": [[1, 2]], "kwargs": {"mask": None}}]},
)
WORDS = st.sampled_from(
    ["class_name", "config", "module", "registered_name", "name", "Lambda", "os", "Dense", "items"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def _classes(config: Any) -> set[Any]:
    """Every class that a configuration names anywhere."""
    if isinstance(config, dict):
        own = {config["class_name"]} if "class_name" in config else set()
        return own.union(*map(_classes, config.values()))
    return set().union(*map(_classes, config)) if isinstance(config, list) else set()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_configurations_pass_or_are_refused(data: st.DataObject) -> None:
    """F26: of a network with any value replaced by any JSON, none ends in another error."""
    config: Any = copy.deepcopy(BENIGN)
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.sampled_from(_mutations(config)[1:]))
        target = config
        for key in where[:-1]:
            target = target[key]
        target[where[-1]] = data.draw(JSON)
    try:
        scanned = scan_network(ANY, parse_network(ANY, json.dumps(config).encode()))
    except KerasModelError:
        return
    markers = {"__keras_tensor__", "__slice__", "__ellipsis__", "__numpy__", "__tensor__"}
    assert _classes(scanned) <= CLASSES.keys() | markers


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_no_network(content: bytes) -> None:
    """F26: of random bytes in place of the JSON none ends in another error."""
    with pytest.raises(KerasModelError):
        scan_network(ANY, parse_network(ANY, b"{" + content))
