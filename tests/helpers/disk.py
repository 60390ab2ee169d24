"""A disk that can be cut: remembers every write and sync that SQLite does, through apsw's VFS.

What a power cut leaves is reckoned from that log. Synced bytes stay; of the others each sector
comes through or not, by chance; a name that was made or deleted comes through with the next sync
of a new file, or by chance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that happened to a file: ``what`` is create, delete, write, truncate, sync or fail
    (a sync that failed, after which the kernel calls the pages clean).
    """

    what: str
    file: int
    name: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass
class Contents:
    """The files of a disk: what is surely on it, and what is on its way."""

    names: dict[str, int] = field(default_factory=dict)
    files: dict[int, bytearray] = field(default_factory=dict)
    entries: list[Operation] = field(default_factory=list)
    pending: dict[int, list[Operation]] = field(default_factory=dict)

    def do(self, operation: Operation, rng: random.Random) -> None:
        """What this does to the disk."""
        match operation.what:
            case "create" | "delete":
                self.entries.append(operation)
            case "write" | "truncate":
                self.pending.setdefault(operation.file, []).append(operation)
            case "sync":
                come_through(self.pending.pop(operation.file, []), self._file(operation.file))
                if any(one.file == operation.file for one in self.entries if one.what == "create"):
                    self._enter(self.names, len(self.entries))
                    self.entries.clear()
            case "fail":
                waiting = self.pending.pop(operation.file, [])
                come_through(waiting, self._file(operation.file), lambda: rng.random() < 0.5)

    def cut(self, rng: random.Random) -> dict[str, bytes]:
        """The files after a power cut now; this disk goes on as if there had been none."""
        share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        names = dict(self.names)
        self._enter(names, rng.randint(0, len(self.entries)))
        left = {}
        for name, file in names.items():
            copy = bytearray(self._file(file))
            come_through(self.pending.get(file, []), copy, lambda: rng.random() < share)
            left[name] = bytes(copy)
        return left

    def _file(self, file: int) -> bytearray:
        return self.files.setdefault(file, bytearray())

    def _enter(self, names: dict[str, int], count: int) -> None:
        for one in self.entries[:count]:
            if one.what == "create":
                names[one.name] = one.file
            else:
                names.pop(one.name, None)


def come_through(
    operations: Iterable[Operation], target: bytearray, keep: Callable[[], bool] = lambda: True
) -> None:
    """Write to a file those sectors, and truncate it by those truncations, that ``keep`` keeps."""
    for one in operations:
        if one.what == "truncate":
            if keep():
                del target[one.offset :]
            continue
        start, end = one.offset, one.offset + len(one.data)
        while start < end:
            stop = min(end, (start // SECTOR + 1) * SECTOR)
            if keep():
                target.extend(bytes(max(0, stop - len(target))))
                target[start:stop] = one.data[start - one.offset : stop - one.offset]
            start = stop


class Disk:
    """Files on a real folder, and the log of what was done to them.

    Attributes
    ----------
    log
        Everything that happened.
    on_operation
        Asked before a write, truncation or sync happens; may raise to make it fail.
    """

    def __init__(self, name: str) -> None:
        self.log: list[Operation] = []
        self.on_operation: Callable[[str, Path], None] = lambda what, path: None
        self.vfs = RecordingVFS(name, self)
        self._names: dict[str, int] = {}
        self._files = 0

    def opened(self, name: str, *, made: bool) -> int:
        """A file was opened; returns the number of the file that the name stands for."""
        if made or name not in self._names:
            self._files += 1
            self._names[name] = self._files
            self.log.append(Operation("create", self._files, Path(name).name))
        return self._names[name]

    def deleted(self, name: str) -> None:
        """A name was deleted."""
        file = self._names.pop(name)
        self.log.append(Operation("delete", file, Path(name).name))

    def cuts(
        self, points: Iterable[int], rng: random.Random
    ) -> Iterator[tuple[int, dict[str, bytes]]]:
        """For each point, ascending: the files by name if the power goes after so many entries."""
        contents, done = Contents(), 0
        for point in points:
            for operation in self.log[done:point]:
                contents.do(operation, rng)
            done = point
            yield point, contents.cut(rng)


class RecordingVFS(apsw.VFS):
    """The operating system's files, with the disk's log beside them."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.name = name
        self.disk = disk
        super().__init__(name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """See SQLite; temporary files stay outside the log."""
        if name is None:
            return apsw.VFSFile("", name, flags)
        path = name if isinstance(name, str) else name.filename()
        return RecordingFile(self.disk, path, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        """See SQLite."""
        super().xDelete(filename, syncdir)
        self.disk.deleted(filename)


class RecordingFile(apsw.VFSFile):
    """A file whose changes are noted; it syncs nothing really."""

    def __init__(
        self, disk: Disk, path: str, name: str | apsw.URIFilename, flags: list[int]
    ) -> None:
        made = not Path(path).exists()
        super().__init__("", name, flags)
        self.disk = disk
        self.path = Path(path)
        self.file = disk.opened(path, made=made)

    def xWrite(self, data: apsw.Buffer, offset: int) -> None:  # type: ignore[name-defined]  # noqa: N802
        """See SQLite."""
        self.disk.on_operation("write", self.path)
        super().xWrite(data, offset)
        self.disk.log.append(Operation("write", self.file, offset=offset, data=bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        """See SQLite."""
        self.disk.on_operation("truncate", self.path)
        super().xTruncate(newsize)
        self.disk.log.append(Operation("truncate", self.file, offset=newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        """See SQLite."""
        try:
            self.disk.on_operation("sync", self.path)
        except BaseException:
            self.disk.log.append(Operation("fail", self.file))
            raise
        self.disk.log.append(Operation("sync", self.file))
