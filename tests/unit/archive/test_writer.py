"""Headers: the bytes that the peer's tar library writes for the same entry (archive 8.4)."""

from __future__ import annotations

import io
import os
import stat
import tarfile

import pytest

from cstore.archive.tar import writer
from cstore.archive.tar.writer import Entry, header_blocks, padding, plain_file
from cstore.errors import Unsupported
from tests.builders import FIELDS

NAME_SPACE = [
    b"f", b"d/", b"a/b/c", b"x" * 100, b"x" * 101, b"d/" * 60, b"d/" * 200 + b"f", "ä/ö".encode(), b"\xff\xfe",
]  # fmt: skip


def entry(name: bytes = b"f", **more: object) -> Entry:
    return Entry(**{"name": name, "type": writer.REGULAR, "mode": 0o644, "uid": 0, "gid": 0, **more})  # type: ignore[arg-type]


def field(block: bytes, name: str) -> bytes:
    offset, width = FIELDS[name]
    return block[offset : offset + width]


def text(block: bytes, name: str) -> bytes:
    return field(block, name).partition(b"\0")[0]


def parts(made: Entry) -> tuple[bytes, bytes, bytes]:
    """The extended header, its records, the main header."""
    blocks = header_blocks(made)
    assert len(blocks) % 512 == 0
    if len(blocks) == 512:
        return b"", b"", blocks
    size = int(text(blocks[:512], "size"), 8)
    assert blocks[156:157] == b"x"
    assert len(blocks) == 1024 + size + len(padding(size))
    assert not blocks[512 + size : -512].strip(b"\0")
    return blocks[:512], blocks[512 : 512 + size], blocks[-512:]


# ── USTAR ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_byte() -> None:
    """An ordinary header, written out."""
    made = entry(b"usr/bin/tool", mode=0o4755, uid=7, gid=8, size=1234, mtime=1600000000)
    expected = b"".join(
        [
            b"usr/bin/tool".ljust(100, b"\0"),
            b"0004755\0" + b"0000007\0" + b"0000010\0" + b"00000002322\0" + b"13727410000\0" + b"011535\0 " + b"0",
            bytes(100) + b"ustar\0" + b"00" + bytes(64) + b"0000000\0" + b"0000000\0",
        ]
    ).ljust(512, b"\0")
    assert header_blocks(made) == expected


@pytest.mark.parametrize("name", NAME_SPACE)
def test_checksum(name: bytes) -> None:
    """Every block carries the sum of its bytes, the checksum counted as spaces."""
    extended, _, main = parts(entry(name, uid=2097151))
    for block in filter(None, (extended, main)):
        plain = block[:148] + b" " * 8 + block[156:]
        assert field(block, "checksum") == b"%06o\0 " % sum(plain)


@pytest.mark.parametrize(
    ("name", "prefix", "rest"),
    [
        (b"d/" * 49 + b"ff", b"", b"d/" * 49 + b"ff"),
        (b"p" * 50 + b"/" + b"n" * 50, b"p" * 50, b"n" * 50),
        (b"p" * 155 + b"/" + b"n" * 100, b"p" * 155, b"n" * 100),
        (b"p" * 50 + b"/" + b"n" * 99 + b"/", b"p" * 50, b"n" * 99 + b"/"),
        (b"d/" * 100, b"/".join([b"d"] * 78), b"d/" * 22),
    ],
)
def test_prefix(name: bytes, prefix: bytes, rest: bytes) -> None:
    """A long name is split at a slash, as far to the right as the prefix field allows."""
    extended, _, main = parts(entry(name))
    assert not extended
    assert (text(main, "prefix"), text(main, "name")) == (prefix, rest)


@pytest.mark.parametrize(
    "name",
    [
        b"n" * 101,
        b"p" * 156 + b"/f",
        b"p/" + b"n" * 101,
        b"/" + b"n" * 100,
        b"p" * 155 + b"/" + b"n" * 101,
        "ä".encode() + b"/" + b"n" * 100,
        b"d" * 120 + b"/",
    ],
)
def test_unsplittable(name: bytes) -> None:
    """A name that fits neither field nor split goes into a record, whole, and the prefix stays empty."""
    _, records, main = parts(entry(name))
    assert records.endswith(b" path=" + name + b"\n")
    assert not text(main, "prefix")


@pytest.mark.parametrize("device", [(8, 1), (0xFFF, 0xFFFFF)])
def test_devices(device: tuple[int, int]) -> None:
    """Device numbers stand in their fields, which are filled for everything else too."""
    main = header_blocks(entry(type=writer.BLOCK, device=device))
    assert (int(text(main, "devmajor"), 8), int(text(main, "devminor"), 8)) == device


# ── PAX ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("made", "records", "fields"),
    [
        (entry(mtime=-6, nanoseconds=0), b"12 mtime=-6\n", {"mtime": b"00000000000"}),
        (entry(mtime=10**10), b"21 mtime=10000000000\n", {"mtime": b"00000000000"}),
        (entry(size=9 << 30), b"19 size=9663676416\n", {"size": b"00000000000"}),
        (entry(uid=3000000), b"15 uid=3000000\n", {"uid": b"0000000"}),
        (entry(gid=2097152), b"15 gid=2097152\n", {"gid": b"0000000"}),
        (entry(b"x" * 120 + b"/", type=b"5"), b"131 path=" + b"x" * 120 + b"/\n", {"name": b"x" * 100}),
        (entry("é".encode()), "11 path=é\n".encode(), {"name": b""}),
        (entry(type=b"2", linkname=b"t" * 101), b"115 linkpath=" + b"t" * 101 + b"\n", {"linkname": b"t" * 100}),
        (entry(mtime=5, nanoseconds=500_000_000), b"13 mtime=5.5\n", {"mtime": b"00000000005"}),
        (entry(mtime=-6, nanoseconds=500_000_000), b"14 mtime=-5.5\n", {"mtime": b"00000000000"}),
        (entry(mtime=0, nanoseconds=1), b"21 mtime=0.000000001\n", {"mtime": b"00000000000"}),
    ],
)
def test_records(made: Entry, records: bytes, fields: dict[str, bytes]) -> None:
    """What a field cannot hold stands in a record, and only that."""
    _, found, main = parts(made)
    assert found == records
    assert {name: text(main, name) for name in fields} == fields


def test_largest_without_records() -> None:
    """The largest numbers and names that the fields hold need no records."""
    made = entry(b"x" * 100, type=b"2", linkname=b"t" * 100, uid=2097151, gid=2097151, mtime=8**11 - 1)
    assert len(header_blocks(made)) == 512
    assert len(header_blocks(entry(size=8**11 - 1))) == 512


def test_order_of_records() -> None:
    """Records are sorted by their keys' bytes: attributes, in capitals, come first."""
    made = entry("é".encode(), uid=1 << 22, mtime=-1, xattrs=[(b"user.b", b"2"), (b"user.a", b"1")])
    keys = [line.split(b" ")[1].split(b"=")[0] for line in parts(made)[1].splitlines()]
    assert keys == [b"SCHILY.xattr.user.a", b"SCHILY.xattr.user.b", b"mtime", b"path", b"uid"]


def test_capability_record() -> None:
    """An attribute's value is written as it is, its length counted in bytes."""
    value = bytes(range(20))
    assert parts(entry(xattrs=[(b"security.capability", value)]))[1] == (
        b"57 SCHILY.xattr.security.capability=" + value + b"\n"
    )


@pytest.mark.parametrize("size", [0, 1, 75, 76, 974, 975, 976])
def test_length_counts_itself(size: int) -> None:
    """A record's length includes its own digits, also where that adds one."""
    records = parts(entry(xattrs=[(b"user.x", b"v" * size)]))[1]
    assert int(records.split(b" ")[0]) == len(records)


def test_extended_header_bytes() -> None:
    """The extended header has zeros for numbers, nothing in the device fields, and a name of its own."""
    made = entry(b"dir/file", uid=1 << 22)
    extended, records, _ = parts(made)
    expected = (
        b"dir/PaxHeaders.0/file".ljust(100, b"\0")
        + b"0000000\0" * 3
        + (b"%011o\0" % len(records))
        + b"00000000000\0"
        + field(extended, "checksum")
        + b"x"
        + bytes(100)
        + b"ustar\00000"
    )
    assert extended == expected.ljust(512, b"\0")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"f", b"PaxHeaders.0/f"),
        (b"d/", b"d/PaxHeaders.0"),
        (b"a/b/", b"a/b/PaxHeaders.0"),
        ("é".encode(), b"PaxHeaders.0"),
        ("aé/b".encode(), b"a/PaxHeaders.0/b"),
        (b"x" * 200 + b"/f", b"x" * 100),
        (b"x" * 89 + b"/f", b"x" * 89 + b"/PaxHeaders"),
        (b"x" * 87 + b"/f", b"x" * 87 + b"/PaxHeaders.0"),
        (b"x" * 86 + b"/f", b"x" * 86 + b"/PaxHeaders.0"),
    ],
)
def test_extended_header_name(name: bytes, shown: bytes) -> None:
    """The extended header is named after the entry, in ASCII, cut, without a slash at the end."""
    assert text(parts(entry(name, uid=1 << 22))[0], "name") == shown.rstrip(b"/")


def test_cut_at_a_slash() -> None:
    """A main header's name never looks like a directory's because it was cut there."""
    _, _, main = parts(entry(b"x" * 99 + b"/" + b"y" * 101))
    assert field(main, "name") == b"x" * 99 + b"\0"


@pytest.mark.parametrize("name", NAME_SPACE)
@pytest.mark.parametrize("linkname", [b"", b"t" * 150, "ünï".encode()])
def test_another_reader_agrees(name: bytes, linkname: bytes) -> None:
    """Python's tarfile reads back what was written."""
    kind = writer.SYMLINK if linkname else writer.REGULAR
    made = entry(name.rstrip(b"/"), type=kind, mode=0o751, uid=3 << 20, gid=5, mtime=1234567890, linkname=linkname)
    made.xattrs = [(b"user.x", b"value")]
    stream = io.BytesIO(header_blocks(made) + writer.END)
    with tarfile.open(fileobj=stream, encoding="utf-8", errors="surrogateescape") as archive:
        (info,) = archive.getmembers()
    assert info.name.encode("utf-8", "surrogateescape") == made.name
    assert info.linkname.encode("utf-8", "surrogateescape") == linkname
    assert (info.mode, info.uid, info.gid, info.mtime, info.type) == (0o751, 3 << 20, 5, 1234567890, kind)
    assert info.pax_headers["SCHILY.xattr.user.x"] == "value"


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_attribute_name_with_equals_sign() -> None:
    """A record cannot hold such a name; the error says which."""
    with pytest.raises(Unsupported, match=r"user\.a=b"):
        header_blocks(entry(xattrs=[(b"user.a=b", b"")]))


def test_too_many_attributes() -> None:
    """More than readers accept is refused before it is written."""
    header_blocks(entry(xattrs=[(b"user.x", b"v" * ((1 << 20) - 100))]))
    with pytest.raises(Unsupported) as caught:
        header_blocks(entry(xattrs=[(b"user.x", b"v" * (1 << 20))]))
    assert caught.value.go_text == "archive/tar: header field too long"


@pytest.mark.parametrize("name", [b"a", b"d/" * 49 + b"ab", b"d/" * 50 + b"a", "é".encode()])
@pytest.mark.parametrize("owner", [(0, 0), (8**7 - 1, 1000), (8**7, 0), (0, 8**7)])
@pytest.mark.parametrize(("size", "mtime"), [(0, 0), (513, 1_700_000_000), (8**11 - 1, 8**11 - 1), (8**11, 0), (0, -1)])
def test_a_plain_file_has_the_same_header_or_none(name: bytes, owner: tuple[int, int], size: int, mtime: int) -> None:
    """The fast way is for what fits, and leaves the rest to the other."""
    mode = stat.S_IFREG | 0o4755
    times = {"st_mtime_ns": mtime * 1_000_000_000 + 999_999_999}
    status = os.stat_result((mode, 1, 1, 1, *owner, size, 0, mtime, 0), times)

    plain = plain_file(name, status)

    blocks = header_blocks(Entry(name, writer.REGULAR, 0o4755, *owner, size, mtime))
    fits = len(name) <= 100 and name.isascii() and max(owner) < 8**7 and size < 8**11 and 0 <= mtime < 8**11
    assert plain == (blocks if fits else b"")
