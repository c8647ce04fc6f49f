"""The bytes of a file in an item, held against the archive that its layer came from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.archive.names import show_name
from cstore.archive.tarsplit import last_file
from cstore.arguments import checked
from cstore.errors import ContentDamaged, SystemFailure, TarSplitDamaged, UnsafeID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.tarsplit import FileEntry
    from cstore.contents.files import Contents, File

_PIECE = 1 << 20


@checked
def pieces(contents: Contents, file: File) -> Iterator[bytes]:
    """The contents of a regular file, piece by piece. What they should be is known of files of imported layers.

    Raises:
        FileUnknown: it is no regular file, or its contents are lost.
        ContentDamaged: they are not what was imported; raised as soon as that is certain, which may be at the end.
        SystemFailure: they cannot be read.
    """
    from fastcrc import crc64

    with contents.opened(file) as descriptor:
        layer = contents.chain.layer_of(contents.origin(file))
        expected = _expected(contents, layer, file)
        try:
            size = os.fstat(descriptor).st_size
            if expected is not None and size != expected.size:
                raise _damaged(layer, file, f"has {size} bytes instead of {expected.size}")
            checksum: int | None = None
            while piece := os.read(descriptor, _PIECE):
                checksum = crc64.go_iso(piece) if checksum is None else crc64.go_iso(piece, checksum)
                yield piece
        except OSError as error:
            raise SystemFailure("read", f"/{show_name(file.path)}", error) from error
        if expected is not None and expected.checksum is not None and (checksum or 0) != expected.checksum:
            raise _damaged(layer, file, "has other contents")


def _damaged(layer: str, file: File, reason: str) -> ContentDamaged:
    return ContentDamaged(layer, show_name(file.path), reason)


def _expected(contents: Contents, layer: str, file: File) -> FileEntry | None:
    """What the archive of its layer says of a file; None if there is none, or it says nothing of contents."""
    try:
        path = contents.chain.tar_split(layer)
        entry = last_file(path, file.path) if os.path.exists(path) else None
    except UnsafeID:
        return None
    except TarSplitDamaged as error:
        contents.problems.append(f"/{show_name(file.path)} could not be verified: {error.message}")
        return None
    return entry if entry is not None and entry.checksum is not None else None  # a mere second name says nothing


@checked
def digest(contents: Contents, file: File) -> str:
    """The SHA-256 digest of a regular file's contents.

    Raises:
        CstoreError: as `pieces`.
    """
    from cstore.digests import digest_from, new_hash

    made = new_hash()
    for piece in pieces(contents, file):
        made.update(piece)
    return digest_from(made)
