"""Files and parts of files as sources: their digests, and what is in an archive."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.check.repair.pieces import Piece, PieceReader, decompressed, digests_of, members, open_piece
from cstore.errors import ArchiveError, SystemFailure
from tests.builders import compress, digest, directory, make_tar, regular, symlink
from tests.unit.check.tables import write

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"hello " * 5000


def piece(top: Path, data: bytes, start: int = 0, size: int = -1) -> Piece:
    """A part of a file that holds these bytes."""
    write(str(top / "file"), data)
    return Piece(str(top / "file"), "given", start, size)


@pytest.mark.parametrize("kind", ["tar", "gzip", "bzip2", "xz", "zstd"])
def test_a_file_is_known_as_it_is_and_decompressed(tmp_path: Path, kind: str) -> None:
    raw = compress(DATA, kind)
    made = piece(tmp_path, raw)
    with open_piece(made) as file:
        assert digests_of(file.fileno(), made) == (digest(raw), digest(DATA), len(raw))


def test_what_cannot_be_decompressed_is_not_taken_for_what_could(tmp_path: Path) -> None:
    """Of a cut file the first bytes come out whole; they are not the layer."""
    raw = compress(DATA, "gzip")[:-12]
    made = piece(tmp_path, raw)
    with open_piece(made) as file:
        first, second, _ = digests_of(file.fileno(), made)
        assert first == digest(raw)
        assert second not in {digest(DATA), digest(raw)}
        with pytest.raises(ArchiveError):
            list(decompressed(PieceReader(file.fileno(), made)))


@pytest.mark.parametrize(("start", "size", "found"), [(0, -1, DATA), (6, 5, b"hello"), (6, -1, DATA[6:])])
def test_a_part_is_read_where_it_lies(tmp_path: Path, start: int, size: int, found: bytes) -> None:
    made = piece(tmp_path, DATA, start, size)
    with open_piece(made) as file:
        reader, buffer, data = PieceReader(file.fileno(), made), memoryview(bytearray(1000)), b""
        while count := reader.readinto(buffer):
            data += buffer[:count]

    assert data == found


def test_a_part_that_is_cut_lacks_something(tmp_path: Path) -> None:
    """`left` tells how much."""
    made = piece(tmp_path, DATA[:10], 4, 100)
    with open_piece(made) as file:
        reader = PieceReader(file.fileno(), made)
        assert reader.readinto(memoryview(bytearray(200))) == 6
        assert (reader.readinto(memoryview(bytearray(200))), reader.left) == (0, 94)


def test_the_regular_files_of_a_tar(tmp_path: Path) -> None:
    """Each where it lies; empty ones, directories and links have no bytes."""
    path = str(tmp_path / "tar")
    entries = directory("d"), regular("d/a", b"one"), symlink("l", "d/a"), regular("empty"), regular("b", b"two")
    write(path, make_tar(*entries))

    found = []
    for member in members(path, "given"):
        with open_piece(member) as file:
            found.append(os.pread(file.fileno(), member.size, member.start))
    assert found == [b"one", b"two"]


def test_a_file_that_went_away(tmp_path: Path) -> None:
    with pytest.raises(SystemFailure, match="none"):
        open_piece(Piece(str(tmp_path / "none"), "given"))
