"""The house plan holds: import contracts, what a bare import loads, names of the error tree."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import edge.errors

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("edge/**/*.py"), *ROOT.glob("converter/**/*.py")])


def _lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [linter, "--no-cache", "--config", str(root / "pyproject.toml")],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def test_import_contracts_hold() -> None:
    """Every import contract of pyproject.toml is kept."""
    run = _lint_imports(ROOT)
    assert run.returncode == 0, run.stdout


PLANTED = {
    "edge/records/frame.py": "edge.outbox",
    "edge/rules/mask.py": "cv2",
    "edge/tasks/detection.py": "converter.recipe",
    "converter/trained.py": "tensorflow",
    "converter/card.py": "edge.pipeline",
}


def test_import_contracts_can_fail(tmp_path: Path) -> None:
    """Imports against the plan are caught, each by its name."""
    for folder in ("edge", "converter"):
        for source in sorted((ROOT / folder).rglob("*.py")):
            copy = tmp_path / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(source.read_text())
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for file, module in PLANTED.items():
        assert (tmp_path / file).exists()
        with (tmp_path / file).open("a") as source_file:
            source_file.write(f"\nimport {module}\n")
    run = _lint_imports(tmp_path)
    assert run.returncode != 0
    for file, module in PLANTED.items():
        importer = file.removesuffix(".py").replace("/", ".")
        assert f"{importer} -> {module}" in run.stdout


def _modules(package: str) -> set[str]:
    """Modules right below a package, by their dotted names."""
    return {
        f"{package}.{path.stem}"
        for path in (ROOT / package).iterdir()
        if path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }


def _package_contracts() -> list[dict[str, Any]]:
    """The contracts that tie a third-party package to its places."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    return [contract for contract in contracts if " stands in " in contract["name"]]


@pytest.mark.parametrize("contract", _package_contracts(), ids=lambda c: c["forbidden_modules"][0])
def test_package_contracts_forget_no_module(contract: dict[str, Any]) -> None:
    """Each such contract forbids the package to every module but those that its name lists."""
    places = contract["name"].removesuffix(" only").split(" stands in ")[1]
    allowed = set(re.findall(r"[\w.]+", places))
    sources = set(contract["source_modules"])
    for package in ("edge", "converter"):
        if package in sources:
            assert not {place for place in allowed if place.startswith(f"{package}.")}
        else:
            listed = {name for name in sources if name.startswith(f"{package}.")}
            assert listed | (allowed & _modules(package)) == _modules(package)
            assert not listed & allowed


@pytest.mark.parametrize("module", ["edge", "edge.cli", "converter", "converter.cli"])
def test_bare_import_is_light(module: str) -> None:
    """Importing the packages and their command lines loads no numpy, OpenCV or TensorFlow."""
    code = (
        f"import sys, {module}; heavy = {{'cv2', 'numpy', 'tensorflow', 'keras', 'pydantic'}};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_error_tree_is_drawn_completely() -> None:
    """The tree in the docstring of edge.errors names every error with its exit code."""
    drawn = dict(re.findall(r"─ (\w+) .*?(\d+)$", edge.errors.__doc__ or "", re.MULTILINE))
    errors = {name: getattr(edge.errors, name) for name in edge.errors.__all__}
    assert drawn == {
        name: str(error.exit_code) for name, error in errors.items() if name != "LineSightError"
    }
    own = {
        name
        for name, value in vars(edge.errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert own == set(errors)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_dangerous_calls(path: Path) -> None:
    """F93: the sources load no pickle, evaluate no text and start no shell."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {"pickle", "marshal", "shelve"} & set(names), ast.unparse(node)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"eval", "exec", "os.system", "yaml.load"}, ast.unparse(node)
            for keyword in node.keywords:
                text = f"{keyword.arg}={ast.unparse(keyword.value)}"
                assert text not in {"shell=True", "allow_pickle=True", "safe_mode=False"}, text
