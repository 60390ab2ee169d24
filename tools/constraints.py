"""Write constraints/<python>-<machine>.txt: the versions that this release was resolved to.

One file for each platform of the house plan. pip resolves for a foreign platform without running
anything of it, but evaluates environment markers for the machine it runs on; so the markers are
evaluated here and the plain requirements handed over.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.13")
MACHINES = ("x86_64", "aarch64")
EXTRAS = ("edge", "demo", "convert", "dev")
GLIBC = ("2_17", "2_24", "2_26", "2_27", "2_28", "2_31", "2_34", "2_35")


def requirements(python: str, machine: str) -> list[str]:
    """The extras' requirements for one platform, their markers evaluated."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
    }
    wanted = []
    for extra in EXTRAS:
        for line in project["optional-dependencies"][extra]:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                requirement.marker = None
                wanted.append(str(requirement))
    return wanted


def resolve(python: str, machine: str) -> list[str]:
    """Ask pip for one consistent set of wheels; sorted ``name==version`` lines."""
    platforms = [f"--platform=manylinux_{glibc}_{machine}" for glibc in GLIBC]
    platforms.append(f"--platform=manylinux2014_{machine}")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
            "--only-binary=:all:", f"--python-version={python}", *platforms,
            f"--target={folder}/target", f"--report={report}", *requirements(python, machine),
        ]  # fmt: skip
        subprocess.run(command, check=True)
        installed = json.loads(report.read_text())["install"]
    return sorted(
        f"{item['metadata']['name'].lower()}=={item['metadata']['version']}" for item in installed
    )


def main() -> None:
    """Write every file."""
    for python in PYTHONS:
        for machine in MACHINES:
            path = ROOT / "constraints" / f"py{python.replace('.', '')}-{machine}.txt"
            lines = resolve(python, machine)
            path.write_text("\n".join(["# Written by `make constraints`.", *lines, ""]))
            sys.stdout.write(f"{path.relative_to(ROOT)}: {len(lines)} packages\n")


if __name__ == "__main__":
    main()
