"""tar-split: all of an archive except the contents of its files, as lines of JSON (archive 9, store-format 8).

A line is either a segment of raw bytes or a file: its name, size and CRC-64/GO-ISO. Put together in order, with the
files' contents read from the layer, they are the archive again. Files without contents need no line to be put together,
but other programs expect one for each entry.
"""

from __future__ import annotations

import os
import stat
from binascii import a2b_base64, b2a_base64

from cstore import errors
from cstore.fs import within
from cstore.values import NamedTuple, cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from queue import SimpleQueue
    from types import TracebackType
    from typing import Any, Self
else:
    from _queue import SimpleQueue  # `queue` puts slower queues around it, which are longer to import


LARGEST_SEGMENT = 1 << 20
"""Bytes in a segment that we write."""

LONGEST_LINE = 1 << 26
"""Bytes in a line that we read: others write headers of any length as one segment."""

_FILE, _SEGMENT = 1, 2
_CHECKSUM_SIZE = 8
_BATCH = 1 << 19
_LEVEL = 1
_MANY_LINES = 5_000
"""The JSON decoder reads a line in a third of the time, but to load it takes as long as so many lines."""
_MANY_BYTES = 1 << 19
"""A compressed file of so many has more lines than that: the decoder is loaded at once."""

_SEGMENT_HEAD = b'{"type":2,"payload":"'
_FILE_HEAD = [b"{", b"type", b":1,", b"name", b":"]
_BARE_TAIL = [b",", b"payload", b":null,", b"position"]
_MOST_DIGITS = 18
_UNESCAPED = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
_PLAIN_CHARACTERS = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\<>&')


class Segment(NamedTuple):
    """Raw bytes of the archive."""

    payload: bytes


class FileEntry(NamedTuple):
    """An entry, whose contents (if `size` is not 0) are those of a file in the layer.

    Attributes:
        name: as in the archive, not cleaned.
        size: in bytes, as its header says; other programs may leave it out.
        checksum: CRC-64/GO-ISO of the contents; None without contents.
        position: number of the line, from 0.
    """

    name: bytes
    size: int
    checksum: int | None
    position: int


class Packer:
    """Writes the lines. Batches of them go to `sink` as they fill.

    Attributes:
        position: the number of the next line.
    """

    def __init__(self, sink: Callable[[list[bytes]], object]) -> None:
        self._sink = sink
        self._lines: list[bytes] = []
        self._size = 0
        self.position = 0

    def segment(self, payload: bytes | memoryview) -> None:
        """Add raw bytes, as several lines if they are many."""
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
        """Hand over what has not gone to `sink` yet."""
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


class SplitFile:
    """A new gzip'd tar-split file, 0600. `write` is a sink for a `Packer`; a thread compresses behind it.

    Used as a context manager: at the end of the block the file is complete. If the block raises, it is closed as it is.
    """

    def __init__(self, path: str, *, sync: bool) -> None:
        from threading import Semaphore

        from isal import isal_zlib

        from cstore.kernel.threads import start_thread

        self._path = path
        self._sync = sync
        self._compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
        self._failure: Exception | None = None
        self._queue: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self._room = Semaphore(8)  # a stream of headers alone must not pile up in memory before the compressor
        try:
            self._fd = within.open_path(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        except OSError as error:
            raise errors.SystemFailure("create", path, error) from error
        try:
            self._thread = start_thread("cstore-tar-split", self._drain)
        except errors.SystemFailure:
            os.close(self._fd)
            raise

    def write(self, lines: list[bytes]) -> None:
        """Take lines.

        Raises:
            SystemFailure: earlier ones could not be written.
        """
        self._raise_failure()
        self._room.acquire()
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
                self._finish()
        finally:
            self._close()

    def _close(self) -> None:
        try:
            os.close(self._fd)
        except OSError as error:  # what was written is not on the disk, and some file systems say so only here
            raise errors.SystemFailure("write", self._path, error) from error

    def _raise_failure(self) -> None:
        if isinstance(self._failure, OSError):
            raise errors.SystemFailure("write", self._path, self._failure) from self._failure
        if self._failure is not None:
            raise self._failure

    def _finish(self) -> None:
        try:
            self._put(self._compressor.flush())
            if self._sync:
                os.fdatasync(self._fd)
        except OSError as error:
            raise errors.SystemFailure("write", self._path, error) from error

    def _drain(self) -> None:
        # After a failure the queue is still emptied: the producer must not wait for room in it.
        while (lines := self._queue.get()) is not None:
            self._room.release()
            if self._failure is None:
                try:
                    self._put(self._compressor.compress(b"".join(lines)))
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
        TarSplitDamaged: not gzip, cut, or not such lines.
        SystemFailure: it cannot be read.
    """
    few = _MANY_LINES if _size_of(path) < _MANY_BYTES else 0
    for number, text in enumerate(_read_texts(path), 1):
        line = _read_common(text) if number < few else None
        yield line or _read_line(text, path, number)


def _size_of(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return 0  # whoever opens it says what is wrong


def last_files(path: str, top: bytes) -> dict[bytes, FileEntry]:
    """What a tar-split file says of a path and all below it: for each cleaned name its last entry, as in the layer.

    Raises:
        TarSplitDamaged, SystemFailure: as `read_lines`.
    """
    from cstore.archive.names import clean_name

    last, below = top.rpartition(b"/")[2], top + b"/" if top else b""
    found: dict[bytes, FileEntry] = {}
    left = _MANY_LINES
    for number, text in enumerate(_read_texts(path), 1):
        if text.startswith(_SEGMENT_HEAD) or (last not in text and b"\\" not in text and b"name_raw" not in text):
            continue  # most lines by far; to understand each would take long
        left -= 1
        line = (_read_common(text) if left > 0 else None) or _read_line(text, path, number)
        if isinstance(line, FileEntry):
            try:
                name = clean_name(line.name)
            except errors.ArchiveError:
                continue  # no name of anything in the layer
            if name == top or name.startswith(below):
                found[name] = line
    return found


def _read_common(text: bytes) -> Segment | FileEntry | None:
    """Read a line as the Go tool and cstore spell nearly all of them; None for any other."""
    if text.startswith(_SEGMENT_HEAD):
        head, _, position = text.partition(b'","position":')
        if not position[:-1].isdigit() or not position.endswith(b"}"):
            return None
        try:
            return Segment(a2b_base64(head[len(_SEGMENT_HEAD) :], strict_mode=True))
        except ValueError:
            return None
    parts = text.split(b'"')  # none of these can be in a name without a backslash before it
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
    """Read what stands between two strings of a line, if that is a number that is written in the usual way."""
    digits = text[1:-1]
    usual = text[:1] == b":" and text[-1:] == end and digits.isdigit() and len(digits) <= _MOST_DIGITS
    return int(digits) if usual and (digits[:1] != b"0" or digits == b"0") else None


def _read_line(text: bytes, path: str, number: int) -> Segment | FileEntry:
    """Read a line in any spelling.

    Raises:
        TarSplitDamaged: it makes no sense.
    """
    import msgspec

    try:
        return _understand(_line_decoder()(text))
    except (msgspec.MsgspecError, ValueError) as error:
        raise errors.TarSplitDamaged(path, f"line {number}: {error}") from None


_decoders: list[Callable[[bytes], Any]] = []
"""The one that is made when it is first needed."""


def _line_decoder() -> Callable[[bytes], Any]:
    if not _decoders:
        _decoders.append(_make_decoder())
    return _decoders[0]


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


def _understand(line: Any) -> Segment | FileEntry:
    if line.type == _SEGMENT:
        return Segment(line.payload or b"")
    if line.type != _FILE:
        raise ValueError(f"there is no type {line.type}")
    if line.size < 0:
        raise ValueError("the size of a file is negative")
    if line.payload and len(line.payload) != _CHECKSUM_SIZE:
        raise ValueError(f"a checksum of {len(line.payload)} bytes")
    checksum = int.from_bytes(line.payload, "big") if line.payload else None
    if line.size and checksum is None:
        raise ValueError("a file has contents but no checksum")
    return FileEntry(line.name_raw or line.name.encode(), line.size, checksum, line.position)


def _read_texts(path: str) -> Iterator[bytes]:
    """Give the lines of a gzip'd file, without their ends."""
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
            *complete, begun = (begun + buffer[:count]).split(b"\n")
            yield from complete
            if len(begun) > LONGEST_LINE:
                raise errors.TarSplitDamaged(path, f"a line of more than {LONGEST_LINE} bytes")
        if begun:
            raise errors.TarSplitDamaged(path, "its last line is not complete")
    except errors.ArchiveError as error:
        raise errors.TarSplitDamaged(path, error.message) from error
    finally:
        os.close(fd)
