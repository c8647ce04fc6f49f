"""A layer's contents exchanged for others, so that a crash leaves the old ones or the new ones.

Three things must change together: the tree, the tar-split and the record. A journal beside the tar-split says what they
will be; it is written once all of it is on disk, and from then on the tree decides:

    <layer>.replacing.json        the new record, and the inode number of the new tree
    <layer>.replacing.gz          the new tar-split

If the tree in place has that inode, the exchange has happened and the rest is done again; otherwise nothing has, and
the journal is dropped. The window is a few milliseconds under the layer lock; other programs do not know the journal.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from cstore.errors import CstoreError
from cstore.fs.atomic import sync_directory, write_file
from cstore.records.model import Layer  # noqa: TC001  - msgspec reads the annotation when it makes the class
from cstore.store.places import Shelf

if TYPE_CHECKING:
    from cstore.drivers.contract import StagedTree
    from cstore.store.filling import Filling
    from cstore.store.session import Writer

_JOURNAL = ".replacing.json"
_TAR_SPLIT = ".replacing.gz"


class _Journal(msgspec.Struct, frozen=True):
    """What a replacement is about to make true."""

    record: Layer
    inode: int


def replace_contents(writer: Writer, record: Layer, staged: StagedTree, filling: Filling) -> None:
    """Make `staged`, `filling` and `record` the layer's tree, tar-split and record. Saves the records."""
    base = os.path.join(writer.layout.layers, record.id)
    filling.publish(base + _TAR_SPLIT, sync=writer.context.sync)
    journal = _Journal(record=record, inode=os.stat(staged.tree).st_ino)
    write_file(base + _JOURNAL, msgspec.json.encode(journal), sync=writer.context.sync)
    try:
        old = writer.driver.replace(staged, record.id)
    except BaseException:
        _drop(base)
        raise
    writer.afterwards(old)
    _conclude(writer, journal)


def finish_replacements(writer: Writer) -> None:
    """Conclude or drop what a dead process began to replace."""
    try:
        names = [name for name in os.listdir(writer.layout.layers) if name.endswith(_JOURNAL)]
    except FileNotFoundError:
        return
    for name in names:
        base = os.path.join(writer.layout.layers, name.removesuffix(_JOURNAL))
        journal = _read(base + _JOURNAL)
        if journal is not None and _exchanged(writer, journal):
            _conclude(writer, journal)
        else:
            _drop(base)


def _read(path: str) -> _Journal | None:
    """Read a journal; one that is not whole was never acted upon."""
    try:
        with open(path, "rb") as stream:
            return msgspec.json.decode(stream.read(), type=_Journal)
    except (OSError, msgspec.DecodeError):
        return None


def _exchanged(writer: Writer, journal: _Journal) -> bool:
    if writer.layers.get(journal.record.id) is None:
        return False
    try:
        root = writer.driver.content_roots(journal.record.id)[0]
    except CstoreError:
        return False
    return os.stat(root).st_ino == journal.inode


def _conclude(writer: Writer, journal: _Journal) -> None:
    layer = journal.record.id
    base = os.path.join(writer.layout.layers, layer)
    with suppress(FileNotFoundError):  # renamed already, before the crash
        os.rename(base + _TAR_SPLIT, writer.layout.tar_split(layer))
    writer.layers.replace(journal.record)
    writer.save(Shelf.LAYERS)
    _drop(base)
    if writer.context.sync:
        sync_directory(writer.layout.layers)


def _drop(base: str) -> None:
    for path in (base + _JOURNAL, base + _TAR_SPLIT):
        with suppress(FileNotFoundError):
            os.unlink(path)
