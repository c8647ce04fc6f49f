"""PAX records: their form, and what they change."""

from __future__ import annotations

import pytest

from cstore.archive.tar.header import parse_header
from cstore.archive.tar.pax import apply_records, parse_decimal, parse_records, parse_time
from cstore.errors import ArchiveMalformed
from tests.builders import pax_record, regular


def test_records() -> None:
    """Values hold any bytes, equals signs and line ends too; the last of equal keys counts."""
    body = b"".join(
        [
            pax_record(b"path", b"first"),
            pax_record(b"SCHILY.xattr.user.a", b"x=\n\0\xff"),
            pax_record(b"empty", b""),
            pax_record(b"path", b"second"),
        ]
    )

    assert parse_records(body, 0) == {b"path": b"second", b"SCHILY.xattr.user.a": b"x=\n\0\xff", b"empty": b""}
    assert parse_records(b"", 0) == {}


def test_long_record() -> None:
    """Lengths of many digits include themselves."""
    value = b"v" * 99_990
    assert parse_records(pax_record(b"k", value), 0) == {b"k": value}


@pytest.mark.parametrize(
    "body",
    [
        b"12 path=x\n", b"8 path=x\n", b"10 path=xx", b"10 path=x\0", b"4 a=\n", b"3 =\n", b"6 =ab\n", b"7 abcd\n",
        b"x a=b\n",
        b"-7 a=b\n", b"0x7 a=b\n", b"99999999999999999999999 a=b\n", b"no space at all", b"10 a\0b=cd\n",
        b"13 path=a\0bc\n",
        b"7  a=\n", b" 6 a=\n", b"6 a=b\n\0", b"5 a=b\n",
    ],
)  # fmt: skip
def test_broken_records(body: bytes) -> None:
    """A record that breaks the rules spoils the header."""
    with pytest.raises(ArchiveMalformed, match="at byte 512: its PAX header"):
        parse_records(body, 512)


def test_hostile_length() -> None:
    """A megabyte without a space is refused at once, not searched again and again."""
    with pytest.raises(ArchiveMalformed):
        parse_records(b"1" * (1 << 20), 0)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"0", 0), (b"5", 5_000_000_000), (b"1.5", 1_500_000_000), (b"1.", 1_000_000_000), (b"1.123456789999",
        1_123_456_789),
        (b"-1.5", -1_500_000_000), (b"-0.25", -250_000_000), (b"1.000000001", 1_000_000_001),
    ],
)  # fmt: skip
def test_times(text: bytes, nanoseconds: int) -> None:
    """Times have a fraction of any length, of which nanoseconds count."""
    assert parse_time(text) == nanoseconds


@pytest.mark.parametrize("text", [b"", b".5", b"1.x", b"1e5", b"1.-5", b" 1", b"1 ", b"0x1", b"1_0", b"9" * 20])
def test_no_times(text: bytes) -> None:
    """Anything else is no time, and no number either."""
    with pytest.raises(ValueError, match="holds"):
        parse_time(text)
    with pytest.raises(ValueError, match="holds"):
        parse_decimal(text)


def test_application() -> None:
    """Known keys change the entry, empty values keep what is there, the rest means nothing."""
    entry = parse_header(regular("name", uid=5, gid=6).header(), 0)
    records = {
        b"path": b"other", b"linkpath": b"link", b"uid": b"-7", b"gid": b"", b"size": b"99", b"mtime": b"1.5",
        b"atime": b"2", b"ctime": b"3", b"uname": b"root", b"SCHILY.xattr.user.x": b"",
        b"LIBARCHIVE.xattr.user.y": b"eA==",
        b"SCHILY.acl.access": b"user::rwx", b"comment": b"hello",
    }  # fmt: skip
    apply_records(entry, records, 0)

    assert (entry.name, entry.link, entry.uid, entry.gid, entry.size) == (b"other", b"link", -7, 6, 99)
    assert (entry.mtime, entry.atime) == (1_500_000_000, 2_000_000_000)
    assert list(entry.xattrs) == [(b"user.x", b"")]


@pytest.mark.parametrize("key", [b"uid", b"gid", b"size", b"mtime", b"atime", b"ctime"])
def test_bad_values(key: bytes) -> None:
    """A number that is none spoils the header, even where its meaning is not used."""
    with pytest.raises(ArchiveMalformed, match="holds b'many'"):
        apply_records(parse_header(regular("name").header(), 0), {key: b"many"}, 0)
