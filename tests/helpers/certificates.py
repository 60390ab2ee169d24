"""Certificates for a broker on this machine, made by the openssl program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    cert: Path
    key: Path


def authority(directory: Path, name: str) -> Pair:
    """A certificate authority of our own."""
    pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", pair.key, "-out", pair.cert, "-subj", f"/CN={name}", "-days", "2",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    return pair


def issue(directory: Path, ca: Pair, name: str, *, host: str = "") -> Pair:
    """A certificate from an authority, for a server at ``host`` or a client called ``name``."""
    pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
    request, extensions = directory / f"{name}.csr", directory / f"{name}.ext"
    _openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}",
    )  # fmt: skip
    kind = "IP" if host.replace(".", "").isdigit() else "DNS"
    names = f"subjectAltName={kind}:{host}\n" if host else ""
    extensions.write_text(
        f"authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n{names}basicConstraints=CA:FALSE\n"
    )
    _openssl(
        "x509", "-req", "-in", request, "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial",
        "-days", "2", "-out", pair.cert, "-extfile", extensions,
    )  # fmt: skip
    return pair


def _openssl(*arguments: object) -> None:
    command = ["openssl", *(str(argument) for argument in arguments)]
    subprocess.run(command, check=True, capture_output=True)
