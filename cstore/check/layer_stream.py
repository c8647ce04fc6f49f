"""Rebuild the archive that a layer was imported from, and record its length, its digest and all damaged files.

Unlike an export, this does not stop at damage. In place of a missing file, or one of another length, it emits the same
number of arbitrary bytes, so that the rest of the archive can still be checked.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from cstore.archive.composefs import enter_tree
from cstore.archive.names import clean_name, show_name, split_name
from cstore.archive.tarsplit import FileEntry, Segment, read_lines
from cstore.archive.xattrs import has_contents
from cstore.errors import ArchiveError, SystemFailure

if TYPE_CHECKING:
    from _hashlib import HASH
    from collections.abc import Callable, Generator, Iterator, Sequence
    from types import TracebackType

    from cstore.archive.composefs import Tree

WINDOW = 1 << 20
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV})
_NOT_OURS = frozenset({errno.EACCES, errno.EPERM})


class OutOfTime(Exception):
    """The time limit has passed."""


class FileProblem:
    """A damaged file of the archive: the problem is `missing`, `changed`, `resized` or `unreadable`; with a reason."""

    def __init__(self, name: bytes, problem: str, reason: str, evidence: dict[str, object]) -> None:
        self.name, self.problem, self.reason, self.evidence = name, problem, reason, evidence


class LayerStream:
    """The archive as windows for a `TarReader`. Use it as a context manager.

    Attributes:
        problems: damaged files.
        checksums: recorded checksums of all files with contents, by name in the archive.
        size: bytes so far.
    """

    def __init__(
        self, tar_split: str, roots: Sequence[str], *, deadline: float = 0.0, tick: Callable[[int], None] | None = None
    ) -> None:
        """Prepare to read. `roots` are the layer's directories, nearest first; pass none to read only the headers."""
        from fastcrc import crc64

        self._tar_split, self._paths = tar_split, roots
        self._deadline, self._tick = deadline, tick
        self._crc: Callable[..., int] = crc64.go_iso
        self._trees: list[Tree] = []
        self._stack = ExitStack()
        self._view = memoryview(bytearray(WINDOW))
        self._used = 0
        self._windows = self._produce()
        self._hash: HASH | None = None
        if roots:
            import hashlib

            self._hash = hashlib.sha256(usedforsecurity=False)
        self.problems: list[FileProblem] = []
        self.checksums: dict[bytes, int] = {}
        self.size = 0

    def __enter__(self) -> Self:
        self._trees = [enter_tree(self._stack, path, os.O_PATH) for path in self._paths]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._windows.close()
        self._stack.close()

    @property
    def digest(self) -> str:
        """The digest of the archive so far; "" if arbitrary bytes replaced some of it."""
        whole = self._hash is not None and not any(problem.problem != "changed" for problem in self.problems)
        return f"sha256:{self._hash.hexdigest()}" if whole and self._hash is not None else ""

    def advance(self) -> memoryview | None:
        """Return the next window (see `Windows`)."""
        return next(self._windows, None)

    def _produce(self) -> Generator[memoryview, None, None]:
        for line in read_lines(self._tar_split):
            if isinstance(line, Segment):
                payload: bytes | memoryview = line.payload
                while len(payload) > (room := WINDOW - self._used):
                    payload = memoryview(payload)
                    self._view[self._used :] = payload[:room]
                    self._used, payload = WINDOW, payload[room:]
                    yield self._pass_on()
                self._view[self._used : self._used + len(payload)] = payload
                self._used += len(payload)
                continue
            if not line.size:
                continue
            self.checksums[line.name] = line.checksum or 0
            descriptor = self._find(line) if self._trees else -1
            if descriptor < 0:
                yield from self._stand_in(line.size)
                continue
            try:
                yield from self._contents(line, descriptor)
            finally:
                os.close(descriptor)
        if self._used:
            yield self._pass_on()

    def _pass_on(self) -> memoryview:
        window = self._view[: self._used]
        if self._hash is not None:
            self._hash.update(window)
        self.size += self._used
        if self._tick is not None:
            self._tick(self._used)
        if self._deadline and time.monotonic() > self._deadline:
            raise OutOfTime
        self._used = 0
        return window

    def _stand_in(self, size: int) -> Iterator[memoryview]:
        while size:
            if self._used == WINDOW:
                yield self._pass_on()
            step = min(size, WINDOW - self._used)
            self._used += step
            size -= step

    def _contents(self, entry: FileEntry, descriptor: int) -> Iterator[memoryview]:
        left, crc, checksum = entry.size, self._crc, None
        while left:
            room = WINDOW - self._used
            # Pass a window on early rather than split a file between two, so that most files need one read.
            if not room or (left > room and room < WINDOW // 2):
                yield self._pass_on()
                room = WINDOW
            place = self._view[self._used : self._used + min(left, room)]
            try:
                count = os.readv(descriptor, (place,))
            except OSError as error:
                self._note(entry, "unreadable", f"cannot be read: {os.strerror(error.errno or 0)}", errno=error.errno)
                count = 0
            if not count:
                if not self.problems or self.problems[-1].name != entry.name:
                    self._note(entry, "missing", "was truncated while it was read")
                yield from self._stand_in(left)
                return
            piece = place[:count]
            checksum = crc(piece) if checksum is None else crc(piece, checksum)
            self._used += count
            left -= count
        if checksum != entry.checksum:
            found, recorded = f"{checksum or 0:016x}", f"{entry.checksum or 0:016x}"
            self._note(entry, "changed", "has other contents", found=found, recorded=recorded)

    def _find(self, entry: FileEntry) -> int:
        """Open the nearest regular file with the entry's name and length. If there is none, note it and return -1."""
        try:
            folder, base = split_name(clean_name(entry.name))
        except ArchiveError as error:
            self._note(entry, "missing", error.message)
            return -1
        for tree in self._trees:
            try:
                descriptor = tree.open_file(folder, base)
            except (OSError, ValueError) as error:
                number = error.errno if isinstance(error, OSError) else errno.ENOENT
                if number in _NOT_OURS and isinstance(error, OSError):
                    raise SystemFailure("read", tree.shown(entry.name), error) from None
                if number not in _ABSENT:
                    self._note(entry, "unreadable", f"cannot be opened: {os.strerror(number or 0)}", errno=number)
                    return -1
                continue
            if not has_contents(descriptor):
                os.close(descriptor)
                continue
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self._note(entry, "missing", "is no longer a regular file")
            elif status.st_size != entry.size:
                reason = f"has {status.st_size} bytes instead of {entry.size}"
                self._note(entry, "resized", reason, found=status.st_size, recorded=entry.size)
            else:
                return descriptor
            os.close(descriptor)
            return -1
        self._note(entry, "missing", "is missing")
        return -1

    def _note(self, entry: FileEntry, problem: str, reason: str, **evidence: object) -> None:
        self.problems.append(FileProblem(entry.name, problem, f"{show_name(entry.name)!r} {reason}", evidence))
