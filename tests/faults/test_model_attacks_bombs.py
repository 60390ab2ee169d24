"""Small files that become big are refused before they do (F29)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.helpers.keras_files import (
    legacy,
    network,
    write_h5,
    write_weights,
)

ROOT = Path(__file__).resolve().parents[2]

BOMB_BYTES = 300 * 2**20


def _zip_bomb(path: Path, name: str) -> None:
    weights = write_weights(path.with_suffix(".tmp")).read_bytes()
    contents = {"config.json": b"{}", "model.weights.h5": weights}
    contents.pop(name)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for entry, content in contents.items():
            archive.writestr(entry, content)
        with archive.open(name, "w", force_zip64=False) as entry_file:
            for _ in range(BOMB_BYTES // 2**20):
                entry_file.write(b" " * 2**20)


def _array_bomb(path: Path, **options: Any) -> None:
    write_h5(path, legacy(network()))
    with h5py.File(path, "a") as file:
        file.create_dataset("model_weights/big", dtype="f4", **options)


def _packed_bomb(path: Path) -> None:
    zeros = np.zeros(2**24, np.float32)
    _array_bomb(path, data=zeros, chunks=(2**22,), compression="gzip", compression_opts=1)


def _attribute_bomb(path: Path, name: str, count: int) -> None:
    write_h5(path, legacy(network()))
    with h5py.File(path, "a", libver="latest") as file:
        group = file.create_group("model_weights/more")
        group.attrs.create(name, np.zeros(count, np.uint8))


def _deep(path: Path) -> None:
    path.write_bytes(b'{"class_name": "Model", "config": ' + b"[" * 200_000)


def _deep_objects(path: Path) -> None:
    path.write_text('{"class_name":"Sequential","config":{"layers":[' * 200 + "]}}" * 200)


def _wide(path: Path) -> None:
    path.write_bytes(b'{"class_name": "Model", "config": [' + b"[]," * 2_000_000 + b"1]}")


def _long(path: Path) -> None:
    path.write_bytes(b'{"class_name": "' + b"x" * (17 * 2**20) + b'"}')


def _number(path: Path) -> None:
    path.write_bytes(b'{"class_name": "Model", "config": ' + b"9" * 1_000_000 + b"}")


def _directory(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(6000):
            archive.writestr(f"{index:05}", b"")


def _sparse(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04")
    os.truncate(path, 3 * 2**30)


BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "config.keras": (lambda path: _zip_bomb(path, "config.json"), "300 MiB, the limit is 16 MiB"),
    "weights.keras": (
        lambda path: _zip_bomb(path, "model.weights.h5"),
        "inflates to more than 100 times",
    ),
    "directory.keras": (_directory, "a directory too big for a .keras archive"),
    "sparse.keras": (_sparse, "has 3.0 GiB, the limit is 2 GiB"),
    "shape.h5": (lambda path: _array_bomb(path, shape=(2**34,)), "takes 65,536 MiB in memory"),
    "chunk.h5": (
        lambda path: _array_bomb(path, shape=(1,), maxshape=(None,), chunks=(2**28,)),
        "takes 1,024 MiB in memory",
    ),
    "packed.h5": (_packed_bomb, "takes 64 MiB in memory"),
    "attribute.h5": (
        lambda path: _attribute_bomb(path, "big", 2**25),
        "/model_weights/more has attributes of 32 MiB",
    ),
    "elements.h5": (
        lambda path: _attribute_bomb(path, "many", 200_000),
        "attribute many has 200,000 elements",
    ),
    "deep.json": (_deep, "nested deeper than"),
    "deep_objects.json": (_deep_objects, "nested deeper than"),
    "wide.json": (_wide, "more than 1,000,000 values"),
    "long.json": (_long, "more than 16 MiB"),
    "number.json": (_number, "JSON is damaged"),
}
# From /proc: ru_maxrss is handed down by the process that started this one, and would hide a bomb.
MEMORY = """
from pathlib import Path
def memory(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))
"""
SCAN = (
    MEMORY
    + """
import json, sys, time
from converter.keras_model.source import read_source
path = Path(sys.argv[1])
before, start = memory("VmRSS"), time.process_time()
try: read_source(path, None, path.parent); said = "passed"
except Exception as error: said = f"{type(error).__name__}: {error}"
print(json.dumps([said, time.process_time() - start, memory("VmHWM") - before]))
"""
)
UNPACK = (
    MEMORY
    + """
import sys, zipfile
before = memory("VmRSS")
zipfile.ZipFile(sys.argv[1]).read("config.json")
print(memory("VmHWM") - before)
"""
)


def _child(code: str, *arguments: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def test_bombs_are_refused_before_they_go_off(tmp_path: Path) -> None:
    """F29: each bomb is refused within 0.5 s and 50 MiB; unpacking one takes over 250 MiB."""
    for name, (write, _) in BOMBS.items():
        write(tmp_path / name)
    for name, (_, said) in BOMBS.items():
        text, seconds, grown = json.loads(_child(SCAN, tmp_path / name))
        assert text.startswith("KerasModelError: "), (name, text)
        assert said in text, (name, text)
        assert seconds < 0.5, (name, seconds)
        assert grown < 50, (name, grown)
    assert (tmp_path / "config.keras").stat().st_size < 2 * 2**20
    assert float(_child(UNPACK, tmp_path / "config.keras")) > 250
