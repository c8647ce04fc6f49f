"""Data items of layers, images and containers: kept in files, listed in their owner's record (semantics 10).

One mechanism for all three kinds. What differs is what a record says of an item: a layer's its key only, an image's and
a container's its size and digest as well.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress

from cstore.archive.streams import BUFFER_SIZE, FileReader, FileSink, fill
from cstore.digests import digest_from, digest_of, new_hash
from cstore.errors import CstoreError, DataItemNeeded, DataItemUnknown, InvalidDataName, SystemFailure
from cstore.fs import within
from cstore.records.bigdata import CALLERS_DIRECTORY, file_name, open_item, write_item
from cstore.records.images import MANIFEST, with_digest
from cstore.records.model import Image, Layer
from cstore.store.item_journal import begin, begin_removal, conclude, item_directory, path_of_new
from cstore.store.lookup import (
    get_container,
    get_image,
    get_layer,
    get_own_image,
    get_own_layer,
    layout_of_image,
    layout_of_layer,
)
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from cstore.store.session import writing
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH
    from collections.abc import Iterable, Iterator, Mapping
    from io import BufferedReader
    from typing import Any

    from cstore.layout import Layout
    from cstore.records.model import Container, R
    from cstore.store.context import Context
    from cstore.store.ends import Source
    from cstore.store.lookup import Tables
    from cstore.store.session import Writer


class _Owner(Value):
    """A record and the store that has its data items."""

    record: Layer | Image | Container
    layout: Layout


def data_names(context: Context, item_kind: ItemKind, ref: str) -> tuple[str, ...]:
    """List the data items of a layer, image or container, in the order in which they were first set.

    Raises:
        UnknownItem: nothing of that kind answers to `ref` (the kind's own class).
    """
    return _owner(context, item_kind, ref).record.data_names


def get_data(context: Context, item_kind: ItemKind, ref: str, key: str) -> bytes:
    """Return a data item.

    Raises:
        UnknownItem: nothing of that kind answers to `ref` (the kind's own class).
        DataItemUnknown: it has no such item.
    """
    return _read(_owner(context, item_kind, ref), item_kind, key)


def open_data(context: Context, item_kind: ItemKind, ref: str, key: str) -> BufferedReader:
    """Open a data item for reading.

    Raises:
        UnknownItem, DataItemUnknown: as `get_data`.
    """
    return _open(_owner(context, item_kind, ref), item_kind, key)


def data_size(context: Context, item_kind: ItemKind, ref: str, key: str) -> int:
    """Return how many bytes a data item has: what the record says, or else the file.

    Raises:
        UnknownItem, DataItemUnknown: as `get_data`.
    """
    owner = _owner(context, item_kind, ref)
    recorded = None if isinstance(owner.record, Layer) else owner.record.data_sizes.get(key)
    if recorded is not None:
        return recorded
    with _open(owner, item_kind, key) as file:
        return os.fstat(file.fileno()).st_size


def data_digest(context: Context, item_kind: ItemKind, ref: str, key: str) -> str:
    """Return the digest of a data item: what the record says, or else SHA-256 of the file.

    Raises:
        UnknownItem, DataItemUnknown: as `get_data`.
    """
    owner = _owner(context, item_kind, ref)
    recorded = "" if isinstance(owner.record, Layer) else owner.record.data_digests.get(key, "")
    if recorded:
        return recorded
    with _open(owner, item_kind, key) as file:
        return digest_from(_hashed(file))


def set_data(context: Context, item_kind: ItemKind, ref: str, key: str, data: Source, digest: str = "") -> None:
    """Set a data item: bytes and record together, see item_journal.py; or only the bytes, if the record says the same.

    Data other than `bytes` is read to its end before any lock is taken, so that nobody waits for a pipe.

    `digest` is for image manifests, whose digest may cover only a part of their bytes; "" computes the SHA-256.

    Raises:
        UnknownItem: nothing of that kind in the store itself answers to `ref` (the kind's own class).
        ReadOnlyStore: an item of an additional store does.
        InvalidDataName: `key` cannot become a file name.
        InvalidDigest: `digest` is not a digest.
    """
    file_name(key, item_kind.value)
    _get_own(Reader(context), item_kind, ref)  # before much is read for nothing, or a store is made for nothing
    with _gathered(context, data) as item, writing(context, item_kind) as writer:
        record = _get_own(writer, item_kind, ref)
        changed = with_item(record, key, item.size, digest or item.digest)
        directory = item_directory(context.layout, item_kind, record.id)
        if changed == record:
            _write(directory, key, item.pieces(), item_kind, sync=context.sync)
            return
        top, own = os.path.split(directory)
        if within.is_directory(top, f"{own}/{file_name(key, item_kind.value)}"):
            raise InvalidDataName(item_kind.value, key, "a directory has that name")
        begin(writer, item_kind, changed, key, item.pieces())
        _save(writer, item_kind, changed)


def delete_data(context: Context, item_kind: ItemKind, ref: str, key: str) -> None:
    """Delete a data item: file and record together, see item_journal.py.

    Raises:
        UnknownItem: nothing of that kind in the store itself answers to `ref` (the kind's own class).
        ReadOnlyStore: an item of an additional store does.
        DataItemUnknown: it has no such data item.
        DataItemNeeded: without this one, an image would be damaged.
    """
    _get_own(Reader(context), item_kind, ref)
    with writing(context, item_kind, freeing=True) as writer:
        record = _get_own(writer, item_kind, ref)
        changed = _without_item(record, key, item_kind)
        begin_removal(writer, item_kind, record.id, key)
        _save(writer, item_kind, changed)


def _save(writer: Writer, item_kind: ItemKind, changed: Any) -> None:
    """Save a record, and complete the change in the item's journal."""
    try:
        writer.table(item_kind).replace(changed)
        writer.save(item_kind)
    except BaseException:
        with suppress(CstoreError):  # the first error is the one to tell
            conclude(writer, item_kind)
        raise
    conclude(writer, item_kind)


def _without_item(record: Any, key: str, item_kind: ItemKind) -> Any:
    """Return the record that does not list an item."""
    if key not in record.data_names:
        raise DataItemUnknown(item_kind.value, record.id, key)
    names = tuple(name for name in record.data_names if name != key)
    if isinstance(record, Layer):
        return record.with_(data_names=names)
    described = any(name.startswith(MANIFEST) for name in record.data_names)
    if isinstance(record, Image) and described and key.startswith((MANIFEST, "sha256:")):
        raise DataItemNeeded(record.id, key)
    sizes, digests = ({name: of[name] for name in of if name != key} for of in (record.data_sizes, record.data_digests))
    return record.with_(data_names=names, data_sizes=sizes, data_digests=digests)


class _Item(Value):
    """The contents of an item: in memory, or in a file without a name."""

    size: int
    digest: str
    data: bytes = b""
    fd: int = -1

    def pieces(self) -> Iterator[bytes]:
        """All of it, in order."""
        if self.fd < 0:
            yield self.data
        for place in range(0, self.size if self.fd >= 0 else 0, BUFFER_SIZE):
            yield os.pread(self.fd, BUFFER_SIZE, place)


@contextmanager
def _gathered(context: Context, source: Source) -> Iterator[_Item]:
    """Read a source to its end, into memory or, if it is large, into a temporary file in the store."""
    from cstore.fs.nameless import nameless
    from cstore.store.ends import opened_source

    if isinstance(source, bytes):
        yield _Item(len(source), digest_of(source), source)
        return
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the data"
    with opened_source(source, name) as opened, ExitStack() as stack:
        reader = FileReader(opened, name) if isinstance(opened, int) else opened
        found, size, fd = new_hash(), 0, -1
        with memoryview(bytearray(BUFFER_SIZE)) as buffer:
            while count := fill(reader, buffer):
                found.update(buffer[:count])
                size += count
                if fd < 0 and count < BUFFER_SIZE:
                    yield _Item(size, digest_from(found), bytes(buffer[:count]))
                    return
                if fd < 0:
                    fd = stack.enter_context(nameless(context.layout.graph_root))
                FileSink(fd, "the data").write(buffer[:count])
        yield _Item(size, digest_from(found), b"", fd)


# ── for those who make records ──


def with_items(record: R, data: Mapping[str, bytes], digests: Mapping[str, str] = {}) -> R:
    """Return the record that lists these items too; `digests` are those that are known, by key."""
    for key, value in data.items():
        record = with_item(record, key, len(value), digests.get(key) or digest_of(value))
    return record


def with_item(record: R, key: str, size: int, digest: str) -> R:
    """Return the record that lists an item. The first manifest's digest becomes an image's own (store-format 7.2).

    Raises:
        InvalidDigest: `digest` is not a digest.
    """
    from cstore.digests import check_digest

    old: Any = record
    names = old.data_names if key in old.data_names else (*old.data_names, key)
    if isinstance(record, Layer):
        return record.with_(data_names=names)
    sizes = {**old.data_sizes, key: size}
    digests = {**old.data_digests, key: check_digest(digest)}
    listed: Any = record.with_(data_names=names, data_sizes=sizes, data_digests=digests)
    if isinstance(record, Image):
        listed = with_digest(listed)
    changed: R = listed
    return changed


def store_items(writer: Writer, item_kind: ItemKind, owner: str, data: Mapping[str, bytes]) -> None:
    """Write the data of an item that has no record yet. Removes data that is there already and belongs to no item.

    On failure nothing is left; on success it is for the caller to save the record, or to call `clear_items`.

    Raises:
        InvalidDataName: no file name can be made from a key.
        SystemFailure: a file could not be written.
    """
    directory = item_directory(writer.layout, item_kind, owner)
    for key in data:
        file_name(key, item_kind.value)
    clear_items(writer, item_kind, owner)
    if data:
        writer.establish(item_kind)
    try:
        for key, value in data.items():
            write_item(directory, key, value, noun=item_kind.value, sync=writer.context.sync)
    except BaseException:
        clear_items(writer, item_kind, owner)
        raise


def clear_items(writer: Writer, item_kind: ItemKind, owner: str) -> None:
    """Hide data in the place of the data of an item that has no record.

    An image's own directory stays: its image may be in an additional store, and the directory is here all the same.
    """
    from cstore.store.removal import discard

    directory = item_directory(writer.layout, item_kind, owner)
    top, item = os.path.split(directory)
    if item_kind is not ItemKind.IMAGES or not within.is_directory(top, f"{item}/{CALLERS_DIRECTORY}"):
        discard(writer, directory)
        return
    for name in within.listdir(directory):
        if name != CALLERS_DIRECTORY:
            discard(writer, os.path.join(directory, name))


# ── owners ──


def _owner(context: Context, item_kind: ItemKind, ref: str) -> _Owner:
    """Find who has the data, in the store itself or in an additional one."""
    tables, layout = Reader(context), context.layout
    record: Layer | Image | Container
    if item_kind is ItemKind.LAYERS:
        record = get_layer(tables, ref)
        layout = layout_of_layer(tables, layout, record.id)
    elif item_kind is ItemKind.IMAGES:
        record = get_image(tables, ref)
        layout = layout_of_image(tables, layout, record.id)
    else:
        record = get_container(tables, ref)
    return _Owner(record, layout)


def _get_own(tables: Tables, item_kind: ItemKind, ref: str) -> Any:
    """Find who may be given data."""
    finders = {ItemKind.LAYERS: get_own_layer, ItemKind.IMAGES: get_own_image, ItemKind.CONTAINERS: get_container}
    return finders[item_kind](tables, ref)


def _read(owner: _Owner, item_kind: ItemKind, key: str) -> bytes:
    with _open(owner, item_kind, key) as file:
        try:
            return file.read()
        except OSError as error:
            path = os.path.join(
                item_directory(owner.layout, item_kind, owner.record.id), file_name(key, item_kind.value)
            )
            raise SystemFailure("read the data item", path, error) from None


def _open(owner: _Owner, item_kind: ItemKind, key: str) -> BufferedReader:
    noun = item_kind.value
    if not key:
        raise DataItemUnknown(noun, owner.record.id, key)
    try:
        directory = item_directory(owner.layout, item_kind, owner.record.id)
        path = path_of_new(owner.layout, item_kind, owner.record, key)
        return open(open_item(directory, key, noun=noun, path=path), "rb")
    except InvalidDataName:
        raise DataItemUnknown(noun, owner.record.id, key) from None


def _hashed(file: BufferedReader) -> HASH:
    found = new_hash()
    with memoryview(bytearray(BUFFER_SIZE)) as buffer:
        while count := file.readinto(buffer):
            found.update(buffer[:count])
    return found


def _write(directory: str, key: str, data: Iterable[bytes], item_kind: ItemKind, *, sync: bool) -> None:
    """Write the item; a directory that was made for it and stayed empty goes again."""
    try:
        write_item(directory, key, data, noun=item_kind.value, sync=sync)
    except BaseException:
        with suppress(OSError):
            within.rmdir(directory)
        raise
