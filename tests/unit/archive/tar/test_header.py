"""One header block: dialects, numbers, checksums, as Go's archive/tar reads them."""

from __future__ import annotations

import pytest

from cstore.archive.tar.header import DIRECTORY, parse_header, parse_number
from cstore.errors import ArchiveMalformed
from tests.builders import Entry, base256, regular, sealed


def parse(entry: Entry) -> object:
    """Read an entry's header block."""
    return parse_header(entry.header(), 0)


def test_fields() -> None:
    """Every field of a ustar header is read."""
    entry = parse_header(
        Entry(
            b"dir/name", type=b"3", mode=0o6755, uid=1, gid=2, mtime=3, linkname=b"target", device=(4, 5), size=6
        ).header(),
        0,
    )

    assert (entry.name, entry.link, entry.type) == (b"dir/name", b"target", ord("3"))
    assert (entry.mode, entry.uid, entry.gid, entry.size) == (0o6755, 1, 2, 6)
    assert (entry.mtime, entry.atime, entry.device) == (3_000_000_000, 0, (4, 5))
    assert (entry.xattrs, entry.sparse, entry.stored) == ((), None, 0)


@pytest.mark.parametrize(
    ("field", "number"),
    [
        (b"0000644\0", 0o644), (b"0000644 ", 0o644), (b"    644\0", 0o644), (b"644\0\0\0\0\0", 0o644), (b"\0" * 8, 0),
        (b" " * 8, 0), (b"7" * 12, 8**12 - 1), (b"\0\0 17 \0\0", 0o17), (b"17\0xyz89", 0o17), (b"00000000", 0),
        (base256(2**40, 12), 2**40), (base256(-1, 8), -1), (base256(-(2**40), 12), -(2**40)), (b"\x80" + b"\0" * 7,
        0),
        (base256(2**62, 12), 2**62), (base256(-(2**63), 12), -(2**63)), (b"\xff" * 12, -1),
    ],
)  # fmt: skip
def test_numbers(field: bytes, number: int) -> None:
    """Numbers are octal, with spaces and NULs around them, or in base 256."""
    assert parse_number(field) == number


@pytest.mark.parametrize(
    "field",
    [b"0000008\0", b"-000644\0", b"+000644\0", b"0o00644\0", b"0_00644\0", b"64 4\0\0\0\0", b"abc\0\0\0\0\0",
     b"\t64\0\0\0\0\0",
     b"6\xc2\xb2\0\0\0\0\0", base256(2**63, 12), base256(-(2**63) - 1, 12), b"\xbf" + b"\xff" * 11],
)  # fmt: skip
def test_no_numbers(field: bytes) -> None:
    """Everything else is none: not what int() would take, and nothing of more than 64 bits."""
    with pytest.raises(ValueError, match=r"octal|64 bits"):
        parse_number(field)


@pytest.mark.parametrize("field", ["mode", "uid", "gid", "size", "mtime", "devmajor", "devminor"])
def test_bad_field(field: str) -> None:
    """One bad number spoils the header, whatever field it is in."""
    with pytest.raises(ArchiveMalformed, match="at byte 1024: b'9' is not an octal number") as caught:
        parse_header(regular("f", raw={field: b"9\0"}).header(), 1024)
    assert caught.value.go_text == "archive/tar: invalid tar header"


def test_old_headers_have_no_devices() -> None:
    """In a V7 header those fields are not looked at."""
    parse(regular("f", magic=b"\0" * 8, raw={"devmajor": b"rubbish!"}))


# ── checksums ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [b"plain", "é☃".encode(), b"\xff" * 100])
def test_checksum_forms(name: bytes) -> None:
    """The sum may be of unsigned or of signed bytes, and written in several ways."""
    block = regular(name).header()
    unsigned = sum(block[:148]) + sum(block[156:]) + 8 * 32
    signed = unsigned - 256 * sum(byte > 127 for byte in block)
    for text in (b"%06o\0 " % unsigned, b"%07o\0" % unsigned, b" %06o\0" % unsigned, b"%06o\0 " % signed):
        assert parse_header(sealed(block, text), 0).name == name


@pytest.mark.parametrize("change", [0, 99, 124, 257, 511])
def test_changed_byte(change: int) -> None:
    """A changed byte anywhere is noticed."""
    block = bytearray(regular("name", b"123").header())
    block[change] ^= 1
    with pytest.raises(ArchiveMalformed, match="checksum"):
        parse_header(bytes(block), 0)


@pytest.mark.parametrize("text", [b"", b"junk", b"999999", b"0"])
def test_bad_checksum_field(text: bytes) -> None:
    """A checksum that is no number, or another one, is refused."""
    with pytest.raises(ArchiveMalformed):
        parse_header(sealed(regular("name").header(), text), 0)


def test_sum_beyond_adler() -> None:
    """The fast way of summing is not fooled by what it cannot tell apart: sums that differ by 65521."""
    block = bytearray(b"\xff" * 512)
    block[:100] = b"n" * 100
    block[100:148] = bytes(48)
    block[257:263] = b"nougat"
    right = sealed(block)
    total = int(right[148:154], 8)
    assert total > 65521
    parse_header(right, 0)
    with pytest.raises(ArchiveMalformed):
        parse_header(sealed(block, b"%06o\0 " % (total - 65521)), 0)


# ── dialects ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_prefix() -> None:
    """A prefix comes before the name; in V7 and GNU headers there is none."""
    assert parse_header(regular("name", prefix=b"pre/fix").header(), 0).name == b"pre/fix/name"
    assert parse_header(regular("name", prefix=b"pre", magic=b"\0" * 8).header(), 0).name == b"name"
    assert parse_header(regular("name", prefix=b"pre", magic=b"ustarzzz").header(), 0).name == b"name"


def test_gnu_times() -> None:
    """GNU headers have times where others have the prefix."""
    raw = {345: b"00000000012\0", 357: b"00000000013\0"}
    entry = parse_header(regular("name", magic=b"ustar  \0", raw=raw).header(), 0)

    assert (entry.name, entry.atime) == (b"name", 10_000_000_000)


def test_gnu_with_a_prefix() -> None:
    """Old Go programs wrote a prefix into GNU headers; what cannot be a time is taken for one."""
    for prefix in (b"a/long/directory/name", b"deep"):
        entry = parse_header(regular("name", magic=b"ustar  \0", prefix=prefix).header(), 0)
        assert (entry.name, entry.atime) == (prefix + b"/name", 0)
    odd = parse_header(regular("name", magic=b"ustar  \0", prefix="é".encode()).header(), 0)
    assert odd.name == b"name"


def test_star() -> None:
    """STAR headers have a shorter prefix and two times."""
    raw = {476: b"00000000012 ", 488: b"00000000013 ", 508: b"tar\0"}
    entry = parse_header(regular("name", prefix=b"p" * 131, raw=raw).header(), 0)

    assert (entry.name, entry.atime) == (b"p" * 131 + b"/name", 10_000_000_000)
    with pytest.raises(ArchiveMalformed):
        parse(regular("name", raw={**raw, 488: b"rubbish     "}))


def test_strings_end_at_nul() -> None:
    """Names end at the first NUL or at the end of their field."""
    entry = parse_header(Entry(b"a\0b", linkname=b"l" * 100).header(), 0)

    assert (entry.name, entry.link) == (b"a", b"l" * 100)
    assert parse_header(Entry(b"n" * 100, type=b"5").header(), 0).type == DIRECTORY
