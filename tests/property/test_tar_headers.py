"""Laws of reading tar: what Python's tarfile writes is read as it was meant, and no bytes lead to a surprise."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.archive.tar.header import BLOCK, parse_header
from cstore.archive.tar.pax import parse_records
from cstore.errors import ArchiveError
from tests.builders import pax_record, sealed
from tests.unit.archive.tar.test_reader import Read

TYPES = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
    lambda text: text.strip("/") != ""
)
FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@st.composite
def members(draw: st.DrawFn) -> tuple[int, tarfile.TarInfo, bytes]:
    """A format, an entry and its contents."""
    format_ = draw(FORMATS)
    info = tarfile.TarInfo(draw(TEXT).strip("/"))
    info.type = draw(TYPES)
    info.mode = draw(st.integers(0, 0o7777))
    largest = 0o7777777 if format_ == tarfile.USTAR_FORMAT else 2**32
    info.uid, info.gid = draw(st.integers(0, largest)), draw(st.integers(0, largest))
    info.mtime = draw(st.integers(0, 2**33 - 1))
    info.linkname = draw(TEXT) if info.type in {tarfile.SYMTYPE, tarfile.LNKTYPE} else ""
    info.devmajor, info.devminor = draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1))
    body = draw(st.binary(max_size=1500)) if info.type == tarfile.REGTYPE else b""
    info.size = len(body)
    return format_, info, body


@given(members())
def test_tarfile_is_understood(member: tuple[int, tarfile.TarInfo, bytes]) -> None:
    """Every field arrives, in every format, if the format can hold it at all."""
    format_, info, body = member
    target = io.BytesIO()
    try:
        with tarfile.open(fileobj=target, mode="w", format=format_, encoding="utf-8") as archive:
            archive.addfile(info, io.BytesIO(body))
    except ValueError:
        return  # too much for ustar
    read = Read(target.getvalue())

    (entry,) = read.entries
    assert read.whole == target.getvalue()
    assert entry.name.rstrip(b"/") == info.name.encode().rstrip(b"/")
    assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (info.mode, info.uid, info.gid, int(info.mtime) * 10**9)
    assert entry.link == info.linkname.encode()
    assert read.bodies == [body]
    if info.type == tarfile.CHRTYPE:
        assert entry.device == (info.devmajor, info.devminor)


KEYS = st.binary(max_size=20).filter(lambda key: not {0, 61} & {*key}).map(lambda key: b"vendor." + key)


@given(st.dictionaries(KEYS, st.binary(max_size=300)))
def test_records_round_trip(records: dict[bytes, bytes]) -> None:
    """Records come out as they went in, whatever is in their values."""
    body = b"".join(pax_record(key, value) for key, value in records.items())

    assert parse_records(body, 0) == records


@given(st.binary(max_size=400))
def test_records_of_any_bytes(body: bytes) -> None:
    """Any bytes are records or one of our errors."""
    accept(lambda: parse_records(body, 0))


@given(st.binary(min_size=BLOCK, max_size=BLOCK))
def test_headers_of_any_bytes(block: bytes) -> None:
    """Any block with a right checksum is a header or one of our errors."""
    accept(lambda: parse_header(sealed(block), 0))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("xgLKS01235\0 7"), max_size=6), st.data())
def test_streams_of_any_bytes(types: list[str], data: st.DataObject) -> None:
    """Any row of blocks is an archive that comes out as it went in, or one of our errors."""
    stream = bytearray()
    for type_ in types:
        block = bytearray(data.draw(st.binary(max_size=60)).ljust(BLOCK, b"\0"))
        block[100:156] = b"0000644\0" * 3 + b"%011o\0" % data.draw(st.integers(0, 1200)) + bytes(20)
        block[156] = ord(type_)
        block[257:265] = data.draw(st.sampled_from([b"ustar\x0000", b"ustar  \0", bytes(8)]))
        stream += sealed(block)
        stream += data.draw(st.binary(max_size=40)) * data.draw(st.integers(0, 40))
    stream += data.draw(st.sampled_from([b"", bytes(512), bytes(1024), b"x"]))

    accept(lambda: _assert_whole(bytes(stream)))


def _assert_whole(stream: bytes) -> None:
    assert Read(stream, step=700).whole == stream


def accept(call: object) -> None:
    """Let a call succeed, or fail with one of our errors and nothing else."""
    assert callable(call)
    try:
        call()
    except ArchiveError as error:
        assert error.message  # noqa: PT017  - a success is fine as well
