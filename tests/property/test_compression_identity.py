"""Any bytes, compressed in any pieces and read in any pieces, come back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.archive.compression import Compression, open_decoder, open_encoder
from cstore.errors import ArchiveError

PIECES = st.lists(st.binary(max_size=3000) | st.integers(0, 200_000).map(bytes), max_size=6)


class Drip:
    """A raw stream that comes in pieces of one size."""

    def __init__(self, data: bytes, step: int) -> None:
        self.rest = data
        self.step = step

    def readinto(self, buffer: memoryview, /) -> int:
        size = min(self.step, len(buffer))
        piece, self.rest = self.rest[:size], self.rest[size:]
        buffer[: len(piece)] = piece
        return len(piece)


def decode(kind: Compression, data: bytes, step: int, room: int) -> bytes:
    decoder = open_decoder(kind, Drip(data, step))
    buffer = memoryview(bytearray(room))
    pieces = []
    while count := decoder.readinto(buffer):
        pieces.append(bytes(buffer[:count]))
    return b"".join(pieces)


@pytest.mark.parametrize("kind", list(Compression), ids=lambda kind: kind.label)
@given(pieces=PIECES, step=st.integers(1, 5000), room=st.integers(300, 1 << 20))
@settings(max_examples=30, deadline=None)
def test_identity(kind: Compression, pieces: list[bytes], step: int, room: int) -> None:
    """Compressing and decompressing changes nothing."""
    encoder = open_encoder(kind)
    compressed = b"".join(encoder.compress(piece) for piece in pieces) + encoder.flush()
    assert decode(kind, compressed, step, room) == b"".join(pieces)


@pytest.mark.parametrize("kind", [kind for kind in Compression if kind], ids=lambda kind: kind.label)
@given(data=st.binary(min_size=1, max_size=2000), cut=st.integers(1, 2000))
@settings(max_examples=30, deadline=None)
def test_cut(kind: Compression, data: bytes, cut: int) -> None:
    """A stream that lost its last bytes is refused, however few they are."""
    encoder = open_encoder(kind)
    compressed = encoder.compress(data) + encoder.flush()
    with pytest.raises(ArchiveError):
        decode(kind, compressed[: max(len(compressed) - cut, 1)], 1 << 16, 1 << 16)


@pytest.mark.parametrize("kind", [kind for kind in Compression if kind], ids=lambda kind: kind.label)
@given(junk=st.binary(max_size=600), keep=st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_junk(kind: Compression, junk: bytes, keep: int) -> None:
    """Bytes that are no such stream, from the start or from somewhere on, give an error of ours or the data so far."""
    encoder = open_encoder(kind)
    compressed = encoder.compress(b"the beginning of a layer" * 9) + encoder.flush()
    try:
        decode(kind, compressed[:keep] + junk, 100, 1000)
    except ArchiveError as error:
        assert error.go_text == "unexpected EOF"  # noqa: PT017  - not every junk is an error: zeros after the end are none
