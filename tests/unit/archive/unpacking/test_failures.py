"""Failures of every kind are one of our errors, come at once, and leave no process, no thread and nobody waiting."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cstore.archive.apply import ApplyOptions, apply_archive
from cstore.archive.unpacking import entries, worker
from cstore.errors import (
    ArchiveError,
    ArchiveMalformed,
    ArchiveTruncated,
    CstoreError,
    EntryFailed,
    SystemFailure,
)
from cstore.kernel import process
from tests.builders import compress, directory, flip_byte, hardlink, make_tar, pax_header, regular, symlink, typical_tar
from tests.processes import children
from tests.unit.archive.unpacking.conftest import assert_nothing_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

from tests.unit.archive.unpacking.conftest import Unpacker

MANY = make_tar(*(regular(f"d{n % 50}/f{n}", b"x" * 3000) for n in range(3000)))


# ── broken archives ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_cut_anywhere(unpack: Unpacker) -> None:
    """A small archive cut after any byte is unpacked and comes out as short as it was, or is one of our errors."""
    data = make_tar(pax_header({b"mtime": b"1.5"}), directory("d"), regular("d/f", b"12345"), hardlink("h", "d/f"))
    for end in range(0, len(data), 37):
        error = failure_of(partial(unpack, whole=data[:end]))

        assert error is None or isinstance(error, ArchiveTruncated), end
        assert error is None or error.offset == end


def failure_of(call: Callable[[], object]) -> CstoreError | None:
    """What a call raises of ours, None if nothing."""
    try:
        call()
    except CstoreError as error:
        return error
    return None


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_cut_compressed(unpack: Unpacker, kind: str) -> None:
    """A compressed stream that was cut is an error, however much of it could be unpacked."""
    data = compress(typical_tar(), kind)
    for end in (len(data) - 1, len(data) // 2, 40):
        with pytest.raises(ArchiveError):
            unpack(whole=data[:end])


@pytest.mark.parametrize("data", [b"jun", b"x" * 512, b"some text\n" * 200, bytes(512) + b"x" * 512])
def test_no_archive(unpack: Unpacker, data: bytes) -> None:
    """What is no archive is not unpacked."""
    with pytest.raises((ArchiveMalformed, ArchiveTruncated)) as caught:
        unpack(whole=data)
    assert caught.value.go_text in {"archive/tar: invalid tar header", "unexpected EOF"}


def test_damage_is_located(unpack: Unpacker) -> None:
    """A wrong checksum is reported with its place, also deep in a long stream."""
    data = flip_byte(MANY, 2000 * 3584 + 100)
    with pytest.raises(ArchiveMalformed, match=f"at byte {2000 * 3584}: the checksum of its header is wrong"):
        unpack(whole=data)


def test_huge_size(unpack: Unpacker) -> None:
    """A size that nothing can have is not believed, and not waited for."""
    with pytest.raises(ArchiveTruncated):
        unpack(regular("f", b"1", pax={b"size": b"9223372036854775807"}))
    with pytest.raises(ArchiveMalformed, match="negative"):
        unpack(regular("f", b"1", pax={b"size": b"-1"}))


# ── the system ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[str]:
    """A file system of one megabyte."""
    path = tmp_path / "small"
    path.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=False, capture_output=True
    ).returncode:
        pytest.skip("cannot mount a tmpfs here")
    yield str(path)
    subprocess.run(["umount", path], check=True)


def test_disk_full(unpack: Unpacker, small_disk: str) -> None:
    """A full disk is named as such, with the tree that was to be filled."""
    with pytest.raises(SystemFailure, match=f"unpack into {small_disk}/tree: No space left on device") as caught:
        unpack(regular("f", b"x" * 3_000_000), into=f"{small_disk}/tree")
    assert caught.value.errno == errno.ENOSPC


def apply(source: int | Path, tree: Path, **options: bool) -> None:
    """Unpack a file or descriptor."""
    tree.mkdir(exist_ok=True)
    fd = source if isinstance(source, int) else os.open(source, os.O_RDONLY)
    try:
        apply_archive(fd, str(tree), f"{tree}.split", ApplyOptions(sync=options.get("sync", False)))
    finally:
        if not isinstance(source, int):
            os.close(fd)
        assert_nothing_runs()


def test_places_that_do_not_exist(tmp_path: Path) -> None:
    """A tree that is not there, a tar-split that is there, a source that is a directory: errors with their names."""
    source = tmp_path / "source"
    source.write_bytes(MANY)
    with open(source, "rb") as file, pytest.raises(SystemFailure, match="nowhere"):
        apply_archive(file.fileno(), str(tmp_path / "nowhere"), str(tmp_path / "split"), ApplyOptions())
    (tmp_path / "tree.split").write_bytes(b"mine")
    with pytest.raises(SystemFailure, match=r"create .*tree\.split: File exists"):
        apply(source, tmp_path / "tree")
    assert (tmp_path / "tree.split").read_bytes() == b"mine"
    with pytest.raises(SystemFailure, match="read the archive"):
        apply(tmp_path, tmp_path / "other")


def test_durable(tmp_path: Path) -> None:
    """The same with everything brought to the disk."""
    source = tmp_path / "source"
    source.write_bytes(typical_tar())

    apply(source, tmp_path / "tree", sync=True)

    assert (tmp_path / "tree" / "etc" / "hosts").exists()


# ── the worker ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_worker_is_killed(tmp_path: Path) -> None:
    """If the worker is killed while it waits for more, the import ends with an error at once."""
    read, write = os.pipe()

    def kill() -> None:
        os.write(write, MANY[: len(MANY) // 2])
        time.sleep(0.2)
        os.kill(victims[0], signal.SIGKILL)

    victims: list[int] = []
    forked = process.fork

    def noted() -> int:
        pid = forked()
        victims.append(pid)
        return pid

    thread = threading.Thread(target=kill)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "fork", noted)
        thread.start()
        with pytest.raises(SystemFailure, match="killed by signal 9"):
            apply(read, tmp_path / "tree")
    thread.join()
    os.close(write)
    os.close(read)


def test_worker_fails_while_the_source_is_silent(tmp_path: Path) -> None:
    """An entry that cannot be created ends the import, even if the pipe brings nothing more and is not closed."""
    read, write = os.pipe()
    data = make_tar(hardlink("h", "nothing"), *(regular(f"f{n}", b"x" * 1000) for n in range(2000)))

    def bring() -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(write, data)

    thread = threading.Thread(target=bring)
    thread.start()
    started = time.monotonic()
    with pytest.raises(EntryFailed, match="'h'"):
        apply(read, tmp_path / "tree")

    assert time.monotonic() - started < 5
    os.close(read)
    thread.join()
    os.close(write)


def test_bug_in_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has thought of comes back with the place where it happened."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("not expected")

    monkeypatch.setattr(entries.Entries, "file", broken)
    source = tmp_path / "source"
    source.write_bytes(typical_tar())
    with pytest.raises(RuntimeError, match=r"ZeroDivisionError: not expected .*test_failures\.py"):
        apply(source, tmp_path / "tree")


def test_interrupt(tmp_path: Path) -> None:
    """Ctrl-C while the import waits for its source ends it cleanly."""
    read, write = os.pipe()
    os.write(write, MANY[:30_000])
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        apply(read, tmp_path / "tree")
    timer.join()
    os.close(write)
    os.close(read)


def test_error_of_the_caller(tmp_path: Path) -> None:
    """What the caller's progress raises comes out unchanged."""

    def progress(_: int) -> None:
        raise LookupError("the bar is gone")

    source = tmp_path / "source"
    source.write_bytes(MANY)
    (tmp_path / "tree").mkdir()
    with open(source, "rb") as file, pytest.raises(LookupError, match="the bar is gone"):
        apply_archive(file.fileno(), str(tmp_path / "tree"), str(tmp_path / "split"), ApplyOptions(), progress)
    assert_nothing_runs()


# ── pipes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["tar", "gzip", "zstd", "xz", "bzip2"])
def test_slow_pipe(tmp_path: Path, kind: str) -> None:
    """A pipe that brings single bytes at first is recognised all the same, and read to its end."""
    data = compress(typical_tar(), kind)
    read, write = os.pipe()

    def drip() -> None:
        for place in range(12):
            os.write(write, data[place : place + 1])
            time.sleep(0.005)
        with os.fdopen(write, "wb") as file:
            file.write(data[12:])

    thread = threading.Thread(target=drip)
    thread.start()
    reported: list[int] = []
    (tmp_path / "tree").mkdir()
    applied = apply_archive(read, str(tmp_path / "tree"), str(tmp_path / "split"), ApplyOptions(), reported.append)
    thread.join()
    os.close(read)

    assert applied.compressed_size == len(data)
    assert applied.compression.label == ("none" if kind == "tar" else kind)
    assert reported == sorted(reported)
    assert reported[-1] == len(data)


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """Neither success nor failure leaves a descriptor open."""
    source = tmp_path / "source"
    before = sorted(os.listdir("/proc/self/fd"))
    for number, data in enumerate((MANY, MANY[:-5000], typical_tar())):
        source.write_bytes(data)
        failure_of(partial(apply, source, tmp_path / f"tree{number}"))

    assert sorted(os.listdir("/proc/self/fd")) == before


def test_worker_holds_nothing(tmp_path: Path) -> None:
    """The worker has no copy of the caller's descriptors once it works, so no lock outlives its holder."""
    lock, other = os.pipe()
    source = tmp_path / "source"
    source.write_bytes(MANY)
    forbidden = {f"pipe:[{os.fstat(lock).st_ino}]", str(source)}
    held: list[set[str]] = []

    def look(_: int) -> None:
        (pid,) = children()
        held.append(forbidden & descriptors(pid))
        deadline = time.monotonic() + 5
        while held[-1] and time.monotonic() < deadline:
            held[-1] = forbidden & descriptors(pid)

    (tmp_path / "tree").mkdir()
    with open(source, "rb") as file:
        apply_archive(file.fileno(), str(tmp_path / "tree"), str(tmp_path / "split"), ApplyOptions(), look)
    os.close(lock)
    os.close(other)

    assert held
    assert set().union(*held) == set()


def descriptors(pid: int) -> set[str]:
    """What a process has open."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def test_signal_while_forking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the moment of the fork ends the import, and never sends the child through the caller's clean-up."""
    forked = process.fork
    cleaned = tmp_path / "cleaned"
    cleaned.write_text("")

    def interrupted() -> int:
        pid = forked()
        # To this very thread: another one, of whoever runs the tests, need not hold signals back.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return pid

    monkeypatch.setattr(worker, "fork", interrupted)
    source = tmp_path / "source"
    source.write_bytes(MANY)
    try:
        with pytest.raises(KeyboardInterrupt):
            apply(source, tmp_path / "tree")
    finally:
        with open(cleaned, "a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")

    assert cleaned.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("name", [b"sp\0arse", b"\0"])
def test_nul_in_a_sparse_name(unpack: Unpacker, name: bytes) -> None:
    """The one name that is not cut at a NUL is refused with one."""
    pax = {b"GNU.sparse.name": name, b"GNU.sparse.map": b"0,1", b"GNU.sparse.numblocks": b"1", b"GNU.sparse.size": b"9"}
    with pytest.raises(ArchiveMalformed, match="NUL"):
        unpack(regular("f", b"1", pax=pax))


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63)])
def test_times_at_the_end_of_time(unpack: Unpacker, seconds: int) -> None:
    """A link's time may be anything a number can be; beyond that it cannot be set."""
    unpack(symlink("l", "x", pax={b"mtime": b"%d" % seconds}))
    with pytest.raises(EntryFailed, match="'l'"):
        unpack(symlink("l", "x", pax={b"mtime": b"%d.5" % -(2**63)}))


def test_bad_descriptor(tmp_path: Path) -> None:
    """A descriptor that is none is an error like any other, after which nothing is open."""
    (tmp_path / "tree").mkdir()
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(SystemFailure, match="read the archive: Bad file descriptor"):
        apply_archive(987, str(tmp_path / "tree"), str(tmp_path / "split"), ApplyOptions())
    assert_nothing_runs()
    assert sorted(os.listdir("/proc/self/fd")) == before
