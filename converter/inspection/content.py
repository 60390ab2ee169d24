"""What a file is, by its first bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from converter.inspection.errors import InspectionError

Kind = Literal["bundle", "tflite", "keras"]

_HEAD = 4096
_HINT = "name a .tflite file, a Keras model or a bundle's folder"
_KERAS = (b"PK\x03\x04", b"\x89HDF\r\n\x1a\n")
_OTHERS = (
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    (rb"(?i)\s*<(!doctype|html|\?xml)", "a web page, not a model", "download the file itself"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM|RIFF", "a picture or a clip, not a model", _HINT),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf", "compressed", "unpack it first"),
    (rb"\x80[\x02-\x05]", "a Python pickle, which is never opened", "save the model with Keras"),
    (rb"(?s)\x08.{1,64}(pytorch|onnx|tf2onnx|keras2onnx)", "an ONNX model", _HINT),
)


@dataclass(frozen=True, slots=True)
class Content:
    """A file or folder that something is known about."""

    path: Path
    kind: Kind

    def read(self) -> bytes:
        """All bytes of the file.

        Raises
        ------
        InspectionError
            It cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise _unreadable(self.path, error) from error


def read_content(path: Path) -> Content:
    """Tell what a file or folder is.

    Raises
    ------
    InspectionError
        It is missing, empty, cannot be read, or is nothing that can be explained: one text each.
    """
    try:
        if path.is_dir():
            return Content(path, _folder(path))
        if path.exists() and not path.is_file():
            raise InspectionError(f"{path}: is no ordinary file", hint=_HINT)
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError as error:
        raise InspectionError(f"{path}: no such file or folder", hint=_HINT) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    return Content(path, _file(path, head))


def _folder(path: Path) -> Kind:
    if (path / "manifest.json").exists():
        return "bundle"
    if (path / "saved_model.pb").exists():
        return "keras"
    raise InspectionError(
        f"{path}: is a folder with neither a manifest.json nor a saved_model.pb", hint=_HINT
    )


def _file(path: Path, head: bytes) -> Kind:
    if not head:
        raise InspectionError(f"{path}: is empty", hint="copy it again")
    if head[4:8] == b"TFL3":
        return "tflite"
    if head.startswith(_KERAS) or head.lstrip().startswith(b"{"):
        return "keras"
    for pattern, what, hint in _OTHERS:
        if re.match(pattern, head):
            raise InspectionError(f"{path}: is {what}", hint=hint)
    raise InspectionError(
        f"{path}: is neither a TensorFlow Lite model nor a Keras model", hint=_HINT
    )


def _unreadable(path: Path, error: OSError) -> InspectionError:
    return InspectionError(f"{path}: cannot be read: {error.strerror}")
