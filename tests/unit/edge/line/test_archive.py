"""The files of lots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.line.archive import Archive
from edge.records import LotReport


def _report(number: int, name: str = "C 1/2") -> LotReport:
    pages = {"html": f"<p>{number}", "csv": "a\r\nb\r\n"}
    return LotReport(f"0123456789abcdef-{number}", name, "strip", {}, pages)


def test_a_lot_has_its_files(tmp_path: Path) -> None:
    """Each page is a file; what no file name may hold becomes a line; line ends stay."""
    files = Archive(tmp_path / "lots").keep(_report(7))
    assert sorted(file.name for file in files) == ["C_1_2.7.csv", "C_1_2.7.html"]
    assert (tmp_path / "lots" / "C_1_2.7.csv").read_bytes() == b"a\r\nb\r\n"
    assert sorted(file.name for file in (tmp_path / "lots").iterdir()) == [
        "C_1_2.7.csv",
        "C_1_2.7.html",
    ]


def test_a_name_leaves_no_folder(tmp_path: Path) -> None:
    """Whoever may start a lot may not choose where files go."""
    files = Archive(tmp_path / "lots").keep(_report(7, "../../etc/[x]*"))
    assert all(file.parent == tmp_path / "lots" for file in files)
    assert all(file.exists() for file in files)


def test_two_lots_of_one_name_are_two(tmp_path: Path) -> None:
    """The number of the lot tells them apart."""
    archive = Archive(tmp_path)
    archive.keep(_report(1, "A"))
    archive.keep(_report(2, "A"))
    assert (tmp_path / "A.1.html").read_text() == "<p>1"
    assert (tmp_path / "A.2.html").read_text() == "<p>2"


def test_the_oldest_leave(tmp_path: Path) -> None:
    """Of more lots than are kept the last ones stay, each as a whole."""
    archive = Archive(tmp_path, kept=2)
    for number in range(5):
        for file in archive.keep(_report(number, "A")):
            os.utime(file, (number, number))
    archive.keep(_report(5, "A"))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "A.4.csv",
        "A.4.html",
        "A.5.csv",
        "A.5.html",
    ]


def test_a_name_that_begins_like_another_is_left_alone(tmp_path: Path) -> None:
    """Lot ``C-1`` number 5 leaves; lot ``C-1.5`` number 7 stays."""
    archive = Archive(tmp_path, kept=1)
    for file in archive.keep(_report(5, "C-1")):
        os.utime(file, (1, 1))
    archive.keep(_report(7, "C-1.5"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["C-1.5.7.csv", "C-1.5.7.html"]


def test_a_disk_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    """The caller says so and goes on."""
    (tmp_path / "lots").write_text("a file")
    with pytest.raises(OSError, match="lots"):
        Archive(tmp_path / "lots").keep(_report(1))
