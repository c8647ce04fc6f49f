"""Data items of layers, images and containers: stored in files, listed in their owner's record (semantics 10).

All three kinds work alike, except for what a record says of an item: a layer's record has only its key, that of an
image or container also its size and digest.
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
    from collections.abc import Iterator, Mapping
    from io import BufferedReader
    from typing import Any

    from cstore.layout import Layout
    from cstore.records.model import Container, R
    from cstore.store.context import Context
    from cstore.store.ends import Source
    from cstore.store.lookup import Tables
    from cstore.store.session import Writer


class _Owner(Value):
    """A record and the layout of the store that has its data items."""

    record: Layer | Image | Container
    layout: Layout


def data_names(context: Context, item_kind: ItemKind, ref: str) -> tuple[str, ...]:
    """List the data items of a layer, image or container, in the order in which they were first set.

    Raises:
        UnknownItem: no item of that kind matches `ref` (the kind's own class).
    """
    return _owner(context, item_kind, ref).record.data_names


def get_data(context: Context, item_kind: ItemKind, ref: str, key: str) -> bytes:
    """Return a data item.

    Raises:
        UnknownItem: no item of that kind matches `ref` (the kind's own class).
        DataItemUnknown: it has no such data item.
    """
    owner = _owner(context, item_kind, ref)
    with _open(owner, item_kind, key) as file:
        try:
            return file.read()
        except OSError as error:
            directory = item_directory(owner.layout, item_kind, owner.record.id)
            path = os.path.join(directory, file_name(key, item_kind.value))
            raise SystemFailure("read the data item", path, error) from None


def open_data(context: Context, item_kind: ItemKind, ref: str, key: str) -> BufferedReader:
    """Open a data item for reading.

    Raises:
        UnknownItem, DataItemUnknown: as `get_data`.
    """
    return _open(_owner(context, item_kind, ref), item_kind, key)


def data_size(context: Context, item_kind: ItemKind, ref: str, key: str) -> int:
    """Return the size of a data item in bytes: as recorded, or else that of the file.

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
    """Return the digest of a data item: as recorded, or else the SHA-256 of the file.

    Raises:
        UnknownItem, DataItemUnknown: as `get_data`.
    """
    owner = _owner(context, item_kind, ref)
    recorded = "" if isinstance(owner.record, Layer) else owner.record.data_digests.get(key, "")
    if recorded:
        return recorded
    found = new_hash()
    with _open(owner, item_kind, key) as file, memoryview(bytearray(BUFFER_SIZE)) as buffer:
        while count := file.readinto(buffer):
            found.update(buffer[:count])
    return digest_from(found)


def set_data(context: Context, item_kind: ItemKind, ref: str, key: str, data: Source, digest: str = "") -> None:
    """Set a data item: file and record together, see item_journal.py; or only the file, if the record stays the same.

    Sources other than `bytes` are read to the end before a lock is taken, so that nobody waits for a pipe.

    `digest` is for manifests of images, whose digest may differ from that of their bytes; "" uses SHA-256.

    Raises:
        UnknownItem: no item of that kind in the store itself matches `ref` (the kind's own class).
        ReadOnlyStore: `ref` matches an item of an additional store.
        InvalidDataName: no file name can be made from `key`.
        InvalidDigest: `digest` is invalid.
    """
    file_name(key, item_kind.value)
    _get_own(Reader(context), item_kind, ref)  # fail before reading much or creating a store
    with _gathered(context, data) as item, writing(context, item_kind) as writer:
        record = _get_own(writer, item_kind, ref)
        changed = with_item(record, key, item.size, digest or item.digest)
        directory = item_directory(context.layout, item_kind, record.id)
        if changed == record:
            try:
                write_item(directory, key, item.pieces(), noun=item_kind.value, sync=context.sync)
            except BaseException:
                with suppress(OSError):  # a directory that was created for the item and stayed empty
                    within.rmdir(directory)
                raise
            return
        top, own = os.path.split(directory)
        if within.is_directory(top, f"{own}/{file_name(key, item_kind.value)}"):
            raise InvalidDataName(item_kind.value, key, "a directory has that name")
        begin(writer, item_kind, changed, key, item.pieces())
        _save(writer, item_kind, changed)


def delete_data(context: Context, item_kind: ItemKind, ref: str, key: str) -> None:
    """Delete a data item: file and record together, see item_journal.py.

    Raises:
        UnknownItem: no item of that kind in the store itself matches `ref` (the kind's own class).
        ReadOnlyStore: `ref` matches an item of an additional store.
        DataItemUnknown: it has no such data item.
        DataItemNeeded: the image needs it.
    """
    _get_own(Reader(context), item_kind, ref)
    with writing(context, item_kind, freeing=True) as writer:
        record = _get_own(writer, item_kind, ref)
        if key not in record.data_names:
            raise DataItemUnknown(item_kind.value, record.id, key)
        described = any(name.startswith(MANIFEST) for name in record.data_names)
        if isinstance(record, Image) and described and key.startswith((MANIFEST, "sha256:")):
            raise DataItemNeeded(record.id, key)
        fields: dict[str, Any] = {"data_names": tuple(name for name in record.data_names if name != key)}
        if not isinstance(record, Layer):
            for field in ("data_sizes", "data_digests"):
                fields[field] = {name: value for name, value in getattr(record, field).items() if name != key}
        changed = record.with_(**fields)
        begin_removal(writer, item_kind, record.id, key)
        _save(writer, item_kind, changed)


def _save(writer: Writer, item_kind: ItemKind, changed: Any) -> None:
    """Save a changed record, and complete what the item's journal describes."""
    try:
        writer.table(item_kind).replace(changed)
        writer.save(item_kind)
    except BaseException:
        with suppress(CstoreError):  # report the first error
            conclude(writer, item_kind)
        raise
    conclude(writer, item_kind)


class _Item(Value):
    """The contents of an item, in memory or in an unnamed file."""

    size: int
    digest: str
    data: bytes = b""
    fd: int = -1

    def pieces(self) -> Iterator[bytes]:
        """Yield all contents in order."""
        if self.fd < 0:
            yield self.data
        for place in range(0, self.size if self.fd >= 0 else 0, BUFFER_SIZE):
            yield os.pread(self.fd, BUFFER_SIZE, place)


@contextmanager
def _gathered(context: Context, source: Source) -> Iterator[_Item]:
    """Read a source to the end; more than a buffer is kept in an unnamed file on the store's file system."""
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


# ── creating records ──


def with_items(record: R, data: Mapping[str, bytes], digests: Mapping[str, str] = {}) -> R:
    """Return the record with these items added; `digests` are known ones, by key."""
    for key, value in data.items():
        record = with_item(record, key, len(value), digests.get(key) or digest_of(value))
    return record


def with_item(record: R, key: str, size: int, digest: str) -> R:
    """Return the record with an item added. The first manifest's digest becomes an image's own (store-format 7.2).

    Raises:
        InvalidDigest: `digest` is invalid.
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
    """Write the data items of an item that has no record yet. Existing files there belong to nothing and are removed.

    On failure nothing remains; on success, the caller saves the record or calls `clear_items`.

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
    """Move all files in the data directory of an item without a record into staging.

    The directory that an engine keeps for an image stays: the image may be in an additional store, with this directory
    here.
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
    """Find the owner of the data, in the store itself or in an additional one."""
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
    """Find an owner whose data may be changed."""
    finders = {ItemKind.LAYERS: get_own_layer, ItemKind.IMAGES: get_own_image, ItemKind.CONTAINERS: get_container}
    return finders[item_kind](tables, ref)


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
