"""tar-split: all of an archive except the contents of its files, as lines of JSON (archive 9, store-format 8).

A line is either a segment of raw bytes, or a file: its name, size and CRC-64/GO-ISO. The lines in order, with the
contents of the files read from the layer, are the archive. Rebuilding needs no lines for files without contents, but
other programs expect one for each entry.
"""

from __future__ import annotations

import os
import stat
from binascii import a2b_base64, b2a_base64

from cstore import errors
from cstore.fs import within
from cstore.tuples import NamedTuple
from cstore.values import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from queue import SimpleQueue
    from types import TracebackType
    from typing import Any, Self
else:
    from _queue import SimpleQueue  # `queue` takes longer to import


LARGEST_SEGMENT = 1 << 20
"""Bytes in the largest segment that we write."""

LONGEST_LINE = 1 << 26
"""Bytes in the longest line that we read: other programs write headers of any length as one segment."""

_FILE, _SEGMENT = 1, 2
_CHECKSUM_SIZE = 8
_BATCH = 1 << 19
_FEW_LINES = 1 << 17
_MOST_BATCHES = 8  # a stream of headers alone must not pile up in memory before the compressor
_LEVEL = 1
MANY_LINES = 5_000
"""Lines from which on the JSON decoder pays off: it takes a third of the time per line, but must be imported first."""

SEGMENT_HEAD = b'{"type":2,"payload":"'
_FILE_HEAD = [b"{", b"type", b":1,", b"name", b":"]
_BARE_TAIL = [b",", b"payload", b":null,", b"position"]
_MOST_DIGITS = 18
_UNESCAPED = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
_PLAIN_CHARACTERS = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\<>&')


class Segment(NamedTuple):
    """Raw bytes of the archive."""

    payload: bytes


class FileEntry(NamedTuple):
    """An entry whose contents, if `size` is not 0, are in a file of the layer.

    Attributes:
        name: the name in the archive, not cleaned.
        size: the size in its header, in bytes; other programs may leave it out.
        checksum: CRC-64/GO-ISO of the contents; None without contents.
        position: the number of the line, from 0.
    """

    name: bytes
    size: int
    checksum: int | None
    position: int


class Packer:
    """Encodes lines, and passes them to `sink` in batches.

    Attributes:
        position: the number of the next line.
    """

    def __init__(self, sink: Callable[[list[bytes]], object]) -> None:
        self._sink = sink
        self._lines: list[bytes] = []
        self._size = 0
        self.position = 0

    def segment(self, payload: bytes | memoryview) -> None:
        """Add raw bytes, in several lines if they exceed the largest segment."""
        if len(payload) > LARGEST_SEGMENT:
            for place in range(0, len(payload), LARGEST_SEGMENT):
                self.segment(payload[place : place + LARGEST_SEGMENT])
            return
        encoded = b2a_base64(payload, newline=False)
        self._lines.append(b'{"type":2,"payload":"%b","position":%d}\n' % (encoded, self.position))
        self.position += 1
        self._size += len(encoded)
        if self._size > _BATCH:
            self.flush()

    def file(self, name: bytes, size: int, checksum: int) -> None:
        """Add a file with contents."""
        encoded = b2a_base64(checksum.to_bytes(8, "big"), newline=False)
        parts = (_name_field(name), size, encoded, self.position)
        self._lines.append(b'{"type":1,%b"size":%d,"payload":"%b","position":%d}\n' % parts)
        self.position += 1

    def bare(self, name: bytes) -> None:
        """Add an entry without contents."""
        self._lines.append(b'{"type":1,%b"payload":null,"position":%d}\n' % (_name_field(name), self.position))
        self.position += 1

    def flush(self) -> None:
        """Pass the remaining lines to `sink`."""
        if self._lines:
            self._sink(self._lines)
            self._lines = []
            self._size = 0


def _name_field(name: bytes) -> bytes:
    if not name.translate(None, _PLAIN_CHARACTERS):
        return b'"name":"%b",' % name if name else b""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return b'"name_raw":"%b",' % b2a_base64(name, newline=False)
    from cstore import gojson

    return b'"name":%b,' % gojson.encode(text)


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _compressor(size: int) -> Any:
    """Return a compressor: the fast library's, unless the first batch of lines, of `size` bytes, is small.

    A small first batch is the whole file, and importing the fast library would take longer than it saves.
    """
    if size < _FEW_LINES:
        import zlib

        return zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    from isal import isal_zlib

    return isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)


class SplitFile:
    """A new gzipped tar-split file with mode 0600. `write` is a sink for a `Packer`; a thread compresses the lines.

    Use it as a context manager: after the block the file is complete. If the block raises, the file stays incomplete.
    """

    def __init__(self, path: str, *, sync: bool) -> None:
        from cstore.kernel.threads import start_thread

        self._path = path
        self._sync = sync
        self._compressor: Any = None
        self._failure: Exception | None = None
        self._queue: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(_MOST_BATCHES):
            self._room.put(None)
        try:
            self._fd = within.open_path(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        except OSError as error:
            raise errors.SystemFailure("create", path, error) from error
        try:
            self._thread = start_thread(self._drain)
        except errors.SystemFailure:
            os.close(self._fd)
            raise

    def write(self, lines: list[bytes]) -> None:
        """Queue lines for compression.

        Raises:
            SystemFailure: earlier lines could not be written.
        """
        self._raise_failure()
        self._room.get()
        self._queue.put(lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._queue.put(None)
            self._thread.join()
            if kind is None:
                self._raise_failure()
                self._put(self._compressor.flush() if self._compressor else _compressor(0).flush())
                if self._sync:
                    os.fdatasync(self._fd)
        except OSError as failure:
            raise errors.SystemFailure("write", self._path, failure) from failure
        finally:
            try:
                os.close(self._fd)
            except OSError as failure:  # some file systems report a failed write only here
                raise errors.SystemFailure("write", self._path, failure) from failure

    def _raise_failure(self) -> None:
        if isinstance(self._failure, OSError):
            raise errors.SystemFailure("write", self._path, self._failure) from self._failure
        if self._failure is not None:
            raise self._failure

    def _drain(self) -> None:
        # After a failure, keep emptying the queue: the producer must not wait for room in it.
        while (lines := self._queue.get()) is not None:
            self._room.put(None)
            if self._failure is None:
                try:
                    text = b"".join(lines)
                    self._compressor = self._compressor or _compressor(len(text))
                    self._put(self._compressor.compress(text))
                except Exception as error:  # noqa: BLE001  - it is raised again in the producer's thread
                    self._failure = error

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_lines(path: str) -> Iterator[Segment | FileEntry]:
    """Read a tar-split file line by line.

    Raises:
        TarSplitDamaged: the file is not gzip, is truncated, or has an invalid line.
        SystemFailure: it cannot be read.
    """
    count = 0
    for piece in read_pieces(path):
        texts = piece[:-1].split(b"\n")
        count += len(texts)
        for text in texts:
            yield read_line(text, path, few=count < MANY_LINES)


def read_line(text: bytes, path: str, *, few: bool) -> Segment | FileEntry:
    """Parse a line. `few`: fewer than `MANY_LINES` are read, so importing the JSON decoder does not pay off.

    Raises:
        TarSplitDamaged: the line is invalid.
    """
    if few and (line := _read_common(text)) is not None:
        return line
    import msgspec

    try:
        if not _decoders:
            _decoders.append(_make_decoder())
        return _to_line(_decoders[0](text))
    except (msgspec.MsgspecError, ValueError) as error:
        lines = (line for piece in read_pieces(path) for line in piece[:-1].split(b"\n"))
        number = next(number for number, line in enumerate(lines, 1) if line == text)
        raise errors.TarSplitDamaged(path, f"line {number}: {error}") from None


_decoders: list[Callable[[bytes], Any]] = []
"""The decoder of lines in any spelling, after its first use."""


def _read_common(text: bytes) -> Segment | FileEntry | None:
    """Read a line in the spelling that the Go tool and cstore use for nearly all lines; None for any other."""
    if text.startswith(SEGMENT_HEAD):
        head, _, position = text.partition(b'","position":')
        if not position[:-1].isdigit() or not position.endswith(b"}"):
            return None
        try:
            return Segment(a2b_base64(head[len(SEGMENT_HEAD) :], strict_mode=True))
        except ValueError:
            return None
    parts = text.split(b'"')  # a quote in a name has a backslash before it
    name = parts[5] if len(parts) in {11, 15} else b""
    place = _number(parts[-1], b"}")
    if parts[:5] != _FILE_HEAD or not name or name.translate(None, _UNESCAPED) or place is None:
        return None
    if parts[6:-1] == _BARE_TAIL:
        return FileEntry(name, 0, None, place)
    size, payload = _number(parts[8], b","), parts[11:12]
    if not size or parts[6:-1] != [b",", b"size", parts[8], b"payload", b":", *payload, b",", b"position"]:
        return None
    try:
        checksum = a2b_base64(payload[0], strict_mode=True)
    except ValueError:
        return None
    return FileEntry(name, size, int.from_bytes(checksum, "big"), place) if len(checksum) == _CHECKSUM_SIZE else None


def _number(text: bytes, end: bytes) -> int | None:
    """Read the number between two strings of a line; None if it is not written in the usual way."""
    digits = text[1:-1]
    usual = text[:1] == b":" and text[-1:] == end and digits.isdigit() and len(digits) <= _MOST_DIGITS
    return int(digits) if usual and (digits[:1] != b"0" or digits == b"0") else None


def _make_decoder() -> Callable[[bytes], Any]:
    import msgspec

    fields: list[tuple[str, type, Any]] = [
        ("type", int, 0),
        ("name", str, ""),
        ("name_raw", bytes, b""),
        ("size", int, 0),
        ("payload", cast("type", bytes | None), None),
        ("position", int, 0),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("Line", fields, gc=False)).decode


def _to_line(line: Any) -> Segment | FileEntry:
    if line.type == _SEGMENT:
        return Segment(line.payload or b"")
    if line.type != _FILE:
        raise ValueError(f"its type, {line.type}, is unknown")
    if line.size < 0:
        raise ValueError("the size of a file is negative")
    if line.payload and len(line.payload) != _CHECKSUM_SIZE:
        raise ValueError(f"its checksum has {len(line.payload)} bytes")
    checksum = int.from_bytes(line.payload, "big") if line.payload else None
    if line.size and checksum is None:
        raise ValueError("a file has contents but no checksum")
    return FileEntry(line.name_raw or line.name.encode(), line.size, checksum, line.position)


def read_pieces(path: str) -> Iterator[bytes]:
    """Yield the lines of a tar-split file, with line ends, many at once.

    Raises:
        TarSplitDamaged, SystemFailure: as `read_lines`.
    """
    from cstore.archive.directories import open_quietly

    try:
        fd = open_quietly(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise errors.SystemFailure("read", path, error) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise errors.TarSplitDamaged(path, "it is not a regular file")
        if not status.st_size:
            raise errors.TarSplitDamaged(path, "it is empty")
        from cstore.archive.compression import Compression, open_decoder
        from cstore.archive.streams import BUFFER_SIZE, FileReader, fill

        decoder = open_decoder(Compression.GZIP, FileReader(fd, path), status.st_size)
        buffer = memoryview(bytearray(BUFFER_SIZE))
        begun = b""
        while count := fill(decoder, buffer):
            data = begun + buffer[:count]
            end = data.rfind(b"\n") + 1
            begun = data[end:]
            if end:
                yield data[:end]
            if len(begun) > LONGEST_LINE:
                raise errors.TarSplitDamaged(path, f"it has a line of more than {LONGEST_LINE} bytes")
        if begun:
            raise errors.TarSplitDamaged(path, "its last line is not complete")
    except errors.ArchiveError as error:
        raise errors.TarSplitDamaged(path, error.message) from error
    finally:
        os.close(fd)
