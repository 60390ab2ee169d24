"""The house plan holds: import contracts, what a bare import loads, names of the error tree."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

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


def test_import_contracts_can_fail(tmp_path: Path) -> None:
    """An import against the plan is caught."""
    for folder in ("edge", "converter"):
        for source in sorted((ROOT / folder).rglob("*.py")):
            copy = tmp_path / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(source.read_text())
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    with (tmp_path / "edge" / "records.py").open("a") as records:
        records.write("\nimport edge.outbox\n")
    with (tmp_path / "edge" / "rules.py").open("a") as rules:
        rules.write("\nimport cv2\n")
    run = _lint_imports(tmp_path)
    assert run.returncode != 0
    assert "edge.records -> edge.outbox" in run.stdout
    assert "edge.rules -> cv2" in run.stdout


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
