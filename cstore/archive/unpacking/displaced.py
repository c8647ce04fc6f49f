"""What later entries of an archive displace: kept until the end, because the archive must come out again with it.

An archive may hold the same name twice, or replace a directory by a link. The tree ends as the last entry wants it, but
a file's contents are in no other place than the tree. So they are not deleted: they move to a directory of random name
in the tree's root (anywhere else could be another file system), and go into the tar-split when the archive has ended.
This is the part of the process that fills the tree; `cstore.archive.unpacking.amend` is the other one.
"""

from __future__ import annotations

import os

from cstore.archive.unpacking.seen import Numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST = 200_000
"""Displacements that are remembered one by one: some hundred bytes each."""

NOTHING_KEPT = -1


class DisplacedReport:
    """What the tar-split must be told. Positions are line numbers in it.

    Attributes:
        name: of the directory in the tree's root; empty if there is none.
        displaced: (position, path, item): at this line, what was at the path gave way. The item is the name under which
            it lies in the displaced, NOTHING_KEPT if nothing was worth keeping.
        carried: positions, ascending, of lines whose files cannot be found by their names without following links.
        items: the names of those files in the displaced.
        dropped: positions, ascending, of lines without contents that could bear the name of another line.
    """

    def __init__(self) -> None:
        self.name = b""
        self.displaced: list[tuple[int, bytes, int]] = []
        self.carried, self.items, self.dropped = Numbers(), Numbers(), Numbers()

    def __bool__(self) -> bool:
        return bool(self.displaced or self.carried or self.dropped)

    def pack(self) -> tuple[Any, ...]:
        """A form that marshal(3) can write."""
        return (self.name, self.displaced, self.carried.pack(), self.items.pack(), self.dropped.pack())

    @classmethod
    def unpack(cls, parts: tuple[Any, ...]) -> DisplacedReport:
        """Undo `pack`."""
        report = cls()
        report.name, report.displaced, *numbers = parts
        report.carried, report.items, report.dropped = map(Numbers, numbers)
        return report


class Displaced:
    """Takes what is displaced.

    Attributes:
        report: what it has taken.
    """

    def __init__(self, root_fd: int) -> None:
        self.report = DisplacedReport()
        self._root = root_fd
        self._fd = -1
        self._items = 0

    def displace(self, fd: int, base: bytes, path: bytes, position: int) -> None:
        """Move a file or directory out of the way."""
        self._note(position, path, self._next_item())
        os.rename(base, self._last_name, src_dir_fd=fd, dst_dir_fd=self._fd)

    def supersede(self, path: bytes, position: int) -> None:
        """What had no contents gave way and was removed, or is a directory listed again."""
        self._note(position, path, NOTHING_KEPT)

    def carry(self, fd: int, base: bytes, position: int) -> None:
        """Keep a second name for a file whose line's name leads through links."""
        self.report.items.append(self._next_item())
        self.report.carried.append(position)
        os.link(base, self._last_name, src_dir_fd=fd, dst_dir_fd=self._fd, follow_symlinks=False)

    def drop(self, position: int) -> None:
        """A line without contents must go: it made nothing, or its name leads through links that may change."""
        self.report.dropped.append(position)

    def _note(self, position: int, path: bytes, item: int) -> None:
        self.report.displaced.append((position, path, item))
        if len(self.report.displaced) > _MOST:
            raise OverflowError(f"more than {_MOST} of its entries replace earlier ones")

    def _next_item(self) -> int:
        if self._fd < 0:
            self.report.name = name = b".cstore-" + os.urandom(16).hex().encode()
            os.mkdir(name, 0o700, dir_fd=self._root)
            self._fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._root)
        self._items += 1
        return self._items

    @property
    def _last_name(self) -> bytes:
        return b"%d" % self._items
