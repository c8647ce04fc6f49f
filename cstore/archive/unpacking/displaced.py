"""Keep files that later entries of an archive displace, because an export must still contain them.

An archive may contain the same name twice, or replace a directory by a link. The last entry decides the state of the
tree, but the contents of earlier files are stored nowhere else. So they are not deleted: they are moved to a directory
with a random name in the tree's root (elsewhere could be another file system), and to the tar-split after the last
entry. This module runs in the filling process; `cstore.archive.unpacking.amend` does the second step.
"""

from __future__ import annotations

import os

from cstore.archive.unpacking.seen import Numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST = 200_000
"""Displacements that are recorded at most: each takes about a hundred bytes."""

NOTHING_KEPT = -1


class DisplacedReport:
    """The facts for amending the tar-split. Positions are line numbers in it.

    Attributes:
        name: the name of the directory in the tree's root; empty if there is none.
        displaced: (position, path, item): this line displaced the file at the path. The item is its name in the
            directory, or NOTHING_KEPT if it had no contents to keep.
        carried: positions, ascending, of lines whose files cannot be found by their names without following links.
        items: the names of those files in the directory.
        dropped: positions, ascending, of lines without contents whose name may be that of another line.
    """

    def __init__(self) -> None:
        self.name = b""
        self.displaced: list[tuple[int, bytes, int]] = []
        self.carried, self.items, self.dropped = Numbers(), Numbers(), Numbers()

    def __bool__(self) -> bool:
        return bool(self.displaced or self.carried or self.dropped)

    def pack(self) -> tuple[Any, ...]:
        """Return the report in a form that marshal can write."""
        return (self.name, self.displaced, self.carried.pack(), self.items.pack(), self.dropped.pack())

    @classmethod
    def unpack(cls, parts: tuple[Any, ...]) -> DisplacedReport:
        """Create a report from the result of `pack`."""
        report = cls()
        report.name, report.displaced, *numbers = parts
        report.carried, report.items, report.dropped = map(Numbers, numbers)
        return report


class Displaced:
    """Moves displaced files to their directory.

    Attributes:
        report: the displaced files.
    """

    def __init__(self, root_fd: int) -> None:
        self.report = DisplacedReport()
        self._root = root_fd
        self._fd = -1
        self._items = 0

    def displace(self, fd: int, base: bytes, path: bytes, position: int) -> None:
        """Move a file or directory to the displaced directory."""
        self._note(position, path, self._next_item())
        os.rename(base, self._last_name, src_dir_fd=fd, dst_dir_fd=self._fd)

    def supersede(self, path: bytes, position: int) -> None:
        """Record that a file without contents was removed, or that a directory was listed again."""
        self._note(position, path, NOTHING_KEPT)

    def carry(self, fd: int, base: bytes, position: int) -> None:
        """Keep a second name of a file whose line's name leads through links."""
        self.report.items.append(self._next_item())
        self.report.carried.append(position)
        os.link(base, self._last_name, src_dir_fd=fd, dst_dir_fd=self._fd, follow_symlinks=False)

    def drop(self, position: int) -> None:
        """Mark a line without contents for deletion: it created nothing, or its name leads through links."""
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
