"""Amend a tar-split for displaced entries, so that every line refers to exactly one file.

Only archives need this that have a name twice, replace a directory, or have files behind links. Their tar-split is
rewritten once: contents that cannot be found by name become raw bytes in it.
"""

from __future__ import annotations

import os
from bisect import bisect_left

from fastcrc import crc64

from cstore.archive.names import clean_name
from cstore.archive.tarsplit import LARGEST_SEGMENT, Packer, Segment, SplitFile, read_lines
from cstore.archive.unpacking.displaced import NOTHING_KEPT
from cstore.errors import SystemFailure, TarSplitDamaged
from cstore.fs.scoped import open_beneath
from cstore.fs.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.tarsplit import FileEntry
    from cstore.archive.unpacking.displaced import DisplacedReport


def amend(tar_split: str, tree: str, report: DisplacedReport, *, sync: bool) -> None:
    """Rewrite the tar-split, and remove the displaced files from the tree.

    Raises:
        SystemFailure: the tar-split cannot be written, or the displaced files cannot be read or removed.
    """
    if report:
        _rewrite(tar_split, tree, report, sync=sync)
    if report.name:
        displaced = os.path.join(tree, os.fsdecode(report.name))
        try:
            root = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                status = os.fstat(root)
                remove_tree(displaced)
                os.utime(root, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(root)
        except OSError as error:
            raise SystemFailure("remove", displaced, error) from error


def _rewrite(tar_split: str, tree: str, report: DisplacedReport, *, sync: bool) -> None:
    amended = f"{tar_split}.amended"
    displaced = os.open(os.path.join(tree, os.fsdecode(report.name)), os.O_PATH | os.O_CLOEXEC) if report.name else -1
    try:
        with SplitFile(amended, sync=sync) as file:
            packer = Packer(file.write)
            locator = _Locator(report)
            for line in read_lines(tar_split):
                if isinstance(line, Segment):
                    packer.segment(line.payload)
                else:
                    _write_entry(packer, line, locator, displaced)
            packer.flush()
        os.rename(amended, tar_split)
    except OSError as error:
        raise SystemFailure("write", amended, error) from error
    finally:
        if displaced >= 0:
            os.close(displaced)


def _write_entry(packer: Packer, line: FileEntry, locator: _Locator, displaced: int) -> None:
    kept = locator.locate(line)
    if kept is None:
        if line.checksum is None:
            packer.bare(line.name)
        else:
            packer.file(line.name, line.size, line.checksum)
    elif line.checksum is not None:
        for piece in _read_verified(displaced, kept, line):
            packer.segment(piece)


class _Locator:
    """Decides for each line whether its file is at the path in its name."""

    def __init__(self, report: DisplacedReport) -> None:
        self._carried, self._items = report.carried.view(), report.items.view()
        self._dropped = report.dropped.view()
        self._displaced: dict[bytes, list[tuple[int, int]]] = {}
        for position, path, item in report.displaced:
            self._displaced.setdefault(path, []).append((position, item))

    def locate(self, line: FileEntry) -> bytes | None:
        """Find a line's file.

        Returns:
            None if it is at the line's path; else its path in the displaced directory, or b"" if there is no file.
        """
        place = bisect_left(self._carried, line.position)
        if place < len(self._carried) and self._carried[place] == line.position:
            return b"%d" % self._items[place]
        place = bisect_left(self._dropped, line.position)
        if place < len(self._dropped) and self._dropped[place] == line.position:
            return b""
        name = clean_name(line.name)
        return min(self._displacements(name, line.position), default=(0, None))[1]

    def _displacements(self, name: bytes, position: int) -> Iterator[tuple[int, bytes]]:
        """Yield when and where the file was displaced after its line, alone or with a directory that contained it."""
        for when, item in self._displaced.get(name, ()):
            if when > position:
                yield when, b"" if item == NOTHING_KEPT else b"%d" % item
        end = len(name)
        while (end := name.rfind(b"/", 0, end)) > 0:
            for when, item in self._displaced.get(name[:end], ()):
                if when > position and item != NOTHING_KEPT:
                    yield when, b"%d%b" % (item, name[end:])


def _read_verified(displaced: int, path: bytes, line: FileEntry) -> Iterator[bytes]:
    """Read a displaced file, and verify that it is the one that was unpacked."""
    fd = open_beneath(displaced, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    checksum, size = crc64.go_iso(b""), 0
    try:
        while piece := os.read(fd, LARGEST_SEGMENT):
            checksum = crc64.go_iso(piece, checksum)
            size += len(piece)
            yield piece
    finally:
        os.close(fd)
    if (checksum, size) != (line.checksum, line.size):
        raise TarSplitDamaged(os.fsdecode(line.name), "a displaced file changed while the archive was unpacked")
