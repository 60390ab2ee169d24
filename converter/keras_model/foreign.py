"""Files that people take for a Keras model: what each is, and what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

from converter.keras_model.errors import KerasModelError

#: As much of a file as has to be seen.
HEAD_BYTES = 4096
#: How a zip with entries begins.
ZIP = b"PK\x03\x04"

_AGAIN = "download it again, and look at what came: the link may have led to a page about the file"
_EXPORT = "save the Keras model itself: model.save(…)"
_OTHER = "convert it to Keras where it was made; nothing but Keras models is read here"

# A message that begins with a small version number: ONNX, or TensorFlow's SavedModel.
_SAVED_MODEL = re.compile(rb"\x08\x01\x12.{1,5}\n", re.DOTALL)
_ONNX = re.compile(rb"\x08[\x01-\x20](\x12[\x00-\x40][ -~]*|:)", re.DOTALL)
_FROZEN = re.compile(rb"\n.{1,4}\n.[ -~]+\x12.[A-Z][A-Za-z0-9]+", re.DOTALL)
_KINDS: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (
        re.compile(rb"version https://git-lfs"),
        "is a Git LFS pointer, the model itself was not fetched",
        "run git lfs pull",
    ),
    (
        re.compile(rb"\s*(<!doctype html|<html|<\?xml|<head|<!--)", re.IGNORECASE),
        "is a web page, not a model",
        _AGAIN,
    ),
    (re.compile(rb".{4}TFL3", re.DOTALL), "is a TFLite file, which is already converted", _EXPORT),
    (re.compile(rb"\x80[\x02-\x05]"), "is a Python pickle, which is never loaded", _OTHER),
    (re.compile(rb"PK\x05\x06"), "is an empty zip archive", _EXPORT),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd"), "is compressed", "unpack it first"),
    (
        _SAVED_MODEL,
        "is the graph of a SavedModel without its folder",
        "name the folder that it lies in",
    ),
    (_ONNX, "is an ONNX file", _OTHER),
    (
        _FROZEN,
        "is a frozen graph of TensorFlow 1",
        "freeze no graph: save the Keras model, or export it as a SavedModel",
    ),
    (
        re.compile(rb"(backend|class_name|config): "),
        "is a network as YAML, which Keras no longer reads",
        "write it with model.to_json()",
    ),
)
_JSON = re.compile(rb'(\xef\xbb\xbf)?\s*["{\[]')


def looks_like_json(head: bytes) -> bool:
    """Whether a file begins as JSON does."""
    return _JSON.match(head) is not None


def check_foreign(path: Path, head: bytes) -> None:
    """Refuse a file that is known, but no Keras model.

    Raises
    ------
    KerasModelError
        Says what it is; nothing is raised for a file that is not known.
    """
    for pattern, what, hint in _KINDS:
        if pattern.match(head):
            raise KerasModelError(f"{path}: {what}", hint=hint)
