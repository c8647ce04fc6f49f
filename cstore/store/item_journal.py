"""Change a data item and its record together, although they are two files.

The new bytes are written beside the old ones, under a name that cannot be an item's. A journal then contains what the
record will say of them. Saving the record decides; after that, the bytes get their name:

    bytes aside ──► journal ──► record ──► bytes in place ──► journal removed

To remove an item, the journal has its size as -1; its file is removed when the record no longer lists it.

There is one journal per kind, because only the holder of the record lock writes it. A reader who finds one reads the
item where the record says it is. (store-format 6)
"""

from __future__ import annotations

import os
from contextlib import suppress

from cstore import presence
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
"""The size in the journal of an item under removal."""


class _Entry(Value):
    """The owner of an item, and what the record will say of it; a layer's record has only the key."""

    owner: str
    key: str
    size: int
    digest: str

    def told_by(self, record: Layer | Image | Container) -> bool:
        """Return whether the record says it already."""
        if self.size == _GOES:
            return self.key not in record.data_names
        if isinstance(record, Layer):
            return self.key in record.data_names
        return (record.data_sizes.get(self.key), record.data_digests.get(self.key)) == (self.size, self.digest)


def item_directory(layout: Layout, item_kind: ItemKind, owner: str) -> str:
    """Return the directory of an owner's data items."""
    paths = {
        ItemKind.LAYERS: layout.layer_data,
        ItemKind.IMAGES: layout.image_data,
        ItemKind.CONTAINERS: layout.container_data,
    }
    return paths[item_kind](owner)


def begin(
    writer: Writer, item_kind: ItemKind, changed: Layer | Image | Container, key: str, data: Iterable[bytes]
) -> None:
    """Write the bytes of an item aside, and then the journal that `changed` will be the item's record.

    Raises:
        SystemFailure: nothing has begun.
        ForeignThing: the path of the item's directory is something else.
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
    """Write the journal that the record of `owner` will no longer list an item.

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
    """Complete or revert an operation, as the record on disk decides. Failures are left to the next writer.

    Return whether there was a journal.
    """
    journal = item_journal(writer.layout, item_kind)
    if not presence.is_there(journal):
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
        return  # it has its name already, or is removed
    except OSError as error:
        raise SystemFailure("remove" if entry.size == _GOES else "write", target, error) from None
    if writer.context.sync:
        sync_directory(directory)


def path_of_new(layout: Layout, item_kind: ItemKind, record: Layer | Image | Container, key: str) -> str:
    """Return the path of an item that the record lists but that does not have its name yet; "" if it has."""
    entry = _read(item_journal(layout, item_kind))
    if entry is None or (entry.owner, entry.key) != (record.id, key) or not entry.told_by(record):
        return ""
    path = _aside(item_directory(layout, item_kind, record.id), key)
    return path if presence.is_there(path) else ""


def aside_of(layout: Layout, item_kind: ItemKind) -> str:
    """Return the path of an item's new bytes until the next writer completes the operation; "" if there is none."""
    entry = _read(item_journal(layout, item_kind))
    with suppress(UnsafeID):  # a journal is not trusted
        return "" if entry is None else _aside(item_directory(layout, item_kind, entry.owner), entry.key)
    return ""


def _aside(directory: str, key: str) -> str:
    """Return the path of an item's new bytes: a temporary file's, which no key can have."""
    return os.path.join(directory, f"{TEMPORARY_PREFIX}item-{new_hash(data=os.fsencode(key)).hexdigest()}")


def _forget(directory: str, key: str) -> None:
    """Remove an item's new bytes, and the directory if it was created for them."""
    with suppress(OSError):
        within.unlink(_aside(directory, key))
    with suppress(OSError):
        within.rmdir(directory)


def _read(path: str) -> _Entry | None:
    """Read a journal; an incomplete one was never acted upon.

    Raises:
        SystemFailure: it cannot be read.
    """
    from cstore.records.shapes import load

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
