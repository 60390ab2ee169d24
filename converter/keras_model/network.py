"""The configuration of a network: JSON that names the classes Keras would build, and runs nothing.

Every object at any depth (layers, layers in wrappers, nested models, initializers, arguments of
calls) must be of a class in :mod:`~converter.keras_model.allowed` and come from Keras's own module.
The scan gives back a copy without what trains a model: compile settings are never handed to Keras.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from converter.keras_model.allowed import CLASSES, NAMES, NETWORKS, REFUSED
from converter.keras_model.errors import KerasModelError

#: Bytes of JSON that a network may have; that of EfficientNetB7 has 0.7 MB.
MAX_BYTES = 16 * 2**20
_MAX_VALUES = 1_000_000
_MAX_DEPTH = 60
_MAX_NUMBERS = 65_536
_SHOWN = 60

_KEYS = {"module", "class_name", "config", "registered_name", "build_config", "name"}
_KEYS |= {"inbound_nodes", "shared_object_id", "backend", "keras_version"}
_TRAINING = frozenset({"compile_config", "training_config", "optimizer_config"})
_TENSORS = frozenset({"__tensor__", "__numpy__"})
# The markers that stand for a tensor, a slice or "..." in the arguments of a call.
_MARKERS = frozenset({"__keras_tensor__", "__slice__", "__ellipsis__"}) | _TENSORS
# How older Keras wrote a tuple or a shape.
_SEQUENCES = frozenset({"__tuple__", "TensorShape"})


def parse_network(path: Path, text: bytes) -> Any:
    """JSON as plain values, when it is small enough to be a network.

    Parameters
    ----------
    path
        Named in messages.
    text
        UTF-8, also with a byte order mark.

    Raises
    ------
    KerasModelError
        Too big, too many or too deep values, a key twice in one object, no JSON.
    """
    if len(text) > MAX_BYTES:
        raise KerasModelError(f"{path}: the network's JSON has more than {MAX_BYTES >> 20} MiB")
    # Counted before parsing: a million small lists take a hundred times their text in memory.
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise KerasModelError(f"{path}: the network's JSON has more than {_MAX_VALUES:,} values")
    try:
        return json.loads(text.decode("utf-8-sig"), object_pairs_hook=_unique)
    except _TwiceError as error:
        raise KerasModelError(f"{path}: the network's JSON has a key twice: {error}") from error
    except RecursionError as error:
        raise _too_deep(path) from error
    except ValueError as error:
        raise KerasModelError(
            f"{path}: the network's JSON is damaged: {error}", hint="copy it again"
        ) from error


def scan_network(path: Path, config: Any) -> dict[str, Any]:
    """Check a network's configuration; returns a copy of it without compile settings.

    Parameters
    ----------
    path
        Named in messages.
    config
        ``{class_name, config}`` as Keras 1 and 2 write it, or with ``module`` and
        ``registered_name`` as Keras 3 does.

    Raises
    ------
    KerasModelError
        Names the first object that is not of the allow-list: where it stands, its name and class.
    """
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise KerasModelError(
            f"{path}: is JSON, but not the network of a Keras model",
            hint="write it with model.to_json()",
        )
    scanned: dict[str, Any] = _Scan(path).object(config, "", "the model", 0)
    if scanned["class_name"] not in NETWORKS:
        raise KerasModelError(
            f"{path}: holds a single {_shown(scanned['class_name'])}, not a network",
            hint="save the whole model: model.save(…)",
        )
    return scanned


class _TwiceError(ValueError):
    """A key stands twice in one JSON object, so two readers may see different networks."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError(_shown(Counter(key for key, _ in pairs).most_common(1)[0][0]))
    return found


def _too_deep(path: Path) -> KerasModelError:
    return KerasModelError(f"{path}: the network's JSON is nested deeper than {_MAX_DEPTH} levels")


def _shown(text: object) -> str:
    """A name out of the file, fit for one line."""
    line = "".join(c if c.isprintable() else "?" for c in str(text)[: _SHOWN + 1])
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


class _Scan:
    """One pass over one configuration."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def object(self, value: dict[str, Any], outer: str, place: str, depth: int) -> Any:
        """A dictionary that names a class.

        ``outer`` names the object around it, ``place`` is the way from there.
        """
        kind, config = value["class_name"], value.get("config")
        label = self._label(value, outer, place)
        if not isinstance(kind, str):
            self._refuse(label, "has a class name that is no text")
        if kind in _SEQUENCES and value.keys() == {"class_name", "items"}:
            return self.value(value["items"], label, "items", depth + 1)
        if kind in _MARKERS:
            self._marker(label, kind, config)
        else:
            self._class(label, kind, value)
        if unknown := sorted(map(_shown, value.keys() - _KEYS - _TRAINING)):
            self._refuse(label, f"has the unknown key {unknown[0]!r}")
        # Old Sequential models list their layers without a dictionary around them.
        if not isinstance(config, dict) and not (kind == "Sequential" and isinstance(config, list)):
            self._refuse(label, "has no configuration")
        inner = label if outer or place != "the model" else ""
        return {
            key: self.value(item, inner, "" if key == "config" else key, depth + 1)
            for key, item in value.items()
            if key not in _TRAINING
        }

    def value(self, value: Any, outer: str, place: str, depth: int) -> Any:
        """Any value; a copy of it."""
        if depth > _MAX_DEPTH:
            raise _too_deep(self._path)
        if isinstance(value, dict):
            if "class_name" in value:
                return self.object(value, outer, place, depth)
            if found := {"module", "registered_name"} & value.keys():
                self._refuse(self._join(outer, place), f"has {min(found)}, but no class name")
            return {
                key: self.value(item, outer, f"{place}.{key}" if place else key, depth + 1)
                for key, item in value.items()
                if key not in _TRAINING
            }
        if isinstance(value, list):
            return [
                self.value(item, outer, f"{place or 'layers'}[{index}]", depth + 1)
                for index, item in enumerate(value)
            ]
        if isinstance(value, str):
            self._name(value, outer, place)
        return value

    def _class(self, label: str, kind: str, value: dict[str, Any]) -> None:
        if kind in REFUSED:
            what, hint = REFUSED[kind]
            self._refuse(label, what, hint)
        module, registered = value.get("module"), value.get("registered_name")
        foreign = "nothing outside Keras is loaded: rebuild it of built-in layers and save again"
        if kind not in CLASSES:
            of = f" of module {_shown(module)!r}" if module else ""
            self._refuse(label, f"is no class that this converter takes{of}", foreign)
        if registered not in (None, kind):
            self._refuse(label, f"is registered as {_shown(registered)!r}", foreign)
        if module is not None and (not isinstance(module, str) or module not in CLASSES[kind]):
            self._refuse(label, f"comes from module {_shown(module)!r}, not from Keras's", foreign)

    def _marker(self, label: str, kind: str, config: Any) -> None:
        if kind not in _TENSORS:
            return
        numbers = config.get("value") if isinstance(config, dict) else None
        if _count(numbers) > _MAX_NUMBERS:
            self._refuse(
                label,
                f"is a constant that is no plain list of at most {_MAX_NUMBERS:,} numbers",
                "keep it in a weight of a layer",
            )

    def _name(self, value: str, outer: str, place: str) -> None:
        """A text where Keras looks up an object by its name."""
        key = place.rpartition(".")[2]
        for ending, known in NAMES.items():
            if (key == ending or key.endswith(f"_{ending}")) and value not in known:
                self._refuse(
                    outer or "the model",
                    f"has the {key} {_shown(value)!r}, which Keras does not have built in",
                    f"use one of {', '.join(sorted(known)[:8])} …",
                )

    def _label(self, value: dict[str, Any], outer: str, place: str) -> str:
        config = value.get("config")
        names = (config.get("name") if isinstance(config, dict) else None, value.get("name"))
        name = next((f" '{_shown(name)}'" for name in names if isinstance(name, str)), "")
        return f"{self._join(outer, place)}{name} ({_shown(value['class_name'])})"

    def _join(self, outer: str, place: str) -> str:
        return f"{outer} > {_shown(place)}" if outer else _shown(place)

    def _refuse(self, label: str, what: str, hint: str = "") -> NoReturn:
        raise KerasModelError(f"{self._path}: {label} {what}", hint=hint)


def _count(value: Any) -> float:
    """How many numbers a nested list holds; infinite when anything else is in it."""
    pending, count = [value], 0
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, int | float):
            count += 1
        else:
            return math.inf
    return count
