"""What an archive of given entries leads to expect."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from cstore.archive.tar.reader import ReaderWindows, TarReader
from cstore.check.expected import ExpectedTree
from tests.unit.check.tables import tar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.builders import Entry


class _Source:
    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readinto(self, buffer: memoryview, /) -> int:
        return self._data.readinto(buffer)


def expected(*entries: Entry, checksums: Mapping[bytes, int] | None = None) -> ExpectedTree:
    """The tree that these entries, of the user who runs the tests, lead to expect."""
    reader = TarReader(ReaderWindows(_Source(tar(*entries))), lambda _: None)
    tree = ExpectedTree()
    while (entry := reader.next()) is not None:
        tree.add(entry)
    tree.settle(checksums or {})
    return tree
