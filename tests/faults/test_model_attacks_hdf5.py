"""HDF5 that makes its reader open other files is refused without opening one (F28).

The kernel itself says whether the target was opened; the twin reads it with plain h5py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from converter.keras_model.errors import KerasModelError
from converter.keras_model.source import read_source
from tests.helpers.keras_files import (
    legacy,
    network,
    refused,
    write_archive,
    write_h5,
    write_weights,
)
from tests.helpers.opened import watched


def _virtual(file: h5py.File, name: str, target: Path, *, endless: bool) -> None:
    """An array that lies in another file; of open length, its shape alone opens that file."""
    size = h5py.h5s.UNLIMITED if endless else 4
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    space = h5py.h5s.create_simple((4,), (size,))
    source = h5py.h5s.create_simple((4,), (size,))
    if endless:
        for part in (space, source):
            part.select_hyperslab((0,), (size,), (1,), (1,))
    plan.set_virtual(space, bytes(target), b"secret", source)
    shape = h5py.h5s.create_simple((4,), (size,))
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_FLOAT, shape, plan)


def _external(file: h5py.File, name: str, target: Path) -> None:
    file[name] = h5py.ExternalLink(str(target), "/secret")


def _stored(file: h5py.File, name: str, target: Path) -> None:
    file.create_dataset(name, (4,), "f4", external=[(str(target), 0, 16)])


OUTSIDE: dict[str, tuple[Callable[[h5py.File, str, Path], None], str]] = {
    "external link": (_external, "is a link into another file"),
    "external storage": (_stored, "is stored in another file"),
    "virtual": (
        lambda file, name, target: _virtual(file, name, target, endless=False),
        "is a virtual array",
    ),
    "endless virtual": (
        lambda file, name, target: _virtual(file, name, target, endless=True),
        "is a virtual array",
    ),
}
# In Keras's own layout, in place of a weight; in a group of its own; right below the root.
NAMES = ["model_weights/scores/scores/bias:0", "a/b/c/d", "extra"]


def _plant(path: Path, attack: str, name: str, target: Path) -> str:
    """Put an attack into a file; returns what is said about it."""
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        else:
            file.require_group(name.rpartition("/")[0] or "/")
        OUTSIDE[attack][0](file, name, target)
    return OUTSIDE[attack][1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("attack", OUTSIDE)
def test_links_out_of_the_file_are_never_followed(attack: str, name: str, tmp_path: Path) -> None:
    """F28: refused by name, and the kernel saw nobody open the target; plain h5py opens it."""
    target = tmp_path / "canary"
    with h5py.File(target, "w") as file:
        file["secret"] = np.arange(4, dtype=np.float32)
    path = write_h5(tmp_path / "m.h5", legacy(network()))
    said = _plant(path, attack, name, target)
    with watched(target) as opened:
        assert f"/{name} {said}" in refused(path)
        assert not opened()
        with h5py.File(path, "r") as file:
            assert file[name][...].nbytes == 16
        assert opened()


@pytest.mark.parametrize("attack", OUTSIDE)
@pytest.mark.parametrize("form", ["archive", "JSON"])
def test_weights_of_every_form_are_walked(form: str, attack: str, tmp_path: Path) -> None:
    """F28: the weights in an archive and beside a JSON network are walked as well."""
    target = tmp_path / "canary"
    with h5py.File(target, "w") as file:
        file["secret"] = np.arange(4, dtype=np.float32)
    weights = write_weights(tmp_path / "m.weights.h5")
    said = _plant(weights, attack, "scores/x", target)
    if form == "archive":
        path = write_archive(tmp_path / "m.keras", network(), weights)
        named = f"{path}: model.weights.h5: /"
    else:
        path = tmp_path / "m.json"
        path.write_text(json.dumps(network()))
        named = f"{weights}: /"
    (tmp_path / "work").mkdir()
    with watched(target) as opened:
        with pytest.raises(KerasModelError) as caught:
            read_source(path, None, tmp_path / "work")
        assert str(caught.value).startswith(named)
        assert said in str(caught.value)
        assert not opened()


def _soft(file: h5py.File) -> None:
    file["soft"] = h5py.SoftLink("/model_weights")


def _cycle(file: h5py.File) -> None:
    file["model_weights/again"] = file["model_weights"]


def _twice(file: h5py.File) -> None:
    file["again"] = file["model_weights/scores/scores/bias:0"]


def _named_type(file: h5py.File) -> None:
    file["type"] = np.dtype("f4")


def _references(file: h5py.File) -> None:
    file.create_dataset("refs", (1,), h5py.ref_dtype)[0] = file["model_weights"].ref


def _texts(file: h5py.File) -> None:
    file.create_dataset("texts", data=["a"], dtype=h5py.string_dtype())


def _filter(file: h5py.File) -> None:
    file.create_dataset("packed", data=np.zeros(4), chunks=(4,), compression="lzf")


ODD = {
    "soft link": (_soft, "/soft is a soft link"),
    "cycle": (_cycle, "/model_weights/again is linked twice"),
    "twice": (_twice, " is linked twice"),
    "type": (_named_type, "/type is neither a group nor an array"),
    "references": (_references, "/refs holds neither numbers nor text"),
    "text": (_texts, "/texts is an array of text"),
    "plug-in filter": (_filter, "/packed is packed by a filter"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_hdf5_is_refused(name: str, tmp_path: Path) -> None:
    """F28: cycles, references and filters that HDF5 would load as plug-ins are refused by name."""
    plant, said = ODD[name]
    path = write_h5(tmp_path / "m.h5", legacy(network()))
    with h5py.File(path, "a") as file:
        plant(file)
    assert said in refused(path)
