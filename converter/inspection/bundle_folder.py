"""What a bundle's manifest says, in short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.inspection.text import facts, number, shape, table
from edge.contract.manifest import Manifest, TensorSpec, load_manifest


@dataclass(frozen=True, slots=True)
class BundleInspection:
    """A bundle's folder and its manifest, checked; the model files stay unread."""

    path: Path
    manifest: Manifest

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        manifest = self.manifest
        image, first = manifest.input, next(iter(manifest.variants.values()))
        yield f"{self.path}: bundle {manifest.name} {manifest.version}, {manifest.task}"
        yield ""
        yield from facts(
            {
                "labels": ", ".join(manifest.labels),
                "input": f"{image.name}: {shape(image.shape)}, {image.color}, {image.resize.mode}",
                "outputs": ", ".join(
                    f"{name} ({role}) {shape(first.outputs[name].shape)}"
                    for name, role in manifest.outputs.items()
                ),
                "decode": manifest.decode.kind,
                "created": manifest.provenance.created,
            }
        )
        yield ""
        yield "Variants (gate: the metric of Keras → of the variant, on so many held-back items)"
        head = ("variant", "bytes", "takes", "gives", "gate")
        rows = (
            (
                name,
                number(variant.bytes),
                *(_types(ends) for ends in (variant.inputs, variant.outputs)),
                f"{variant.gate.metric} {variant.gate.float_:.4f} → {variant.gate.value:.4f} "
                f"on {number(variant.gate.n)}",
            )
            for name, variant in manifest.variants.items()
        )
        yield from table(head, rows, right="bytes")
        yield ""
        yield f"  inspect {self.path / 'model.VARIANT.tflite'} explains one of them"

    def to_json(self) -> dict[str, Any]:
        """The manifest, below the folder that it lies in."""
        manifest = self.manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {"folder": str(self.path), "format": "bundle", "manifest": manifest}


def inspect_bundle(path: Path) -> BundleInspection:
    """Read the manifest of a bundle's folder.

    Raises
    ------
    BundleNotFound, ManifestError
        It has none, or one that breaks the schema.
    """
    return BundleInspection(path, load_manifest(path / "manifest.json"))


def _types(ends: dict[str, TensorSpec]) -> str:
    return ", ".join(sorted({spec.dtype for spec in ends.values()}))
