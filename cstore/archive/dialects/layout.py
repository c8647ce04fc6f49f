"""Lay out a layer's archive in one dialect: its headers, and the files that the bodies come from."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cstore.archive.dialects.encode import Named, encode
from cstore.archive.dialects.table import RECORD_END, Attributes, Dialect, Link, Owners, Time
from cstore.archive.names import join_name, split_name
from cstore.archive.tar import writer
from cstore.archive.tar.writer import padding
from cstore.archive.whiteout import OPAQUE_NAME, whiteout_name
from cstore.errors import ContentDamaged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.archive.dialects.scan import Node, Scan
    from cstore.archive.streams import Sink

_SECOND = 1_000_000_000
_BLOCK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Guess(NamedTuple):
    """A guess of facts that the layer lacks: mode and time of the root, and time of its whiteouts, in seconds."""

    root: tuple[int, int] | None = None
    whiteouts: int | None = None


class Piece(NamedTuple):
    """The headers of an entry, the file with its body if it has one, and the body's size."""

    header: bytes
    node: Node | None
    size: int
    whiteout: bool


class Archive:
    """A layer's archive in one dialect.

    Attributes:
        pieces: all entries in order.
        size: the size of the archive in bytes.
        dialect: its dialect.
    """

    def __init__(self, scan: Scan, dialect: Dialect, pieces: Sequence[Piece]) -> None:
        self.pieces, self.dialect = pieces, dialect
        self._scan = scan
        body = sum(len(piece.header) + piece.size + -piece.size % 512 for piece in pieces)
        self._body = body
        if dialect.end < 0:
            self.size = body - (-pieces[-1].size % 512 if pieces else 0)
        elif dialect.end == RECORD_END:
            self.size = -(-(body + 1024) // RECORD_END) * RECORD_END
        else:
            self.size = body + dialect.end

    def write(self, sink: Sink, start: int = 0, stop: int | None = None) -> None:
        """Write the pieces from `start` to before `stop`; without `stop`, to the end of the archive.

        Raises:
            ContentDamaged: a file was truncated since the scan.
            OSError: a file cannot be read.
        """
        last = len(self.pieces) - 1
        for number, piece in enumerate(self.pieces[start:stop], start):
            sink.write(piece.header)
            if piece.node is not None and piece.size:
                self._copy(piece.node, piece.size, sink)
                if number != last or self.size >= self._body:
                    sink.write(padding(piece.size))
        if stop is None and self.size > self._body:
            sink.write(bytes(self.size - self._body))

    def _copy(self, node: Node, size: int, sink: Sink) -> None:
        descriptor = os.open(self._scan.place(node), _READ)
        try:
            left = size
            while left and (block := os.read(descriptor, min(left, _BLOCK))):
                sink.write(block)
                left -= len(block)
        finally:
            os.close(descriptor)
        if left:
            raise ContentDamaged("", os.fsdecode(node.path), "was truncated while it was read")


def lay_out(scan: Scan, dialect: Dialect, order: Sequence[Node], guess: Guess = Guess()) -> Archive:  # noqa: B008
    """Lay out an archive: build all headers.

    Raises:
        ValueError: the dialect cannot hold an entry.
        Unsupported: no tar can hold it.
    """
    return Archive(scan, dialect, _Layout(scan, dialect, guess).run(order))


class _Layout:
    """One archive being laid out."""

    def __init__(self, scan: Scan, dialect: Dialect, guess: Guess) -> None:
        self._scan, self._dialect, self._guess = scan, dialect, guess
        self._written: dict[int, bytes] = {}
        self._first_whiteout = b""
        self._begun = min((node.birth for node in scan.nodes if node.birth), default=0)

    def run(self, order: Sequence[Node]) -> list[Piece]:
        """Lay out the entries in order."""
        dialect, pieces = self._dialect, list[Piece]()
        if dialect.whiteouts_first:
            first = sorted((node for node in order if node.whiteout), key=lambda node: node.path)
            order = [*first, *(node for node in order if not node.whiteout)]
        for node in order if dialect.root is None else (self._scan.root, *order):
            # The unpacking program created a directory for its contents, if its time is not one of the archive's.
            implied = node.is_directory and node.parent is not None and 0 < self._begun <= node.status.st_mtime_ns
            if dialect.given_only and implied:
                continue
            entry = self._entry(node)
            body = node if entry.type == writer.REGULAR and not node.whiteout else None
            pieces.append(Piece(encode(dialect.form, entry), body, entry.size, node.whiteout))
            if node.opaque:
                name = join_name(entry.name.rstrip(b"/"), OPAQUE_NAME)
                marker = Named(name, writer.REGULAR, entry.mode & 0o777, entry.uid, entry.gid, 0, 0)
                marker.user, marker.group = entry.user, entry.group
                pieces.append(Piece(encode(dialect.form, marker), None, 0, False))
        return pieces

    def _entry(self, node: Node) -> Named:
        dialect, status = self._dialect, node.status
        mode = status.st_mode if dialect.type_bits else status.st_mode & 0o7777
        seconds, nanoseconds = divmod(status.st_mtime_ns, _SECOND)
        if dialect.time is Time.ROUND:
            seconds += nanoseconds >= _SECOND // 2
        if node.parent is None and self._guess.root is not None:
            mode = mode & ~0o7777 | self._guess.root[0]
            seconds, nanoseconds = self._guess.root[1], 0
        name = dialect.prefix + node.path + (b"/" if node.is_directory and dialect.slash else b"")
        if node.parent is None:
            name = dialect.root or b""
        entry = Named(name, writer.TYPES[stat.S_IFMT(status.st_mode)], mode, *node.owner, 0, seconds)
        entry.nanoseconds = nanoseconds if dialect.time is Time.EXACT else 0
        entry.user, entry.group = _names(dialect.owners, *node.owner)
        entry.numeric = dialect.owners is Owners.NONE
        if node.whiteout:
            self._turn_to_whiteout(node, entry)
            return entry
        if entry.type in {writer.CHARACTER, writer.BLOCK}:
            entry.device = os.major(status.st_rdev), os.minor(status.st_rdev)
        entry.linkname = node.link
        if not node.is_directory and status.st_nlink > 1:
            first = self._written.setdefault(status.st_ino, entry.name)
            if first is not entry.name:
                entry.type, entry.linkname = writer.LINK, dialect.link_prefix + first
        if entry.type == writer.REGULAR:
            entry.size = status.st_size
        entry.xattrs = tuple(pair for pair in node.xattrs if _is_written(dialect.attributes, pair[0]))
        return entry

    def _turn_to_whiteout(self, node: Node, entry: Named) -> None:
        dialect, raw = self._dialect, entry.name
        folder, base = split_name(raw)
        entry.name = join_name(folder, whiteout_name(base))
        entry.type, entry.mode, entry.nanoseconds = writer.REGULAR, dialect.whiteout_mode, 0
        parent = node.parent or node
        entry.mtime = parent.seconds if self._guess.whiteouts is None else self._guess.whiteouts
        if dialect.whiteout_zero:
            entry.mtime = 0
        if not self._first_whiteout:
            self._first_whiteout = raw if dialect.whiteout_link is Link.DEVICE else entry.name
        elif dialect.whiteout_link is not Link.NONE:
            entry.linkname = self._first_whiteout


def _is_written(kept: Attributes, name: bytes) -> bool:
    if kept is Attributes.CONTAINERS:
        return name in {b"security.capability", b"security.ima"} or name.startswith(b"user.")
    return kept is Attributes.ALL or (kept is Attributes.CAPABILITY and name == b"security.capability")


@cache
def _names(owners: Owners, uid: int, gid: int) -> tuple[bytes, bytes]:
    if owners is Owners.NONE:
        return b"", b""
    if owners is Owners.ROOT:
        return b"root", b"root"
    missing = (b"%d" % uid, b"%d" % gid) if owners is Owners.NUMBER else (b"", b"")
    return _user(uid) or missing[0], _group(gid) or missing[1]


@cache
def _user(uid: int) -> bytes:
    try:
        return os.fsencode(pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return b""


@cache
def _group(gid: int) -> bytes:
    try:
        return os.fsencode(grp.getgrgid(gid).gr_name)
    except (KeyError, OverflowError):
        return b""
