"""Changes a data item together with its record, although they are two files.

The new bytes are written next to the old ones, under a name that is not an item's; then a journal notes their future
record; then the record is saved, and decides; then the bytes get their name:

    bytes aside ──► journal ──► record ──► bytes in place ──► journal gone

A deleted item is in the journal too, with a size of -1: its file is removed when the record no longer lists it.

There is one journal for each kind, because its writer holds the lock of the records. A reader that finds one uses the
item that matches the record (store-format 6).
"""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.digests import new_hash
from cstore.errors import CstoreError, SystemFailure, UnsafeID
from cstore.fs import within
from cstore.fs.atomic import TEMPORARY_PREFIX, sync_directory, write_file
from cstore.fs.lockfile import make_directory
from cstore.records.bigdata import file_name
from cstore.records.model import Layer
from cstore.store.places import ItemKind, item_journal
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cstore.layout import Layout
    from cstore.records.model import Container, Image
    from cstore.store.session import Writer


_GOES = -1
"""The size that is noted for an item to be deleted."""


class _Entry(Value):
    """Whose item it is, and what its record is going to say of it; a layer's says nothing but its key."""

    owner: str
    key: str
    size: int
    digest: str

    def told_by(self, record: Layer | Image | Container) -> bool:
        """Whether the record says it already."""
        if self.size == _GOES:
            return self.key not in record.data_names
        if isinstance(record, Layer):
            return self.key in record.data_names
        return (record.data_sizes.get(self.key), record.data_digests.get(self.key)) == (self.size, self.digest)


def item_directory(layout: Layout, item_kind: ItemKind, owner: str) -> str:
    """Where the data items of an item are."""
    paths = {
        ItemKind.LAYERS: layout.layer_data,
        ItemKind.IMAGES: layout.image_data,
        ItemKind.CONTAINERS: layout.container_data,
    }
    return paths[item_kind](owner)


def begin(
    writer: Writer, item_kind: ItemKind, changed: Layer | Image | Container, key: str, data: Iterable[bytes]
) -> None:
    """Write an item's new bytes to a temporary name, and note `changed`, the record that will describe them.

    Raises:
        SystemFailure: nothing has begun.
        ForeignThing: something other than a directory has the name of the item's directory.
    """
    from cstore.gojson import encode

    layout, sync = writer.layout, writer.context.sync
    directory = item_directory(layout, item_kind, changed.id)
    make_directory(directory, sync=sync)
    within.require_directory(*os.path.split(directory))
    sizes, digests = ({}, {}) if isinstance(changed, Layer) else (changed.data_sizes, changed.data_digests)
    entry = _Entry(changed.id, key, sizes.get(key, 0), digests.get(key, ""))
    make_directory(os.path.dirname(item_journal(layout, item_kind)), sync=sync)
    try:
        write_file(_aside(directory, key), data, sync=sync)
        write_file(item_journal(layout, item_kind), encode(entry.as_dict()), sync=sync)
    except BaseException:
        with suppress(CstoreError):
            conclude(writer, item_kind)
        _forget(directory, key)
        raise


def begin_removal(writer: Writer, item_kind: ItemKind, owner: str, key: str) -> None:
    """Note that the record of `owner` is going to list an item no longer.

    Raises:
        SystemFailure: nothing has begun.
    """
    from cstore.gojson import encode

    write_file(
        item_journal(writer.layout, item_kind),
        encode(_Entry(owner, key, _GOES, "").as_dict()),
        sync=writer.context.sync,
    )


def conclude(writer: Writer, item_kind: ItemKind) -> bool:
    """Finish what was begun, or take it back: as the record on the disk says. What resists is for the next writer.

    Gives whether there was anything to conclude.
    """
    journal = item_journal(writer.layout, item_kind)
    if not os.path.lexists(journal):
        return False
    entry = _read(journal)
    if entry is not None:
        _settle(writer, item_kind, entry)
    with suppress(OSError):
        within.unlink(journal)
    return entry is not None


def _settle(writer: Writer, item_kind: ItemKind, entry: _Entry) -> None:
    from cstore.store.reading import load_table

    directory = item_directory(writer.layout, item_kind, entry.owner)
    within.require_directory(*os.path.split(directory), missing=True)
    record = load_table(writer.context, item_kind, degraded=False).get(entry.owner)
    if record is None or not entry.told_by(record):
        _forget(directory, entry.key)
        return
    target = os.path.join(directory, file_name(entry.key, item_kind.value))
    try:
        if entry.size == _GOES:
            within.unlink(target)
        else:
            within.rename(_aside(directory, entry.key), target)
    except FileNotFoundError:
        return  # it has its name already, or has gone
    except OSError as error:
        raise SystemFailure("remove" if entry.size == _GOES else "write", target, error) from None
    if writer.context.sync:
        sync_directory(directory)


def path_of_new(layout: Layout, item_kind: ItemKind, record: Layer | Image | Container, key: str) -> str:
    """Return the temporary path of a recorded item that does not have its name yet; "" if it has."""
    entry = _read(item_journal(layout, item_kind))
    if entry is None or (entry.owner, entry.key) != (record.id, key) or not entry.told_by(record):
        return ""
    path = _aside(item_directory(layout, item_kind, record.id), key)
    return path if os.path.lexists(path) else ""


def aside_of(layout: Layout, item_kind: ItemKind) -> str:
    """Where an item is put aside until the next writer concludes what was begun; "" if nothing was."""
    entry = _read(item_journal(layout, item_kind))
    with suppress(UnsafeID):  # a journal is a file, and may say anything
        return "" if entry is None else _aside(item_directory(layout, item_kind, entry.owner), entry.key)
    return ""


def _aside(directory: str, key: str) -> str:
    """The name of an item's new bytes: that of a temporary file, which no key can have."""
    return os.path.join(directory, f"{TEMPORARY_PREFIX}item-{new_hash(data=os.fsencode(key)).hexdigest()}")


def _forget(directory: str, key: str) -> None:
    """Remove what was put aside, and the directory if it was made for that."""
    with suppress(OSError):
        within.unlink(_aside(directory, key))
    with suppress(OSError):
        within.rmdir(directory)


def _read(path: str) -> _Entry | None:
    """Read a journal; an incomplete one was never acted upon.

    Raises:
        SystemFailure: it cannot be read.
    """
    from cstore.records.scanner import load

    try:
        data = within.read_small(*os.path.split(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SystemFailure("read", path, error) from None
    try:
        found: Any = load(data)
        return _Entry(str(found["owner"]), str(found["key"]), int(found["size"]), str(found["digest"]))
    except (ValueError, LookupError, TypeError):
        return None
