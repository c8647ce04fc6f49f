"""Readers and sinks: nothing is lost, nothing is reordered, nothing hangs."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cstore.archive.compression import Compression
from cstore.archive.pipeline import PipelinedSink
from cstore.archive.streams import (
    BUFFER_SIZE,
    CountingReader,
    FileReader,
    FileSink,
    HashingSink,
    PeekingReader,
    compressed,
    fill,
)
from cstore.errors import SystemFailure
from tests.processes import thread_count, wait_for_threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Collected:
    """A sink that remembers copies."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes | memoryview, /) -> None:
        self.pieces.append(bytes(data))

    @property
    def all(self) -> bytes:
        return b"".join(self.pieces)


class Failing(Collected):
    """A sink that takes a few pieces and then fails."""

    def __init__(self, error: Exception, pieces: int = 0) -> None:
        super().__init__()
        self.error = error
        self.left = pieces

    def write(self, data: bytes | memoryview, /) -> None:
        if not self.left:
            raise self.error
        self.left -= 1
        super().write(data)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """Whatever happens, no thread outlives its sink."""
    before = thread_count()
    yield
    wait_for_threads(before)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def pattern(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


# ── readers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fill_waits_for_a_slow_pipe(pipe: tuple[int, int]) -> None:
    """A buffer is filled from a pipe that gives a little at a time."""
    reader, writer = pipe

    def dribble() -> None:
        for byte in b"slowly":
            os.write(writer, bytes([byte]))
            time.sleep(0.002)
        os.close(writer)

    thread = threading.Thread(target=dribble)
    thread.start()
    buffer = memoryview(bytearray(10))
    assert fill(FileReader(reader), buffer) == 6
    assert bytes(buffer[:6]) == b"slowly"
    thread.join()


def test_unreadable_source(tmp_path: Path) -> None:
    """What cannot be read is a sentence with the name that the caller gave."""
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(SystemFailure, match="the layer's archive"):
            FileReader(fd, "the layer's archive").readinto(memoryview(bytearray(10)))
    finally:
        os.close(fd)


def test_peeking_takes_nothing_away(pipe: tuple[int, int]) -> None:
    """What was looked at is read again, also if it came in several pieces."""
    reader, writer = pipe
    peeking = PeekingReader(FileReader(reader))

    def dribble() -> None:
        os.write(writer, b"ab")
        time.sleep(0.01)
        os.write(writer, b"cdef")

    thread = threading.Thread(target=dribble)
    thread.start()
    assert peeking.peek(5) == b"abcde"
    thread.join()
    os.close(writer)
    buffer = memoryview(bytearray(4))
    assert bytes(buffer[: peeking.readinto(buffer)]) == b"abcd"
    assert bytes(buffer[: fill(peeking, buffer)]) == b"ef"


def test_peeking_at_a_short_stream(pipe: tuple[int, int]) -> None:
    """A stream shorter than the look is no error."""
    reader, writer = pipe
    os.write(writer, b"abc")
    os.close(writer)
    assert PeekingReader(FileReader(reader)).peek(10) == b"abc"


def test_counting(tmp_path: Path) -> None:
    """Every byte is counted and hashed once."""
    (tmp_path / "file").write_bytes(pattern(100_000))
    with open(tmp_path / "file", "rb", buffering=0) as file:
        counting = CountingReader(FileReader(file.fileno()))
        fill(counting, memoryview(bytearray(200_000)))
    assert counting.count == 100_000
    assert counting.digest == "sha256:" + hashlib.sha256(pattern(100_000)).hexdigest()


# ── plain sinks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pipe_takes_all(pipe: tuple[int, int]) -> None:
    """More than a pipe holds is written in steps."""
    reader, writer = pipe
    got = bytearray()

    def drain() -> None:
        while piece := os.read(reader, 1000):
            got.extend(piece)

    thread = threading.Thread(target=drain)
    thread.start()
    FileSink(writer).write(pattern(3_000_000))
    os.close(writer)
    thread.join()
    assert got == pattern(3_000_000)


def test_pipes_that_do_not_block(pipe: tuple[int, int]) -> None:
    """A pipe that another program has made non-blocking is waited for, at both ends."""
    reader, writer = pipe
    for end in pipe:
        os.set_blocking(end, False)
    got = bytearray(3_000_000)
    counts: list[int] = []
    thread = threading.Thread(target=lambda: counts.append(fill(FileReader(reader), memoryview(got))))
    thread.start()
    time.sleep(0.01)
    FileSink(writer).write(pattern(3_000_000))
    thread.join()
    assert counts == [3_000_000]
    assert got == pattern(3_000_000)


def test_broken_pipe(pipe: tuple[int, int]) -> None:
    """A reader that went away is named as the cause."""
    reader, writer = pipe
    os.close(reader)
    with pytest.raises(SystemFailure) as caught:
        FileSink(writer, "standard output").write(b"x")
    assert "standard output" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("size", [0, 10, 5_000_000])
def test_hashing(size: int) -> None:
    """The digest is that of what went through, in large pieces and in small ones."""
    collected = Collected()
    hashing = HashingSink(collected)
    for piece in (pattern(size), b"and", pattern(size)):
        hashing.write(piece)
    whole = pattern(size) + b"and" + pattern(size)
    assert (hashing.digest, hashing.count) == ("sha256:" + hashlib.sha256(whole).hexdigest(), len(whole))
    assert collected.all == whole


def test_hashing_is_done_on_return() -> None:
    """A buffer is the caller's again after the write, even if the sink below failed."""
    buffer = bytearray(pattern(1 << 20))
    hashing = HashingSink(Failing(ValueError("full")))
    with pytest.raises(ValueError, match="full"):
        hashing.write(memoryview(buffer))
    buffer[:] = bytes(1 << 20)
    assert hashing.digest == "sha256:" + hashlib.sha256(pattern(1 << 20)).hexdigest()


def test_compressed() -> None:
    """What is written in the block arrives compressed and complete."""
    collected = Collected()
    with compressed(collected, Compression.GZIP) as sink:
        sink.write(pattern(100_000))
    assert gzip.decompress(collected.all) == pattern(100_000)


def test_compressed_with_nothing() -> None:
    """No compression is no detour."""
    collected = Collected()
    with compressed(collected, Compression.NONE) as sink:
        assert sink is collected


def test_failure_leaves_a_cut_stream() -> None:
    """A stream that could not be completed does not look complete to its reader."""
    collected = Collected()
    with pytest.raises(RuntimeError), compressed(collected, Compression.GZIP) as sink:  # noqa: PT012  - the block is it
        sink.write(pattern(100_000))
        raise RuntimeError
    with pytest.raises((EOFError, gzip.BadGzipFile)):
        gzip.decompress(collected.all or b"\x1f\x8b")


# ── the pipeline ──────────────────────────────────────────────────────────────────────────────────────────────────────

AROUND = [0, 1, BUFFER_SIZE - 1, BUFFER_SIZE, BUFFER_SIZE + 1, 3 * BUFFER_SIZE + 5, 9 * BUFFER_SIZE]


@pytest.mark.parametrize("size", AROUND)
def test_order_is_kept(size: int) -> None:
    """Everything arrives once and in order, in large pieces."""
    collected = Collected()
    with PipelinedSink(collected) as sink:
        sink.write(b"first")
        sink.write(pattern(size))
        sink.write(b"last")
    assert collected.all == b"first" + pattern(size) + b"last"
    assert len(collected.pieces) <= size // BUFFER_SIZE + 2


@pytest.mark.parametrize("wanted", [1, 1000, BUFFER_SIZE, 5 * BUFFER_SIZE])
def test_filling_in_place(wanted: int) -> None:
    """A producer may fill the buffer itself, taking as much of the room as it likes."""
    collected = Collected()
    made = bytearray()
    with PipelinedSink(collected) as sink:
        for turn in range(40):
            room = sink.room(wanted)
            assert 1 <= len(room) <= wanted
            used = max(len(room) - turn, 0)
            room[:used] = bytes([turn]) * used
            made += room[:used]
            sink.advance(used)
    assert collected.all == made


def test_little_needs_no_thread() -> None:
    """A small archive is written by the caller's own thread."""
    threads = []

    class Noting(Collected):
        def write(self, data: bytes | memoryview, /) -> None:
            threads.append(threading.current_thread())
            super().write(data)

    with PipelinedSink(Noting()) as sink:
        sink.write(pattern(1000))
    assert threads == [threading.main_thread()]


@pytest.mark.parametrize(("pieces", "size"), [(0, 100), *((n, 20 * BUFFER_SIZE) for n in (0, 1, 5))])
def test_errors_come_out(pieces: int, size: int) -> None:
    """A sink that fails, at once or later, fails the writer; nothing after the failure is written."""
    failing = Failing(SystemFailure("write", "the disk", OSError(28, "")), pieces)
    with pytest.raises(SystemFailure, match="the disk"), PipelinedSink(failing) as sink:  # noqa: PT012  - or on leaving
        for _ in range(10):
            sink.write(pattern(size // 10))
    assert len(failing.pieces) == pieces


def test_foreign_errors_are_translated() -> None:
    """A sink from outside may be a plain file object, with plain errors."""
    with pytest.raises(SystemFailure), PipelinedSink(Failing(BrokenPipeError(32, ""))) as sink:
        sink.write(b"x")


def test_abandoned_when_the_block_fails() -> None:
    """When the producer fails, what is left in the buffers stays there."""
    collected = Collected()
    with pytest.raises(RuntimeError), PipelinedSink(collected) as sink:  # noqa: PT012  - the block is it
        sink.write(pattern(BUFFER_SIZE + 10))
        raise RuntimeError
    assert len(collected.all) <= BUFFER_SIZE


def test_bounded() -> None:
    """A slow sink slows the producer down; no more than a few buffers wait."""
    gate = threading.Event()
    ahead = []

    class Slow(Collected):
        def write(self, data: bytes | memoryview, /) -> None:
            gate.wait(5)
            super().write(data)

    def produce(sink: PipelinedSink) -> None:
        for turn in range(20):
            ahead.append(turn)
            sink.write(pattern(BUFFER_SIZE))
        sink.close()

    slow = Slow()
    producer = threading.Thread(target=produce, args=(PipelinedSink(slow),))
    producer.start()
    time.sleep(0.1)
    waiting = len(ahead)
    gate.set()
    producer.join()
    assert waiting <= 6
    assert slow.all == pattern(BUFFER_SIZE) * 20
