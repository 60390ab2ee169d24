"""A Keras model file in any of its forms, scanned: what may be loaded, or why it may not.

What a file is, is decided by its content, never by its name. Nothing here imports Keras or
TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.keras_model.archive import MAX_MODEL_BYTES, read_archive
from converter.keras_model.errors import KerasModelError
from converter.keras_model.foreign import HEAD_BYTES, ZIP, check_foreign, looks_like_json
from converter.keras_model.hdf5 import has_root, read_text, scan_hdf5
from converter.keras_model.network import MAX_BYTES, parse_network, scan_network
from converter.keras_model.saved_graph import GRAPH, scan_saved_model

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HINT = "name the .keras, .h5 or .json file, or the SavedModel folder, that Keras saved"
_WHOLE = "save the whole model: model.save(…)"


@dataclass(frozen=True, slots=True)
class KerasSource:
    """A model file that has passed the scan; only what is named here may be loaded.

    Parameters
    ----------
    path
        As the user named it.
    format
        As in :class:`~converter.keras_model.facts.ModelFacts`.
    config
        The network without its compile settings; None for a SavedModel.
    weights
        The scanned HDF5 file with the weights; None for a SavedModel.
    sha256
        Of the file's bytes, in hex; of several files, of their sorted names and hashes.
    keras_version
        That wrote the file; empty when the file does not say.
    """

    path: Path
    format: str
    config: dict[str, Any] | None
    weights: Path | None
    sha256: str
    keras_version: str


def read_source(path: Path, weights: Path | None, work: Path) -> KerasSource:
    """Find out what a model file is, and scan all of it.

    Parameters
    ----------
    path
        A ``.keras`` archive, an HDF5 file of Keras 2 or 3 under any name, the JSON of a network,
        or the folder of a SavedModel.
    weights
        The weights of a JSON network; None: ``<stem>.weights.h5`` or ``<stem>.h5`` beside it.
    work
        An existing folder; the weights of an archive are extracted to it.

    Raises
    ------
    KerasModelError
        One line that tells the ways of being no trustworthy Keras model apart.
    """
    try:
        source = _read(path, weights, work)
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else str(path)
        raise KerasModelError(f"{named}: cannot be read: {error.strerror or error}") from error
    if weights is not None and source.format != "Keras JSON with weights":
        raise KerasModelError(
            f"{path}: has its weights in itself, so {weights} is not needed",
            hint="leave the weights out",
        )
    return source


def _read(path: Path, weights: Path | None, work: Path) -> KerasSource:
    if _mode(path, "train it first, or name a model with --keras") == stat.S_IFDIR:
        return _read_folder(path)
    head = _head(path)
    if head.startswith(ZIP):
        return _read_archive(path, work)
    if head.startswith(_HDF5):
        return _read_hdf5(path)
    if looks_like_json(head):
        return _read_json(path, weights)
    check_foreign(path, head)
    raise KerasModelError(f"{path}: is no Keras model: {head[:8]!r} begins none", hint=_HINT)


def _read_folder(path: Path) -> KerasSource:
    if not (path / GRAPH).is_file():
        what = f"is a folder without {GRAPH}"
        if (path / "config.json").is_file():
            raise KerasModelError(
                f"{path}: {what}, but with config.json: an unpacked .keras archive",
                hint="name the .keras file itself",
            )
        raise KerasModelError(f"{path}: {what}", hint=_HINT)
    files = scan_saved_model(path)
    digest = _digest((file.relative_to(path).as_posix(), file) for file in files)
    return KerasSource(path, "SavedModel", None, None, digest, "")


def _read_archive(path: Path, work: Path) -> KerasSource:
    archive = read_archive(path, work)
    config = scan_network(path, parse_network(path, archive.config))
    scan_hdf5(archive.weights, f"{path}: {archive.weights.name}")
    return KerasSource(
        path, "Keras 3 archive", config, archive.weights, _sha256(path), _version(archive.metadata)
    )


def _read_hdf5(path: Path) -> KerasSource:
    scan_hdf5(path)
    network = read_text(path, "model_config")
    if network is None:
        raise KerasModelError(
            f"{path}: holds weights but no network",
            hint=f"{_WHOLE}, or name the network's .json file and these as its weights",
        )
    if not has_root(path, "model_weights"):
        raise KerasModelError(f"{path}: holds a network but no weights", hint=_WHOLE)
    config = scan_network(path, parse_network(path, network))
    version = _text(read_text(path, "keras_version"))
    kind = "Keras 3 HDF5" if version.startswith("3.") else "Keras 2 HDF5"
    return KerasSource(path, kind, config, path, _sha256(path), version)


def _read_json(path: Path, weights: Path | None) -> KerasSource:
    if path.stat().st_size > MAX_BYTES:
        raise KerasModelError(f"{path}: the network's JSON has more than {MAX_BYTES >> 20} MiB")
    parsed = parse_network(path, path.read_bytes())
    if isinstance(parsed, str):  # model.to_json() written by json.dump: JSON in JSON
        parsed = parse_network(path, parsed.encode("utf-8", "surrogateescape"))
    config = scan_network(path, parsed)
    weights = _beside(path) if weights is None else weights
    _mode(weights, "name the weights of this network")
    head = _head(weights)
    if not head.startswith(_HDF5):
        check_foreign(weights, head)
        raise KerasModelError(f"{weights}: is no HDF5 file of weights", hint=_WHOLE)
    scan_hdf5(weights)
    version = config.get("keras_version")
    if not isinstance(version, str):
        version = _text(read_text(weights, "keras_version"))
    digest = _digest((file.name, file) for file in sorted((path, weights)))
    return KerasSource(path, "Keras JSON with weights", config, weights, digest, version)


def _beside(path: Path) -> Path:
    names = (f"{path.stem}.weights.h5", f"{path.stem}.h5")
    for name in names:
        if path.with_name(name).is_file():
            return path.with_name(name)
    raise KerasModelError(
        f"{path}: is a network without weights; neither {names[0]} nor {names[1]} lies beside it",
        hint="name the weights of this network",
    )


def _mode(path: Path, absent: str) -> int:
    """The kind of file; nothing is opened, so a pipe cannot make us wait."""
    try:
        mode = stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise KerasModelError(f"{path}: no such file", hint=absent) from error
    if mode not in (stat.S_IFREG, stat.S_IFDIR):
        raise KerasModelError(f"{path}: is neither a file nor a folder", hint=_HINT)
    return mode


def _head(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise KerasModelError(f"{path}: has {size / 2**30:.1f} GiB, the limit is 2 GiB")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise KerasModelError(f"{path}: is empty", hint="copy it again")
    return head


def _version(metadata: bytes) -> str:
    try:
        found = json.loads(metadata or b"{}")
    except (ValueError, RecursionError):
        return ""
    version = found.get("keras_version") if isinstance(found, dict) else None
    return version[:40] if isinstance(version, str) else ""


def _text(value: bytes | None) -> str:
    return (value or b"")[:40].decode("utf-8", "replace")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    lines = (f"{name} {_sha256(path)}\n" for name, path in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
