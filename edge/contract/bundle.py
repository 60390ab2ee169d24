"""A model's folder: find it, load it, read its model files exactly once."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.contract.errors import BundleNotFound, HashMismatch, ModelError
from edge.contract.manifest import Manifest, TensorSpec, Variant, VariantName, load_manifest

SYSTEM_MODELS = Path("/usr/share/linesight/models")
# float32 first: every CPU runs it well; int16x8 last: only the reference kernels have it.
_ORDER: tuple[VariantName, ...] = ("float32", "int8", "float16", "dynamic", "int16x8")
_PREFERRED: Mapping[str, VariantName] = {"aarch64": "int8", "arm64": "int8", "x86_64": "float32"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked manifest and the folder that it was read from."""

    path: Path
    manifest: Manifest

    @property
    def golden_path(self) -> Path:
        """Where the golden vectors lie."""
        return self.path / "golden.npz"

    def variant(self, name: str) -> Variant:
        """What the manifest says about one variant.

        Raises
        ------
        ModelError
            The bundle has no such variant; the message lists those it has.
        """
        for key, variant in self.manifest.variants.items():
            if key == name:
                return variant
        raise ModelError(
            f"{self.path}: no variant {name!r}, only {', '.join(self.manifest.variants)}",
            hint="take one of these, or convert the model with this variant",
        )

    def input_tensor(self, name: str) -> TensorSpec:
        """The tensor that one variant takes."""
        return self.variant(name).inputs[self.manifest.input.name]

    def read_variant(self, name: str) -> bytes:
        """The bytes of one model file, read once and verified: load these, not the file again.

        Raises
        ------
        ModelError
            The bundle has no such variant.
        BundleNotFound
            The model file is missing or cannot be read.
        HashMismatch
            Its bytes are not those that the manifest promises.
        """
        variant = self.variant(name)
        path = self.path / variant.file
        try:
            with path.open("rb") as file:
                content = file.read(variant.bytes + 1)
        except OSError as error:
            raise BundleNotFound(
                f"{path}: cannot be read: {error.strerror}", hint="install the bundle again"
            ) from error
        got = hashlib.sha256(content).hexdigest()
        if got != variant.sha256:
            if len(content) > variant.bytes:
                length = f" (more than the {variant.bytes} bytes promised)"
            elif len(content) < variant.bytes:
                length = f" ({len(content)} of {variant.bytes} bytes)"
            else:
                length = ""
            raise HashMismatch(
                f"{path}: sha256 mismatch: expected {variant.sha256[:4]}… got {got[:4]}…{length}",
                hint="the file was damaged or exchanged: install the bundle again",
            )
        return content


def load_bundle(path: Path) -> Bundle:
    """Read the manifest of the bundle in the folder ``path``; the model files stay unread.

    Raises
    ------
    BundleNotFound
        There is no such folder, or no manifest in it.
    ManifestError
        The manifest breaks the schema.
    """
    return Bundle(path, load_manifest(path / "manifest.json"))


def search_path(models_option: Path | None = None, models_dir: Path | None = None) -> list[Path]:
    """Where bundles are looked for, first match wins.

    ``--models``, ``[station].models_dir``, :data:`SYSTEM_MODELS`, then those that came with this
    program: ``edge/models`` of the wheel, or ``models`` of the source tree.
    """
    package = Path(__file__).resolve().parents[1]
    shipped = package / "models"
    if not shipped.is_dir():
        shipped = package.parent / "models"
    named = [place for place in (models_option, models_dir) if place is not None]
    return [*named, SYSTEM_MODELS, shipped]


def find_bundle(name: str, search: Sequence[Path]) -> Bundle:
    """Load the bundle ``name`` from the first folder of ``search`` that has it.

    A bundle that is there but broken is an error: a later folder is not taken in its place.

    Raises
    ------
    BundleNotFound
        No folder has it; the message names all of them.
    ManifestError
        The first one that was found breaks the schema.
    ModelError
        A folder cannot be looked into, so that nobody can tell whether it has it.
    """
    if re.fullmatch(r"[A-Za-z0-9_.-]+", name) and name not in {".", ".."}:
        for place in search:
            if _is_there(place / name / "manifest.json"):
                return load_bundle(place / name)
    raise BundleNotFound(
        f"no model bundle {name!r} in {', '.join(str(place) for place in search)}",
        hint="name its folder's parent with --models or [station].models_dir",
    )


def _is_there(path: Path) -> bool:
    # Not Path.is_file(): for a folder without permission it raises or is False, by version.
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror}",
            hint="models must be readable by the user who runs this",
        ) from error
    return True


def choose_variant(
    manifest: Manifest,
    wanted: str = "auto",
    choice: Mapping[str, str] | None = None,
    *,
    machine: str | None = None,
) -> VariantName:
    """Which variant of a bundle to run.

    Parameters
    ----------
    manifest
        The bundle's.
    wanted
        A variant, or ``auto``: what ``choice`` says of this bundle if the bundle has it, else int8
        on aarch64 and float32 on x86-64, else the first there is of float32, int8, float16,
        dynamic, int16x8.
    choice
        Bundle name → variant, see :func:`edge.contract.choice.read_choice`.
    machine
        The CPU architecture, this one's by default.

    Raises
    ------
    ModelError
        The bundle has not the variant that was asked for; the message lists those it has.
    """
    there = manifest.variants
    if wanted != "auto":
        order: tuple[str | None, ...] = (wanted,)
    else:
        chosen = (choice or {}).get(manifest.name)
        preferred = _PREFERRED.get(platform.machine() if machine is None else machine)
        order = (chosen, preferred, *_ORDER)
    for candidate in order:
        for name in there:
            if name == candidate:
                return name
    raise ModelError(
        f"bundle {manifest.name} has no variant {wanted!r}, only {', '.join(there)}",
        hint="set [models].variant to one of these or to 'auto'",
    )
