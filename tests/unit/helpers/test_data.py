"""Finding the shared real data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.data import data_dir


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the caller's environment says does not count here."""
    monkeypatch.delenv("LINESIGHT_DATA", raising=False)
    monkeypatch.delenv("LINESIGHT_REQUIRE_DATA", raising=False)


def test_data_that_are_there_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts are looked up below LINESIGHT_DATA."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.setenv("LINESIGHT_DATA", str(tmp_path))

    assert data_dir("a", "b") == tmp_path / "a" / "b"


def test_without_the_variable_a_test_is_skipped() -> None:
    """The reason of the skip names the variable."""
    with pytest.raises(pytest.skip.Exception, match="LINESIGHT_DATA is not set"):
        data_dir("a")


def test_where_data_are_required_their_absence_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With LINESIGHT_REQUIRE_DATA=1 nothing is skipped in silence."""
    monkeypatch.setenv("LINESIGHT_REQUIRE_DATA", "1")
    with pytest.raises(pytest.fail.Exception, match="LINESIGHT_DATA is not set"):
        data_dir("a")

    monkeypatch.setenv("LINESIGHT_DATA", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="a does not exist"):
        data_dir("a")
