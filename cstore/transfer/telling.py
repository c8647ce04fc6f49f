"""Readers and sinks of blobs that verify digest and size at the end, and report progress."""

from __future__ import annotations

from contextlib import contextmanager

from cstore.archive.streams import HashingSink
from cstore.digests import algorithm_of, digest_from, new_hash
from cstore.errors import ImageArchiveError
from cstore.transfer.contract import BlobDone, BlobProgress
from cstore.transfer.members import Part
from cstore.transfer.oci_layout import check_size, digest_differs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from cstore.archive.streams import ReadInto, Sink
    from cstore.transfer.contract import Tell
    from cstore.transfer.manifests import Descriptor

    Opener: TypeAlias = Callable[[Descriptor], AbstractContextManager[ReadInto]]


class TellingSink(HashingSink):
    """Hashes what is written of a blob, passes it on and tells how much it was."""

    def __init__(self, sink: Sink, blob: Descriptor, tell: Tell) -> None:
        super().__init__(sink, algorithm_of(blob.digest))
        self._blob, self._tell = blob, tell

    def write(self, data: bytes | memoryview, /) -> None:
        """Take all of `data`."""
        super().write(data)
        self._tell(BlobProgress(self._blob.digest, self.count, self._blob.size))


class Verified:
    """Reads a blob, and raises at its end, or past it, if it was not the one that was described."""

    def __init__(self, source: ReadInto, blob: Descriptor, tell: Tell | None = None) -> None:
        self._source, self._blob, self._tell = source, blob, tell
        self._hash = new_hash(algorithm_of(blob.digest))
        self._count = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Read once.

        Raises:
            ImageArchiveError: the blob is another one.
        """
        count = self._source.readinto(buffer)
        self._count += count
        if count == 0 or self._count > self._blob.size >= 0:
            check_size(self._blob.digest, self._blob.size, self._count)
            if digest_from(self._hash) != self._blob.digest:
                raise digest_differs(self._blob.digest, self._blob.digest, digest_from(self._hash))
            return 0
        self._hash.update(buffer[:count])
        if self._tell is not None:
            self._tell(BlobProgress(self._blob.digest, self._count, self._blob.size))
        return count


class LayerPart(Part):
    """A layer that is not a part of a file, as a member of an archive: `give` opens it."""

    blob: Descriptor | None = None
    give: Opener | None = None
    tell: Tell | None = None

    @contextmanager
    def opened(self) -> Iterator[ReadInto]:  # type: ignore[override]  # it reads, as a part of a file does
        """Give a reader."""
        if self.blob is None or self.give is None:
            raise ImageArchiveError(self.name, "its location is unknown")
        with self.give(self.blob) as reader:
            yield reader if self.tell is None else Verified(reader, self.blob, self.tell)
        if self.tell is not None:
            self.tell(BlobDone(self.blob.digest, self.blob.size))
