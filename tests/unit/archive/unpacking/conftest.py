"""Unpacking in tests: whatever is unpacked also proves that it can be given back, and that nothing is left behind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from cstore.archive.apply import Applied, ApplyOptions, apply_archive
from cstore.archive.names import clean_name
from cstore.archive.rebuild import rebuild
from cstore.archive.tarsplit import FileEntry, Segment, read_lines
from tests.builders import Entry, make_tar
from tests.processes import children, thread_count, wait_for_threads

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True)
class Unpacked:
    """What came of an archive."""

    tree: str
    tar_split: str
    applied: Applied

    def path(self, name: str) -> str:
        """Where a name of the archive is."""
        return os.path.join(self.tree, name)

    def read(self, name: str) -> bytes:
        """The contents of a file."""
        with open(self.path(name), "rb") as file:
            return file.read()

    def names(self) -> list[str]:
        """Everything in the tree, sorted."""
        found = []
        for folder, names, files in os.walk(self.tree):
            found += [os.path.relpath(os.path.join(folder, name), self.tree) for name in names + files]
        return sorted(found)

    def lines(self) -> list[Segment | FileEntry]:
        """The tar-split."""
        return list(read_lines(self.tar_split))

    def listed(self) -> list[bytes]:
        """The names in the tar-split."""
        return [line.name for line in self.lines() if isinstance(line, FileEntry)]


_THREADS_BEFORE = thread_count()
"""Those of the test runner itself."""

Unpacker = Callable[..., Unpacked]


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | memoryview, /) -> None:
        """Take all of `data`."""
        self.data += data


@pytest.fixture
def unpack(tmp_path: Path) -> Unpacker:
    """Unpack entries or bytes into a directory (a new one, or `into`); then prove what must hold for every archive."""
    count = 0

    def run(*parts: Entry | bytes, whole: bytes | None = None, into: str = "", **options: Any) -> Unpacked:
        nonlocal count
        count += 1
        data = make_tar(*parts) if whole is None else whole
        tree = into or str(tmp_path / f"tree{count}")
        os.makedirs(tree, exist_ok=True)
        tar_split = str(tmp_path / f"split{count}.gz")
        source = tmp_path / f"source{count}"
        source.write_bytes(data)
        fd = os.open(source, os.O_RDONLY)
        try:
            applied = apply_archive(fd, tree, tar_split, ApplyOptions(**{"sync": False, **options}))
        finally:
            os.close(fd)
            source.unlink()
            assert_nothing_runs()
        unpacked = Unpacked(tree, tar_split, applied)
        assert_given_back(unpacked, data)
        return unpacked

    return run


def assert_nothing_runs() -> None:
    """No worker and no thread of an import is left."""
    assert children() == []
    wait_for_threads(_THREADS_BEFORE)


def assert_given_back(unpacked: Unpacked, data: bytes) -> None:
    """The archive comes out of the tree as it went in, and every line names one file, once."""
    sink = Collected()
    rebuild(unpacked.tar_split, [unpacked.tree], sink, "a-layer")
    assert hashlib.sha256(sink.data).hexdigest() == unpacked.applied.diff_digest.removeprefix("sha256:")
    assert unpacked.applied.diff_size == len(sink.data)
    if unpacked.applied.compression == 0:
        assert sink.data == data
    assert_no_name_twice(unpacked.lines())
    assert [name for name in os.listdir(unpacked.tree) if name.startswith(".cstore-")] == []


def assert_no_name_twice(lines: Iterable[Segment | FileEntry]) -> None:
    """The Go tools refuse a tar-split in which two cleaned names are equal."""
    seen: set[bytes] = set()
    for number, line in enumerate(lines):
        if isinstance(line, FileEntry):
            name = clean_name(line.name)
            assert name not in seen
            assert line.position == number
            seen.add(name)
