"""A ``.keras`` archive: a zip of a few known entries, judged by its directory before inflating."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from converter.keras_model.errors import KerasModelError
from converter.keras_model.network import MAX_BYTES

#: Bytes that a model may have, as it lies on the disk and inflated.
MAX_MODEL_BYTES = 2 * 2**30
_MAX_RATIO = 100
# Keras writes three entries; a directory of this size would hold some thousand.
_MAX_DIRECTORY_BYTES = 2**18
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR_64, _LOCATOR_64_BYTES = b"PK\x06\x07", 20
_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
_LIMITS = {_CONFIG: MAX_BYTES, _METADATA: 2**20, _WEIGHTS: MAX_MODEL_BYTES}
_CHUNK = 2**20
_AGAIN = "copy it again"
_PACKED = "save it again with model.save(…), a .keras archive is not packed by hand"


@dataclass(frozen=True, slots=True)
class Archive:
    """What a ``.keras`` archive holds.

    Parameters
    ----------
    config, metadata
        The bytes of ``config.json`` and of ``metadata.json``; the latter empty when it is absent.
    weights
        Where ``model.weights.h5`` was extracted to.
    """

    config: bytes
    metadata: bytes
    weights: Path


def read_archive(path: Path, work: Path) -> Archive:
    """Judge an archive by its directory, then read it; the weights go to a file in ``work``.

    Raises
    ------
    KerasModelError
        Damaged; entries that are foreign, outside of the archive, there twice, links, encrypted or
        too big when inflated; no network or no weights in it.
    """
    try:
        with path.open("rb") as file:
            _check_end(path, file)
            with zipfile.ZipFile(file) as archive:
                _check_entries(path, archive.infolist())
                names = archive.namelist()
                weights = work / _WEIGHTS
                with weights.open("xb") as target:
                    for chunk in _chunks(archive, _WEIGHTS):
                        target.write(chunk)
                metadata = b"".join(_chunks(archive, _METADATA)) if _METADATA in names else b""
                return Archive(b"".join(_chunks(archive, _CONFIG)), metadata, weights)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError) as error:
        raise KerasModelError(
            f"{path}: is a damaged or truncated .keras archive: {error}", hint=_AGAIN
        ) from error


def _check_end(path: Path, file: IO[bytes]) -> None:
    """The directory is small, and where only one reading of the file can find it."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _LOCATOR_64_BYTES))
    tail = file.read()
    end = tail[-_END_BYTES:]
    if len(end) < _END_BYTES or not end.startswith(_END):
        raise KerasModelError(
            f"{path}: is a damaged or truncated .keras archive: it does not end as a zip does",
            hint=_AGAIN,
        )
    directory = int.from_bytes(end[12:16], "little")
    # A 64-bit directory is for more than 2 GiB, and hides its true size from the check above.
    if directory > _MAX_DIRECTORY_BYTES or tail.startswith(_LOCATOR_64):
        raise KerasModelError(f"{path}: is a zip with a directory too big for a .keras archive")


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(tops := [name for name in names if name.endswith("/data.pkl")]):
        raise KerasModelError(
            f"{path}: is a PyTorch file ({tops[0]!r}), not a .keras archive",
            hint="export it from PyTorch to Keras, nothing is unpickled here",
        )
    for entry in entries:
        _check_entry(path, entry)
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise KerasModelError(f"{path}: has the entry {name!r} {times} times", hint=_PACKED)
    for needed, what in ((_CONFIG, "network"), (_WEIGHTS, "weights")):
        if needed not in names:
            raise KerasModelError(
                f"{path}: is a zip archive without {needed}, the {what} of a Keras model",
                hint="name the .keras file that model.save(…) wrote",
            )
    if (total := sum(entry.file_size for entry in entries)) > MAX_MODEL_BYTES:
        raise KerasModelError(f"{path}: inflates to {total / 2**30:.1f} GiB, the limit is 2 GiB")


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    # The name as it stands in the file: zipfile has cut the other at the first zero byte.
    name = entry.orig_filename
    parts = PurePosixPath(name.replace("\\", "/"))
    kind = stat.S_IFMT(entry.external_attr >> 16)
    limit = _LIMITS.get(name)
    if parts.is_absolute() or ".." in parts.parts or name[1:2] == ":":
        what, hint = "lies outside of the archive", _PACKED
    elif kind not in (0, stat.S_IFREG):
        what, hint = "is a link or a special file", _PACKED
    elif limit is None:
        what = "does not belong into a .keras archive of a network of built-in layers"
        hint = "models with vocabularies or other files in them are not taken"
    elif entry.flag_bits & 0x1:
        what, hint = "is encrypted", _PACKED
    elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        what, hint = "is packed in a way that Keras does not use", _PACKED
    elif entry.file_size > limit:
        what = f"inflates to {_size(entry.file_size)}, the limit is {_size(limit)}"
        hint = "save the model without its optimizer"
    elif entry.file_size > _MAX_RATIO * entry.compress_size:
        what = f"inflates to more than {_MAX_RATIO} times its {_size(entry.compress_size)}"
        hint = "this is how a zip bomb looks; save the model again"
    else:
        return
    raise KerasModelError(f"{path}: the entry {name[:80]!r} {what}", hint=hint)


def _chunks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """An entry's bytes; never more than its size in the directory, which was checked."""
    with archive.open(name) as entry:
        while chunk := entry.read(_CHUNK):
            yield chunk


def _size(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count >= 2**20 else f"{count:,} bytes"
