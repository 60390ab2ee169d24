"""The command line: exit codes, one line for each mistake, nothing loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from converter.cli import main

ROOT = Path(__file__).resolve().parents[3]
RECIPE = ROOT / "models" / "mask_classifier" / "recipe.toml"


def _without(package: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command where importing a package fails as if it were not installed."""
    script = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from converter.cli import main\n"
        "sys.exit(main())\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_verbs_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """The help lists the five verbs."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in ("train", "convert", "verify", "inspect", "init"))


@pytest.mark.parametrize("arguments", [[], ["verity", "x"], ["convert"], ["train", "a", "b"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments end with 2 and one line."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["train", "convert"])
def test_data_is_asked_for(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --data both verbs end with 2 and say what the pictures are for."""
    assert main([verb, str(RECIPE)]) == 2
    assert capsys.readouterr().err.startswith("linesight-convert: --data DIR is missing: ")


@pytest.mark.parametrize("verb", ["train", "convert"])
def test_wrong_recipe(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong recipe ends with 78 and a line for each mistake."""
    recipe = tmp_path / "recipe.toml"
    text = RECIPE.read_text().replace("[input]", "[inputs]")
    recipe.write_text(text)
    assert main([verb, str(recipe), "--data", str(tmp_path)]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ", 2)[2] for line in lines] == [
        "input: is missing and has no default",
        "inputs: unknown key; did you mean 'input'?",
    ]


def test_train_without_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recipe without [training] cannot be trained, and says what to do."""
    recipe = tmp_path / "recipe.toml"
    start, _, rest = RECIPE.read_text().partition("[training]")
    recipe.write_text(start + "[card]" + rest.partition("[card]")[2])
    assert main(["train", str(recipe), "--data", str(tmp_path)]) == 2
    assert "has no table [training]" in capsys.readouterr().err


def test_train_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A data folder that lacks what the training needs is named before TensorFlow is loaded."""
    assert main(["train", str(RECIPE), "--data", str(tmp_path), "--out", str(tmp_path)]) == 78
    assert f"{tmp_path / 'boxes'}: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["tensorflow", "keras", "h5py", "matplotlib"])
def test_extra_is_named(package: str, tmp_path: Path) -> None:
    """Without the convert extra the command ends with 69 and names it."""
    run = _without(package, "convert", RECIPE, "--data", tmp_path)
    assert run.returncode == 69
    assert "pip install 'linesight[convert]'" in run.stderr
    assert "Traceback" not in run.stderr


def test_recipe_is_read_without_tensorflow() -> None:
    """A mistake in a recipe is found where TensorFlow is not installed."""
    run = _without("tensorflow", "convert", ROOT / "none.toml", "--data", ROOT)
    assert run.returncode == 78
    assert run.stderr.endswith("none.toml: no such file (name a recipe.toml)\n")


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with 130 and no traceback."""

    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("converter.recipe.load_recipe", interrupt)
    assert main(["convert", str(RECIPE)]) == 130
    assert capsys.readouterr().err == "linesight-convert: interrupted\n"


def test_reference_without_tensorflow() -> None:
    """The reference loop ends with 69 where Keras is not installed."""
    script = (
        "import sys; sys.modules['keras'] = None\n"
        "from converter.reference import main; sys.exit(main(['--faces', '1']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 69
    assert run.stdout == ""


@pytest.mark.parametrize("faces", ["0", "-1", "many", "100000"])
def test_reference_wants_a_count(faces: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A number of faces that makes no sense is refused before anything is loaded."""
    from converter.reference import main as reference

    with pytest.raises(SystemExit) as ended:
        reference(["--faces", faces])
    assert ended.value.code == 2
    assert "--faces" in capsys.readouterr().err
