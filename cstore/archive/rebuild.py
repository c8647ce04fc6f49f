"""Rebuild an imported archive byte for byte, from the tar-split and the layer's files.

The input is untrusted: names may point anywhere, and the layer may have changed since the import. Files are opened only
beneath the given directories, without following links. A file must be a regular file of the recorded size before any
of its bytes are written, and must have the recorded checksum before its last bytes are written.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.archive.composefs import enter_tree
from cstore.archive.names import clean_name, show_name, split_name
from cstore.archive.pipeline import PipelinedSink
from cstore.archive.tarsplit import FileEntry, Segment, read_lines
from cstore.archive.xattrs import has_contents
from cstore.contexts import ExitStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.archive.composefs import Tree
    from cstore.archive.streams import Sink


_ABSENT = frozenset({errno.ENOENT, errno.ENAMETOOLONG})
"""The file, or a directory in its path, does not exist."""

_BARRED = frozenset({errno.ENOTDIR, errno.ELOOP})
"""The file is a link, or a part of its path is a link or not a directory."""

_NO_FILE = frozenset({errno.ENXIO, errno.ENODEV})
"""A device without a driver, or a socket."""


def rebuild(
    tar_split: str,
    roots: Sequence[str],
    sink: Sink,
    layer: str,
    *,
    clean: Callable[[bytes], bytes] = clean_name,
) -> None:
    """Write the archive that a layer was imported from.

    Args:
        tar_split: path of the layer's tar-split file.
        roots: the directories that hold the layer's files, nearest first.
        sink: takes the archive, uncompressed. If this function raises, the sink has received only a part of it.
        layer: the layer's ID, for messages.
        clean: makes names relative and plain; the function that was used when the layer was unpacked.

    Raises:
        ContentDamaged: a file is missing, or differs from the imported one.
        TarSplitDamaged: the tar-split file is truncated, unreadable, or has a name that no layer can have.
        SystemFailure: the system cannot read the layer or write to the sink.
    """
    with ExitStack() as stack:
        trees = [enter_tree(stack, root, os.O_PATH) for root in roots]
        out = stack.enter_context(PipelinedSink(sink))
        rebuilding = _Rebuilding(tar_split, trees, out, layer, clean)
        for line in read_lines(tar_split):
            if isinstance(line, Segment):
                out.write(line.payload)
            elif line.size:
                rebuilding.add(line)


class _Rebuilding:
    """One archive being rebuilt."""

    def __init__(
        self,
        tar_split: str,
        trees: Sequence[Tree],
        out: PipelinedSink,
        layer: str,
        clean: Callable[[bytes], bytes],
    ) -> None:
        from fastcrc import crc64

        self._tar_split = tar_split
        self._trees = trees
        self._out = out
        self._layer = layer
        self._clean = clean
        self._crc: Callable[..., int] = crc64.go_iso

    def add(self, entry: FileEntry) -> None:
        """Write the contents of one file."""
        descriptor, tree = self._find(entry)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise self._damaged(entry, "is no longer a regular file")
            if status.st_size != entry.size:
                raise self._damaged(entry, f"has {status.st_size} bytes instead of {entry.size}")
            out, crc, left = self._out, self._crc, entry.size
            checksum: int | None = None
            while left:  # the last bytes stay buffered until more is written
                room = out.room(left)
                count = os.readv(descriptor, (room,))
                if not count:
                    raise self._damaged(entry, "was truncated while it was read")
                piece = room if count == len(room) else room[:count]
                checksum = crc(piece) if checksum is None else crc(piece, checksum)
                out.advance(count)
                left -= count
        except OSError as error:
            raise errors.SystemFailure("read", tree.shown(entry.name), error) from error
        finally:
            os.close(descriptor)
        if checksum != entry.checksum:
            raise self._damaged(entry, "has other contents")

    def _find(self, entry: FileEntry) -> tuple[int, Tree]:
        """Open the nearest file with an entry's name; return its descriptor and its tree."""
        try:
            path = self._clean(entry.name)
        except errors.ArchiveError as error:
            raise errors.TarSplitDamaged(self._tar_split, f"{show_name(entry.name)!r}: {error.message}") from error
        folder, name = split_name(path)
        reason = "is missing"
        for tree in self._trees:
            try:
                descriptor = tree.open_file(folder, name)
                if has_contents(descriptor):
                    return descriptor, tree
                os.close(descriptor)
            except ValueError as error:
                raise errors.TarSplitDamaged(
                    self._tar_split, f"{show_name(entry.name)!r} is not a file name"
                ) from error
            except OSError as error:
                if error.errno in _NO_FILE:
                    raise self._damaged(entry, "is no longer a regular file") from error
                if error.errno in _BARRED:
                    reason = "is missing, or is only reachable through a link"
                elif error.errno not in _ABSENT:
                    raise errors.SystemFailure("open", tree.shown(path), error) from error
        raise self._damaged(entry, reason)

    def _damaged(self, entry: FileEntry, reason: str) -> errors.ContentDamaged:
        return errors.ContentDamaged(self._layer, show_name(entry.name), reason)
