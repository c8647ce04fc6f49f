"""Reading of an item's files, verified against the archive of their layer."""

from __future__ import annotations

import os
import stat
from collections import deque
from itertools import chain

from cstore import errors, presence
from cstore.archive.names import show_name
from cstore.archive.tarsplit_search import last_files
from cstore.arguments import checked
from cstore.contents.files import open_item
from cstore.store import Item
from cstore.store.lookup import find_layer
from cstore.store.places import ItemKind
from cstore.store.reading import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.tarsplit import FileEntry
    from cstore.contents.files import Contents, File
    from cstore.store import LayerPath, Store

_PIECE = 1 << 20


@checked
def pieces(contents: Contents, file: File) -> Iterator[bytes]:
    """Yield the contents of a regular file in pieces. Files of imported layers are verified.

    Raises:
        FileUnknown: it is not a regular file, or its contents are lost.
        ContentDamaged: they differ from the imported ones; raised as soon as this is certain, which may be at the end.
        SystemFailure: they cannot be read.
    """
    layer = contents.chain.layer_of(contents.origin(file))
    yield from _verified(contents, file, layer, _expected(contents, layer, file.path).get(file.path))


def verify(contents: Contents, top: File) -> None:
    """Read a file, or all files below a directory, and verify each against the archive of its layer.

    Data that could not be verified or read becomes a problem of `contents`.

    Raises:
        ContentDamaged: a file differs from the imported one.
        CstoreError: a file cannot be read.
    """
    archives: dict[str, dict[bytes, FileEntry]] = {}
    for file in chain((top,), contents.walk(top.path) if top.format == stat.S_IFDIR else ()):
        if file.format == stat.S_IFREG:
            layer = contents.chain.layer_of(contents.origin(file))
            if layer not in archives:
                archives[layer] = _expected(contents, layer, top.path)
            expected = archives[layer].get(file.path)
            if expected is not None and expected.checksum is not None:
                deque(_verified(contents, file, layer, expected), maxlen=0)


def verify_source(store: Store, source: LayerPath) -> list[str]:
    """Verify the source of a copy out of a layer against the archives of the chain's layers.

    Returns:
        Sentences about data that could not be verified. The copy itself reports unreadable files.

    Raises:
        ContentDamaged: a file differs from the imported one.
    """
    layer = find_layer(Reader(store.context), source.layer)
    if layer is None:
        return []
    try:
        with open_item(store, Item(ItemKind.LAYERS, layer.id)) as contents:
            verify(contents, contents.get(os.fsencode(source.path) or b"/"))
            return contents.problems
    except errors.ContentDamaged as error:
        error.hint = "nothing was copied; copy --no-verify copies the file as it is"
        raise
    except errors.CstoreError:
        return []


def _verified(contents: Contents, file: File, layer: str, expected: FileEntry | None) -> Iterator[bytes]:
    from fastcrc import crc64

    if expected is not None and expected.checksum is None:
        expected = None  # a further hard link has no checksum
    with contents.opened(file) as descriptor:
        try:
            size = os.fstat(descriptor).st_size
            if expected is not None and size != expected.size:
                raise _damaged(layer, file, f"has {size} bytes instead of {expected.size}")
            checksum: int | None = None
            left = -1 if expected is None else size  # with a known size, no read for EOF is needed
            while left and (piece := os.read(descriptor, _PIECE)):
                left -= 0 if expected is None else len(piece)
                checksum = crc64.go_iso(piece) if checksum is None else crc64.go_iso(piece, checksum)
                yield piece
        except OSError as error:
            raise errors.SystemFailure("read", f"/{show_name(file.path)}", error) from error
        if expected is not None and (checksum or 0) != expected.checksum:
            raise _damaged(layer, file, "has other contents")


def _damaged(layer: str, file: File, reason: str) -> errors.ContentDamaged:
    return errors.ContentDamaged(layer, show_name(file.path), reason)


def _expected(contents: Contents, layer: str, top: bytes) -> dict[bytes, FileEntry]:
    """Return the entries of a layer's archive at a path and below; nothing if there is no archive."""
    try:
        path = contents.chain.tar_split(layer)
        return last_files(path, top) if presence.exists(path) else {}
    except errors.UnsafeID:
        return {}
    except errors.TarSplitDamaged as error:
        contents.problems.append(f"/{show_name(top)} could not be verified: {error.message}")
        return {}


@checked
def digest(contents: Contents, file: File) -> str:
    """Return the SHA-256 digest of a regular file's contents.

    Raises:
        CstoreError: see `pieces`.
    """
    from cstore.digests import digest_from, new_hash

    made = new_hash()
    for piece in pieces(contents, file):
        made.update(piece)
    return digest_from(made)
