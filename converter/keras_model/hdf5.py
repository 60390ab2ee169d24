"""An HDF5 file of weights: walked link by link, never followed, before anything is read from it.

HDF5 can make a reader open other files (external links, external storage, virtual data sets,
filters that are loaded as plug-ins) and reserve memory that the file does not have. Only groups
and plain arrays that lie in the file itself pass.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import h5py

from converter.keras_model.archive import MAX_MODEL_BYTES
from converter.keras_model.errors import KerasModelError
from converter.keras_model.network import MAX_BYTES

_MAX_OBJECTS = 100_000
_MAX_RATIO = 100
# Below this an array that is not stored (all zeros) costs nothing.
_SMALL_BYTES = 2**16
_MAX_ELEMENTS = 100_000
_FILTERS = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32})
_LAYOUTS = frozenset({h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED})
_KINDS = frozenset({h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM})
_LINKS = {
    h5py.h5l.TYPE_SOFT: "is a soft link",
    h5py.h5l.TYPE_EXTERNAL: "is a link into another file",
}
_SAVE = "weights that Keras saved hold no such thing; save the model again with model.save(…)"


def scan_hdf5(path: Path, named: str = "") -> None:
    """Check that everything in an HDF5 file lies in the file, and is as big as it says.

    Parameters
    ----------
    path
        The file.
    named
        What messages call it; empty: its path.

    Raises
    ------
    KerasModelError
        Names the first object that is not a plain group, array or attribute; damaged files too.
    """
    try:
        file = h5py.h5f.open(bytes(path), h5py.h5f.ACC_RDONLY)
        try:
            _Scan(path, named or str(path)).walk(h5py.h5g.open(file, b"/"))
        finally:
            file.close()
    except KerasModelError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise KerasModelError(
            f"{named or path}: is a damaged or truncated HDF5 file: {reason}", hint="copy it again"
        ) from error


def read_text(path: Path, name: str) -> bytes | None:
    """A text attribute of the root of a scanned file, such as ``model_config``; None if absent."""
    with h5py.File(path, "r") as file:
        if name not in file.attrs:
            return None
        value = file.attrs[name]
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        # numpy's bytes are bytes, arrays and numbers are not.
        return bytes(value) if isinstance(value, bytes) else None


def has_root(path: Path, name: str) -> bool:
    """Whether a scanned file has an object of this name right below its root."""
    with h5py.File(path, "r") as file:
        return name in file


class _Scan:
    """One walk through one file."""

    def __init__(self, path: Path, named: str) -> None:
        self._named = named
        self._file_bytes = path.stat().st_size
        self._seen: set[int] = set()
        self._stored = 0
        self._unpacked = 0

    def walk(self, root: Any) -> None:
        """All groups, without recursion; the names only of what is a hard link."""
        pending = [(root, "")]
        while pending:
            group, name = pending.pop()
            self._attributes(group, name or "/")
            for link in group:
                below = f"{name}/{_shown(link)}"
                kind = group.links.get_info(link).type
                if kind != h5py.h5l.TYPE_HARD:
                    self._refuse(below, _LINKS.get(kind, "is a link of an unknown kind"))
                item = h5py.h5o.open(group, link)
                self._once(below, h5py.h5o.get_info(item).addr)
                if isinstance(item, h5py.h5g.GroupID):
                    pending.append((item, below))
                elif isinstance(item, h5py.h5d.DatasetID):
                    self._dataset(item, below)
                    self._attributes(item, below)
                else:
                    self._refuse(below, "is neither a group nor an array")

    def _once(self, name: str, address: int) -> None:
        if address in self._seen:
            self._refuse(name, "is linked twice in the file")
        self._seen.add(address)
        if len(self._seen) > _MAX_OBJECTS:
            self._refuse(name, f"is one object too many, the limit is {_MAX_OBJECTS:,}")

    def _dataset(self, dataset: Any, name: str) -> None:
        # The layout comes first: asking a virtual data set for its shape opens its sources.
        plan = dataset.get_create_plist()
        if plan.get_layout() not in _LAYOUTS:
            self._refuse(name, "is a virtual array, which lies in other files")
        if plan.get_external_count():
            self._refuse(name, "is stored in another file")
        for index in range(plan.get_nfilters()):
            if plan.get_filter(index)[0] not in _FILTERS:
                self._refuse(name, "is packed by a filter that is not of HDF5 itself")
        kind = dataset.get_type()
        self._kind(kind, name)
        if kind.get_class() == h5py.h5t.STRING and kind.is_variable_str():
            self._refuse(name, "is an array of text")
        unpacked = dataset.get_space().get_simple_extent_npoints() * kind.get_size()
        if plan.get_layout() == h5py.h5d.CHUNKED:
            chunk = kind.get_size()
            for side in plan.get_chunk():
                chunk *= side
            # One chunk is unpacked as a whole, however little of it the array uses.
            unpacked = max(unpacked, chunk)
        stored = dataset.get_storage_size()
        self._stored += stored
        self._unpacked += unpacked
        if unpacked > max(_SMALL_BYTES, _MAX_RATIO * stored):
            self._refuse(
                name, f"takes {_size(unpacked)} in memory, of which the file has {_size(stored)}"
            )
        if self._stored > self._file_bytes:
            self._refuse(name, "lies partly where other arrays do, or beyond the file's end")
        if self._unpacked > min(MAX_MODEL_BYTES, _MAX_RATIO * self._file_bytes):
            self._refuse(name, f"makes the arrays of the file take {_size(self._unpacked)}")

    def _attributes(self, item: Any, name: str) -> None:
        # Big attributes lie in a heap, and opening one reads all of it.
        heap = h5py.h5o.get_info(item).meta_size.attr.heap_size
        if heap > MAX_BYTES:
            self._refuse(name, f"has attributes of {_size(heap)}, too many for a description")
        for index in range(h5py.h5a.get_num_attrs(item)):
            attribute = h5py.h5a.open(item, index=index)
            label = f"{name}, attribute {_shown(attribute.name)}"
            kind = attribute.get_type()
            self._kind(kind, label)
            elements = attribute.get_space().get_simple_extent_npoints()
            if elements > _MAX_ELEMENTS or elements * kind.get_size() > MAX_BYTES:
                self._refuse(label, f"has {elements:,} elements, too many for a description")

    def _kind(self, kind: Any, name: str) -> None:
        if kind.get_class() not in _KINDS:
            self._refuse(name, "holds neither numbers nor text")

    def _refuse(self, name: str, what: str) -> NoReturn:
        raise KerasModelError(f"{self._named}: {name[:200]} {what}", hint=_SAVE)


def _shown(name: bytes) -> str:
    text = name.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count:,} bytes"
