"""Sources and sinks of every kind: one archive goes in and comes out alike through each of them."""

from __future__ import annotations

import gzip
import io
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cstore.errors import CstoreError, InvalidOption, SystemFailure
from cstore.store import NewLayer
from cstore.store.ends import opened_sink
from tests.builders import digest, flip_byte_of, make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.archive.pulling import PulledStream
    from cstore.store import Store

ARCHIVE = make_tar(regular("f", b"contents" * 500_000), regular("g", b""))


class Slowly:
    """Has `read` alone, and gives a little at a time."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        """Give at most 100,000 bytes."""
        return self._file.read(min(size, 100_000))


class Fills:
    """Has `readinto` alone."""

    def __init__(self, data: bytes) -> None:
        self.readinto = io.BytesIO(data).readinto


def _pipe(data: bytes) -> int:
    source, sink = os.pipe()

    def bring() -> None:
        with suppress(BrokenPipeError), os.fdopen(sink, "wb") as file:
            file.write(data)

    threading.Thread(target=bring).start()
    return source


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The archive in a file."""
    found = tmp_path / "archive.tar"
    found.write_bytes(ARCHIVE)
    return found


SOURCES: dict[str, Callable[[Path], object]] = {
    "path": lambda path: path,
    "text": str,
    "bytes": lambda _: ARCHIVE,
    "bytearray": lambda _: bytearray(ARCHIVE),
    "memoryview": lambda _: memoryview(ARCHIVE),
    "file": lambda path: path.open("rb"),
    "raw file": lambda path: path.open("rb", buffering=0),
    "BytesIO": lambda _: io.BytesIO(ARCHIVE),
    "GzipFile": lambda _: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(ARCHIVE, 1))),
    "read": lambda _: Slowly(ARCHIVE),
    "readinto": lambda _: Fills(ARCHIVE),
    "descriptor": lambda path: os.open(path, os.O_RDONLY),
    "pipe": lambda _: _pipe(ARCHIVE),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_layer_is_made_of_any_source(store: Store, path: Path, kind: str) -> None:
    """And an archive applied from one; what the caller opened stays open."""
    source = SOURCES[kind](path)
    layer = store.layers.put(NewLayer(), source)  # type: ignore[arg-type]

    assert layer.diff_digest == digest(ARCHIVE)
    _close(source)
    again = SOURCES[kind](path)
    assert store.layers.apply_diff(layer.id, again) == 4_000_000  # type: ignore[arg-type]
    _close(again)


def _close(source: object) -> None:
    """Close what is open still, as it must be."""
    if isinstance(source, io.IOBase):
        assert not source.closed
        source.close()
    elif isinstance(source, int):
        os.close(source)


@pytest.mark.parametrize("source", [io.StringIO("text"), object(), 1.5])
def test_what_gives_no_bytes_is_refused(store: Store, source: object) -> None:
    """In a sentence, and no layer is made."""
    with pytest.raises((InvalidOption, TypeError), match=r"bytes|cannot be read"):
        store.layers.put(NewLayer(), source)  # type: ignore[arg-type]
    assert store.layers.list() == []


def test_a_source_that_fails_is_told(store: Store, tmp_path: Path) -> None:
    """A path that is not there, an object whose read fails, one that gives text, one that does not wait."""

    class Broken:
        def __init__(self, answer: object) -> None:
            self._answer = answer

        def read(self, _: int, /) -> object:
            if isinstance(self._answer, Exception):
                raise self._answer
            return self._answer

    class BrokenToo(Broken):
        def readinto(self, _: memoryview, /) -> object:
            return self.read(0)

    for source, failure in (
        (tmp_path / "absent", SystemFailure),
        (Broken(OSError(5, "Input/output error")), SystemFailure),
        (Broken("text"), InvalidOption),
        (Broken(None), SystemFailure),
        (Broken(b"no tar"), CstoreError),
        (BrokenToo(OSError(5, "Input/output error")), SystemFailure),
        (BrokenToo(None), SystemFailure),
    ):
        with pytest.raises(failure):
            store.layers.put(NewLayer(), source)  # type: ignore[arg-type]
    assert store.layers.list() == []


class ShortWrites(io.RawIOBase):
    """Takes less than it is given, as pipes and sockets do."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: bytes | memoryview, /) -> int:  # type: ignore[override]
        """Take at most 70,000 bytes."""
        self.data += data[:70_000]
        return min(len(data), 70_000)


class _Sparing:
    """Takes half of what it is given, and says so, though it is no file."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def write(self, data: bytes | memoryview, /) -> int:
        some = bytes(data)[: (len(data) + 1) // 2]
        self.taken += some
        return len(some)


class _Refusing:
    """Takes nothing."""

    def write(self, data: bytes | memoryview, /) -> int:
        del data
        return 0


def test_what_an_object_did_not_take_is_offered_again(store: Store) -> None:
    """Else the archive would lack it, without a word; and one that never takes anything is told so."""
    layer = store.layers.put(NewLayer(), ARCHIVE).id
    sink = _Sparing()

    store.layers.diff(layer, sink)

    assert bytes(sink.taken) == ARCHIVE
    with pytest.raises(InvalidOption, match="write returned 0"):
        store.layers.diff(layer, _Refusing())


def test_a_layer_is_written_to_any_sink(store: Store, tmp_path: Path) -> None:
    """A path, a descriptor, memory, a file, a raw file that takes a part."""
    layer = store.layers.put(NewLayer(), ARCHIVE).id
    memory, stream, short, out = bytearray(), io.BytesIO(), ShortWrites(), tmp_path / "out"
    store.layers.diff(layer, memory)
    store.layers.diff(layer, stream)
    store.layers.diff(layer, short)
    store.layers.diff(layer, out)
    with (tmp_path / "other").open("wb") as file:
        store.layers.diff(layer, file.fileno())

    assert memory == stream.getvalue() == short.data == out.read_bytes() == (tmp_path / "other").read_bytes() == ARCHIVE


def test_a_file_that_is_named_appears_whole_or_not_at_all(store: Store, graph: str, tmp_path: Path) -> None:
    """What was there before survives a layer that is damaged; nothing lies beside it."""
    layer = store.layers.put(NewLayer(), ARCHIVE).id
    flip_byte_of(os.path.join(graph, "vfs/dir", layer, "f"))
    (tmp_path / "out").write_bytes(b"before")
    with pytest.raises(CstoreError):
        store.layers.diff(layer, tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == b"before"
    assert not list(tmp_path.glob(".cstore*"))


@pytest.mark.parametrize("target", [io.StringIO(), object()])
def test_what_takes_no_bytes_is_refused(target: object) -> None:
    """In a sentence."""
    with pytest.raises(InvalidOption), opened_sink(target):  # type: ignore[arg-type]
        pass


# ── a layer as a stream ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stream(store: Store) -> PulledStream:
    """A layer, to be read."""
    return store.layers.diff(store.layers.put(NewLayer(), ARCHIVE).id)


def test_a_layer_can_be_read(stream: PulledStream) -> None:
    """In pieces of any size, with the standard library's own readers on top."""
    with io.BufferedReader(stream) as reader:
        parts = [reader.read(size) for size in (1, 511, 513, 100_000)]
        assert b"".join([*parts, reader.read()]) == ARCHIVE


def test_a_stream_is_a_source(store: Store, stream: PulledStream) -> None:
    """A layer is copied without a file between the two."""
    assert store.layers.put(NewLayer(id="copy"), stream).diff_digest == digest(ARCHIVE)


def test_a_stream_can_be_closed_at_any_time(stream: PulledStream) -> None:
    """Its thread ends then."""
    import threading

    before = threading.active_count()
    assert stream.read(10) == ARCHIVE[:10]
    assert threading.active_count() > before
    stream.close()
    for thread in threading.enumerate():
        if thread.name == "cstore-stream":
            thread.join(20)
    assert not [thread for thread in threading.enumerate() if thread.name == "cstore-stream"]
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


def test_a_stream_of_a_damaged_layer_ends_in_the_error(store: Store, graph: str) -> None:
    """It cannot be taken for a whole archive, however often it is read."""
    layer = store.layers.put(NewLayer(), ARCHIVE).id
    flip_byte_of(os.path.join(graph, "vfs/dir", layer, "f"))
    with store.layers.diff(layer) as stream:
        for _ in range(2):
            with pytest.raises(CstoreError):
                stream.read()


def test_a_stream_of_no_layer_is_refused_at_once(store: Store) -> None:
    """And not when it is read."""
    with pytest.raises(CstoreError, match="nothing"):
        store.layers.diff("nothing")
