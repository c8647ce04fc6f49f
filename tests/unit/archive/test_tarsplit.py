"""tar-split lines: the peer's exact form, and files that are not what they should be."""

from __future__ import annotations

import gzip
import os
import resource
from typing import TYPE_CHECKING

import pytest
from fastcrc import crc64

from cstore.archive.tarsplit import LARGEST_SEGMENT, FileEntry, Packer, Segment, SplitFile, read_lines
from cstore.archive.tarsplit_search import last_files
from cstore.errors import SystemFailure, TarSplitDamaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def packed(fill: Callable[[Packer], object]) -> list[bytes]:
    """The lines that a packer makes."""
    lines: list[bytes] = []
    packer = Packer(lines.extend)
    fill(packer)
    packer.flush()
    return lines


def test_lines() -> None:
    """The keys stand in the peer's order, and checksums are those of CRC-64/GO-ISO."""

    def fill(packer: Packer) -> None:
        packer.segment(b"raw")
        packer.file(b"d1/f", 4, crc64.go_iso(b"data"))
        packer.bare(b"d1/")
        packer.segment(b"")
        packer.file(b"", 1, crc64.go_iso(b"1"))

    assert packed(fill) == [
        b'{"type":2,"payload":"cmF3","position":0}\n',
        b'{"type":1,"name":"d1/f","size":4,"payload":"NAhkE1AAAAA=","position":1}\n',
        b'{"type":1,"name":"d1/","payload":null,"position":2}\n',
        b'{"type":2,"payload":"","position":3}\n',
        b'{"type":1,"size":1,"payload":"QyAAAAAAAAA=","position":4}\n',
    ]


def zipped(lines: bytes) -> bytes:
    """Compress, the same way at any time: these bytes name tests, and all processes must agree about the names."""
    return gzip.compress(lines, mtime=0)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (b"plain name~!", b'"name":"plain name~!"'),
        (b'a"b\\c', b'"name":"a\\"b\\\\c"'),
        (b"<&>", b'"name":"\\u003c\\u0026\\u003e"'),
        (b"\n\r\t\x01\x7f", b'"name":"\\n\\r\\t\\u0001\x7f"'),
        ("é☃😀".encode(), '"name":"é☃😀"'.encode()),
        ("\u2028\u2029".encode(), b'"name":"\\u2028\\u2029"'),
        (b"\xff", b'"name_raw":"/w=="'),
        (b"\xed\xa0\x80", b'"name_raw":"7aCA"'),
    ],
)
def test_names(name: bytes, field: bytes) -> None:
    """Names are written as Go writes them; what is no UTF-8 is written as bytes."""
    assert packed(lambda packer: packer.bare(name)) == [b'{"type":1,%b,"payload":null,"position":0}\n' % field]


def test_long_segments() -> None:
    """Raw bytes beyond a megabyte are several segments."""
    lines = packed(lambda packer: packer.segment(memoryview(bytes(2 * LARGEST_SEGMENT + 1))))

    assert len(lines) == 3
    assert max(map(len, lines)) < 1.5 * LARGEST_SEGMENT


def test_batches() -> None:
    """Lines go to the sink while they come, not at the end."""
    batches: list[int] = []
    packer = Packer(lambda lines: batches.append(len(lines)))
    for _ in range(2000):
        packer.segment(bytes(1000))

    assert len(batches) >= 4


def write(path: Path, fill: Callable[[Packer], object], *, sync: bool = True) -> str:
    """Write a tar-split file."""
    with SplitFile(str(path), sync=sync) as file:
        packer = Packer(file.write)
        fill(packer)
        packer.flush()
    return str(path)


def test_file(tmp_path: Path) -> None:
    """What is written is read again; nobody else can read it."""

    def fill(packer: Packer) -> None:
        packer.segment(b"raw")
        for number in range(20_000):
            packer.file(b"f\xff%d" % number, number + 1, number)
        packer.bare(b"d/")

    path = write(tmp_path / "split", fill)

    lines = list(read_lines(path))
    assert lines[0] == Segment(b"raw")
    assert lines[1:3] == [FileEntry(b"f\xff0", 1, 0, 1), FileEntry(b"f\xff1", 2, 1, 2)]
    assert lines[-1] == FileEntry(b"d/", 0, None, 20_001)
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_file_that_exists(tmp_path: Path) -> None:
    """No file is written over."""
    path = write(tmp_path / "split", lambda packer: packer.bare(b"a"))
    with pytest.raises(SystemFailure, match="File exists"):
        write(tmp_path / "split", lambda packer: packer.bare(b"b"))
    assert list(read_lines(path)) == [FileEntry(b"a", 0, None, 0)]


def test_disk_full(tmp_path: Path) -> None:
    """A file that cannot grow is an error with its name, and the producer is not kept waiting."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(SystemFailure, match=r"write .*split: File too large"):
            write(tmp_path / "split", lambda packer: packer.segment(os.urandom(10_000_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_other_writers(tmp_path: Path) -> None:
    """Lines of other programs may lack keys, have more of them, and end with an empty segment."""
    path = tmp_path / "split"
    path.write_bytes(
        gzip.compress(
            b'{"type":1,"name":"caf\\u00e9","payload":null,"position":7,"new":[1,{}]}\n'
            b'{"position":1,"payload":"YQ==","type":2}\n'
            b'{"type":1,"name":"f","size":3,"payload":"AAAAAAAAAAA=","position":2}\n'
            b'{"type":2,"payload":"","position":3}\n{"type":2,"payload":null,"position":4}\n'
        )
    )

    assert list(read_lines(str(path))) == [
        FileEntry("café".encode(), 0, None, 7),
        Segment(b"a"),
        FileEntry(b"f", 3, 0, 2),
        Segment(b""),
        Segment(b""),
    ]


def test_lines_beyond_the_first_thousands(tmp_path: Path) -> None:
    """A line means the same wherever it stands, though the decoder of all spellings is only loaded when it pays."""
    lines = (
        b'{"type":2,"payload":"YWJj","position":1}\n{"type":2,"payload":"YQ==","position":2}\n'
        b'{"type":1,"name":"./a <&> b","size":3,"payload":"AAAAAAAAAQI=","position":3}\n'
        b'{"type":1,"name":"d/","payload":null,"position":4}\n{"type":1,"name":"q\\"\\\\","payload":null,"position":5}\n'
        b'{"type":1,"name_raw":"/w==","size":1,"payload":"//////////8=","position":6}\n{"type":2,"position":7}\n'
    )
    path = tmp_path / "split"
    path.write_bytes(gzip.compress(lines))
    few = list(read_lines(str(path)))
    path.write_bytes(gzip.compress(b'{"type":2,"payload":"","position":0}\n' * 25_000 + lines))
    assert list(read_lines(str(path)))[25_000:] == few
    assert few[1:3] == [Segment(b"a"), FileEntry(b"./a <&> b", 3, 0x102, 3)]


GOOD = b'{"type":2,"payload":"YQ==","position":0}\n'


@pytest.mark.parametrize(
    "data",
    [
        b"", b"not gzip", GOOD, zipped(GOOD)[:-3], zipped(GOOD)[:15], zipped(GOOD[:-1]),
        zipped(GOOD + b"{}\n"), zipped(b"[]\n"), zipped(b"\n"), zipped(b'{"type":3}\n'),
        zipped(b'{"type":2,"payload":"!"}\n'), zipped(b'{"type":1,"name":"f","size":-1}\n'),
        zipped(b'{"type":1,"name":"f","size":1,"payload":null}\n'),
        zipped(b'{"type":1,"name":"f","size":1,"payload":"YQ=="}\n'),
        zipped(b'{"type":1,"name":"\xff"}\n'),
        zipped(GOOD) + b"junk",
    ],
)  # fmt: skip
def test_damage(tmp_path: Path, data: bytes) -> None:
    """What is no such file is an error with its name."""
    path = tmp_path / "split"
    path.write_bytes(data)
    with pytest.raises(TarSplitDamaged, match="split"):
        list(read_lines(str(path)))


def test_missing(tmp_path: Path) -> None:
    """So is one that is not there, or that is a link."""
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("none", "link"):
        with pytest.raises(SystemFailure, match=name):
            list(read_lines(str(tmp_path / name)))


@pytest.mark.parametrize("before", [0, 300])
def test_the_last_entry_of_a_name_counts(tmp_path: Path, before: int) -> None:
    """Of a path, and of all below it, whatever way the names are spelled; the same among few lines and many."""

    def fill(packer: Packer) -> None:
        for number in range(before):
            packer.file(b"d/other%d" % number, 1, 5)
        packer.segment(b"d/f")
        packer.file(b"./d//f", 1, 7)
        packer.file(b"d/f", 2, 8)
        packer.file(b"d/\xff", 3, 9)
        packer.bare(b"d/")
        packer.file(b"down", 4, 10)
        packer.bare(b"../d/climbs")

    path = write(tmp_path / "split.gz", fill)
    found = last_files(path, b"d")

    assert len(found) == 3 + before
    assert [found[name][1:3] for name in (b"d/f", b"d/\xff", b"d")] == [(2, 8), (3, 9), (0, None)]
    assert last_files(path, b"d/f") == {b"d/f": found[b"d/f"]}
    assert last_files(path, b"")[b"down"].checksum == 10
    assert last_files(path, b"none") == {}


@pytest.mark.parametrize("before", [0, 300])
@pytest.mark.parametrize("text", [b"nonsense", b"[1]", b'{"type":1,"name":3}', b'{"type":1,"name":"x","size":"1"}'])
def test_damage_where_something_is_sought(tmp_path: Path, before: int, text: bytes) -> None:
    """It is named with its line, among few lines and many."""

    def fill(packer: Packer) -> None:
        for _ in range(before):
            packer.file(b"x", 1, 5)

    lines = packed(fill)
    path = tmp_path / "split.gz"
    path.write_bytes(zipped(b"".join([*lines, text, b"\n"])))

    with pytest.raises(TarSplitDamaged, match=f"line {before + 1}: "):
        last_files(str(path), b"")


@pytest.mark.parametrize("top", [b"", b"d7", b"d7/a", b"d7/file-17", b"d8/file-18", b"odd", b"odd/\xff", b"none", b"d"])
def test_search_finds_what_reading_all_finds(tmp_path: Path, top: bytes) -> None:
    """Over many pieces of the file, for names that few lines have, that most have, and that are spelled otherwise."""
    path = str(tmp_path / "split")
    with SplitFile(path, sync=False) as file:
        packer = Packer(file.write)
        for number in range(9_000):
            folder = number % 10 if number < 8_000 else 7
            packer.segment(f"{number:0512}".encode())
            packer.file(b"./d%d/file-%d" % (folder, number // 2), 1, number)
        for name in (b"d7/a", b"odd/\xff", b"odd/<&>", b"d7/a", b"d/e/", b"../d"):
            packer.file(name, 1, packer.position)
        packer.flush()
    files = [line for line in read_lines(path) if isinstance(line, FileEntry)]
    every = {line.name.removeprefix(b"./").rstrip(b"/"): line for line in files if not line.name.startswith(b"..")}

    assert last_files(path, top) == {
        name: line for name, line in every.items() if not top or name == top or name.startswith(top + b"/")
    }
