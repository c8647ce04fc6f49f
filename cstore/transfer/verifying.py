"""Verifies a layer against its description: while it is unpacked, or alone if the store has it already."""

from __future__ import annotations

from cstore.archive.compression import LONGEST_MAGIC, Compression, open_decoder, sniff
from cstore.archive.names import show_name
from cstore.archive.streams import BUFFER_SIZE, CountingReader, PeekingReader
from cstore.digests import algorithm_of, digest_from, new_hash
from cstore.errors import ImageArchiveError
from cstore.transfer.oci_layout import check_size, digest_differs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.apply import Applied
    from cstore.archive.compression import Decoder
    from cstore.archive.streams import ReadInto, Sink
    from cstore.transfer.plan import LayerPlan


def uncompressed(source: ReadInto, window: int = 0) -> Decoder:
    """Give back what was compressed, in whatever way, or not. `window`: see `open_decoder`."""
    peeking = PeekingReader(source)
    return open_decoder(sniff(peeking.peek(LONGEST_MAGIC)), peeking, window=window)


def drained(source: ReadInto) -> Iterator[memoryview]:
    """Read something to its end, piece by piece; each is valid until the next."""
    buffer = memoryview(bytearray(BUFFER_SIZE))
    while count := source.readinto(buffer):
        yield buffer[:count]


def pour(source: ReadInto, sink: Sink) -> None:
    """Write everything from a reader."""
    for piece in drained(source):
        sink.write(piece)


class Delivery:
    """A layer's member on its way in.

    Attributes:
        source: what is to be unpacked.
        oddity: what is wrong with it and does no harm, or "".
        accepted: whether it has been unpacked and found to be what it should be.
    """

    def __init__(self, source: ReadInto, layer: LayerPlan) -> None:
        algorithm = algorithm_of(layer.digest)
        self._layer = layer
        # Unpacking takes SHA-256 of what comes, compressed or not; another algorithm is ours to do.
        self._counted = None if algorithm in {"", "sha256"} else CountingReader(source, algorithm)
        self.source: ReadInto = self._counted or source
        self.oddity = ""
        self.accepted = False

    def accept(self, applied: Applied) -> Applied:
        """Verify an unpacked layer against its description, and return what to record.

        A layer without a declared digest is recorded as if it had come uncompressed: the manifest that is made up for
        its image says so (docker 16).

        Raises:
            ImageArchiveError: the layer differs.
        """
        layer = self._layer
        if layer.changed is not None and applied.diff_digest != layer.diff_id:
            raise layer.changed
        check_size(layer.member, layer.size, applied.compressed_size)
        delivered = self._counted.digest if self._counted else applied.compressed_digest
        if layer.digest and delivered != layer.digest:
            raise digest_differs(layer.member, layer.digest, delivered)
        if applied.diff_digest != layer.diff_id:
            raise digest_differs(layer.member, layer.diff_id, applied.diff_digest, "DiffID")
        if applied.repeated and layer.changed is None:
            raise ImageArchiveError(
                layer.member,
                f"its entry {show_name(applied.repeated)!r} occurs twice, and no other program would accept it",
                hint="cstore import-layer accepts such archives",
                go_text="duplicates of file paths not supported",
            )
        if layer.compression not in {None, applied.compression}:
            self.oddity = f"{layer.member} is not compressed as its media type says, but: {applied.compression.label}"
        self.accepted = True
        if layer.digest:
            return applied.with_(compressed_digest=layer.digest)
        return applied.with_(
            compression=Compression.NONE,
            compressed_digest=applied.diff_digest,
            compressed_size=applied.diff_size,
        )


def verify(source: ReadInto, layer: LayerPlan, window: int = 0) -> None:
    """Read a layer's member that the store does not need, and hold it to its description all the same.

    `window`: see `open_decoder`.

    Raises:
        ArchiveError: the layer differs, or is not valid.
    """
    algorithm = algorithm_of(layer.digest) or "sha256"
    counted = CountingReader(source, algorithm if layer.digest else None)
    contents = new_hash()
    for piece in drained(uncompressed(counted, window)):
        contents.update(piece)
    check_size(layer.member, layer.size, counted.count)
    if layer.digest and counted.digest != layer.digest:
        raise digest_differs(layer.member, layer.digest, counted.digest)
    diff_id = digest_from(contents)
    if diff_id != layer.diff_id:
        raise layer.changed or digest_differs(layer.member, layer.diff_id, diff_id, "DiffID")
