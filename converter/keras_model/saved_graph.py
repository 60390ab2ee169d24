"""A SavedModel folder: every operator of its graph is read, none is run.

Its functions must be of the operators in :mod:`~converter.keras_model.allowed_operators`. The two
functions that TensorFlow adds to write and read checkpoints may be there, but nothing may call them
and the model may not offer them: TensorFlow 2 restores variables by itself.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from converter.keras_model.allowed_operators import OPERATORS, REFUSED, SAVER_OPERATORS
from converter.keras_model.archive import MAX_MODEL_BYTES
from converter.keras_model.errors import KerasModelError
from converter.keras_model.protobuf import DamagedMessageError, fields, parts, text

GRAPH = "saved_model.pb"
_READ = re.compile(
    r"saved_model\.pb|fingerprint\.pb|variables/variables\.(index|data-\d{5}-of-\d{5})"
)
# Other forms of the graph: TensorFlow would take the first of these before the one we read.
_OTHER_GRAPHS = ("saved_model.cpb", "saved_model.pbtxt")
_MAX_FILES = 1000
_MAX_NODES = 1_000_000
_MAX_ATTRIBUTE_DEPTH = 8
_INFERENCE = "export the network alone, without its preprocessing of files: model.export(…)"

# Field numbers of TensorFlow's messages.
_META_GRAPHS = 2
_GRAPH_DEF, _ASSETS, _OBJECTS = 2, 6, 7
_GRAPH_NODES, _LIBRARY, _FUNCTIONS = 1, 2, 1
_SIGNATURE, _SIGNATURE_NAME, _FUNCTION_NODES, _FUNCTION_ATTRIBUTES = 1, 1, 3, 5
_NODE_NAME, _NODE_OPERATOR, _NODE_ATTRIBUTES = 1, 2, 5
_MAP_VALUE = 2
_LIST, _TENSOR, _FUNCTION, _LIST_TENSORS, _LIST_FUNCTIONS = 1, 8, 10, 8, 9
_CALLED_NAME, _CALLED_ATTRIBUTES = 1, 2
_TENSOR_DTYPE, _TENSOR_SHAPE, _SHAPE_DIMENSIONS, _DIMENSION_SIZE = 1, 2, 2, 1
_OBJECT_NODES, _CONCRETE_FUNCTIONS, _MAP_KEY = 1, 2, 1
_ASSET, _VARIABLE, _RESOURCE, _REGISTERED_NAME, _REGISTERED_SAVER = 5, 7, 10, 13, 16
_OFFERED_FUNCTION, _OFFERED_BARE, _OFFERED_NAMES = 6, 8, 1
# Data types whose values are handles or objects of a running TensorFlow.
_HANDLES = frozenset({20, 21, 120, 121})
_ELEMENT_BYTES = 4


@dataclass(slots=True)
class _Function:
    """What one function, or the main graph, holds."""

    name: str
    operators: dict[str, str] = field(default_factory=dict)  # operator → the first node of it
    calls: set[str] = field(default_factory=set)
    stands_in: bool = False  # TensorFlow may call it instead of another one

    @property
    def place(self) -> str:
        return f"in function {_shown(self.name)}" if self.name else "in the main graph"


def scan_saved_model(folder: Path) -> list[Path]:
    """Check a SavedModel; returns the files of it that TensorFlow reads.

    Raises
    ------
    KerasModelError
        Names the operator, the node and the function that it stands in; links, assets, a graph of
        TensorFlow 1 and damaged files too.
    """
    files = _files(folder)
    path = folder / GRAPH
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        _Scan(path).model(content)
    except (DamagedMessageError, ValueError) as error:
        if isinstance(error, KerasModelError):
            raise
        raise KerasModelError(
            f"{path}: is a damaged or truncated SavedModel: {error}", hint="copy the folder again"
        ) from error
    return files


def _files(folder: Path) -> list[Path]:
    """All files, once it is sure that they lie in the folder."""
    found, total = [], 0
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            raise KerasModelError(
                f"{path}: is a link or a special file in a SavedModel",
                hint="copy the folder with the files themselves: cp -rL",
            )
        if name in _OTHER_GRAPHS:
            raise KerasModelError(
                f"{path}: is a second graph beside {GRAPH}",
                hint="export the model again into an empty folder",
            )
        if name.startswith("assets/"):
            raise KerasModelError(
                f"{path}: is an asset, which a network of numbers does not need", hint=_INFERENCE
            )
        if _READ.fullmatch(name):
            found.append(path)
            total += path.stat().st_size
    if total > MAX_MODEL_BYTES:
        raise KerasModelError(f"{folder}: has {total / 2**30:.1f} GiB, the limit is 2 GiB")
    return sorted(found)


def _walk(folder: Path) -> Iterator[Path]:
    """Everything in a folder but folders; links to folders as they are."""
    pending, seen = [folder], 0
    while pending:
        for path in sorted(pending.pop().iterdir()):
            seen += 1
            if seen > _MAX_FILES:
                raise KerasModelError(f"{folder}: has more than {_MAX_FILES:,} files")
            if path.is_dir() and not path.is_symlink():
                pending.append(path)
            else:
                yield path


class _Scan:
    """One pass over one graph."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._nodes = 0
        self._bytes = 0

    def model(self, content: memoryview) -> None:
        """The whole message: graph, functions and objects."""
        graphs = parts(content, _META_GRAPHS)
        if len(graphs) != 1:
            self._refuse(f"holds {len(graphs)} graphs, not one", "export the model again")
        (graph,) = graphs
        if not parts(graph, _OBJECTS):
            self._refuse(
                "is a graph of TensorFlow 1, which runs operators while it is loaded",
                "load it with TensorFlow 2 and save it again",
            )
        if parts(graph, _ASSETS):
            self._refuse("names assets, which a network of numbers does not need", _INFERENCE)
        main, functions = _Function(""), []
        for definition in parts(graph, _GRAPH_DEF):
            for node in parts(definition, _GRAPH_NODES):
                self._node(node, main)
            for library in parts(definition, _LIBRARY):
                functions += [self._function(f) for f in parts(library, _FUNCTIONS)]
        offered = {name for objects in parts(graph, _OBJECTS) for name in self._objects(objects)}
        self._judge(main, functions, offered)

    def _function(self, definition: memoryview) -> _Function:
        names = [
            text(name)
            for signature in parts(definition, _SIGNATURE)
            for name in parts(signature, _SIGNATURE_NAME)
        ]
        if len(names) != 1:
            raise DamagedMessageError("has a function without a single name")
        function = _Function(names[0])
        for attribute in parts(definition, _FUNCTION_ATTRIBUTES):
            keys = map(text, parts(attribute, _MAP_KEY))
            function.stands_in |= "api_implements" in keys
        for node in parts(definition, _FUNCTION_NODES):
            self._node(node, function)
        return function

    def _node(self, node: memoryview, function: _Function) -> None:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            self._refuse(f"has more than {_MAX_NODES:,} nodes", "")
        name, operators = "", []
        for number, value in fields(node):
            if isinstance(value, int):
                continue
            if number == _NODE_NAME:
                name = text(value)
            elif number == _NODE_OPERATOR:
                operators.append(text(value))
            elif number == _NODE_ATTRIBUTES:
                self._attribute(value, function, 0)
        if len(operators) != 1:
            raise DamagedMessageError("has a node without a single operator")
        function.operators.setdefault(operators[0], name)

    def _attribute(self, entry: memoryview, function: _Function, depth: int) -> None:
        """The functions that an attribute of a node calls, and the size of its constants."""
        if depth > _MAX_ATTRIBUTE_DEPTH:
            raise DamagedMessageError("has attributes in attributes without end")
        for value in parts(entry, _MAP_VALUE):
            called, tensors = parts(value, _FUNCTION), []
            for number, part in fields(value):
                if isinstance(part, int):
                    continue
                if number == _TENSOR:
                    tensors.append(part)
                elif number == _LIST:
                    called += parts(part, _LIST_FUNCTIONS)
                    tensors += parts(part, _LIST_TENSORS)
            for call in called:
                function.calls |= {text(name) for name in parts(call, _CALLED_NAME)}
                for nested in parts(call, _CALLED_ATTRIBUTES):
                    self._attribute(nested, function, depth + 1)
            for tensor in tensors:
                self._tensor(tensor, "a constant")

    def _tensor(self, tensor: memoryview, what: str) -> None:
        """A constant or a variable: its memory, from its shape."""
        if any(n == _TENSOR_DTYPE and value in _HANDLES for n, value in fields(tensor)):
            self._refuse(f"has {what} that is no number", _INFERENCE)
        for shape in parts(tensor, _TENSOR_SHAPE):
            sizes = [
                max(value, 0) if value < 2**63 else 0  # beyond: negative, an open size
                for dimension in parts(shape, _SHAPE_DIMENSIONS)
                for number, value in fields(dimension)
                if number == _DIMENSION_SIZE and isinstance(value, int)
            ]
            self._bytes += _ELEMENT_BYTES * math.prod(sizes)
        if self._bytes > MAX_MODEL_BYTES:
            self._refuse(f"has {what} with which its tensors take more than 2 GiB", "")

    def _objects(self, objects: memoryview) -> Iterator[str]:
        """The names of the functions that the model offers to whoever loads it."""
        for entry in parts(objects, _CONCRETE_FUNCTIONS):
            yield from map(text, parts(entry, _MAP_KEY))
        refused = {
            _ASSET: "names an asset",
            _RESOURCE: "has a table or another resource",
            _REGISTERED_NAME: "has an object of a registered Python class",
            _REGISTERED_SAVER: "has an object with a saver of its own",
        }
        for node in parts(objects, _OBJECT_NODES):
            for number, value in fields(node):
                if isinstance(value, int):
                    continue
                if number in refused and (len(value) or number != _REGISTERED_NAME):
                    self._refuse(refused[number], _INFERENCE)
                if number == _VARIABLE:
                    self._tensor(value, "a variable")
                elif number in (_OFFERED_FUNCTION, _OFFERED_BARE):
                    yield from map(text, parts(value, _OFFERED_NAMES))

    def _judge(self, main: _Function, functions: list[_Function], offered: set[str]) -> None:
        known = {function.name for function in functions}
        if len(known) != len(functions) or known & (OPERATORS | SAVER_OPERATORS):
            self._refuse("has two functions, or a function and an operator, of one name", "")
        # A function's name may also stand where an operator's does.
        called = offered.union(
            *(function.calls | (function.operators.keys() & known) for function in functions)
        )
        for function in (main, *functions):
            saver = not (function is main or function.name in called or function.stands_in)
            allowed = OPERATORS | known | (SAVER_OPERATORS if saver else frozenset())
            for operator, node in function.operators.items():
                if operator not in allowed:
                    what = REFUSED.get(operator, "is none that a network needs")
                    self._refuse(
                        f"node {_shown(node)} {function.place} is the operator "
                        f"{_shown(operator)}, which {what}",
                        _INFERENCE,
                    )
            if unknown := function.calls - known:
                self._refuse(
                    f"{_shown(min(unknown))} is called {function.place}, but is no function of it",
                    _INFERENCE,
                )

    def _refuse(self, what: str, hint: str) -> NoReturn:
        raise KerasModelError(f"{self._path}: {what}", hint=hint)


def _shown(name: str) -> str:
    return repr(name[:80])
