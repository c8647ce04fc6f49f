"""Replace a layer's contents, so that a crash leaves either the old or the new ones.

Tree, tar-split and record must change together. A journal beside the tar-split describes the new ones. It is written
after they are on disk, and from then on the tree decides:

    <layer>.replacing.json        the new record, and the identity of the new tree
    <layer>.replacing.gz          the new tar-split

If the tree in place is the new one, the exchange has happened, and the rest is repeated. Otherwise nothing has
happened, and the journal is removed. This takes a few milliseconds under the layer lock. Other programs do not know the
journal, and may have renamed the layer since, or created another one with that ID. So only the fields about contents
are copied into the record, and only if the layer's time of creation is the same.
"""

from __future__ import annotations

import os
from contextlib import suppress

from cstore import presence
from cstore.errors import DriverError, ForeignThing, SystemFailure, UnsafeID
from cstore.fs import within
from cstore.fs.atomic import sync_directory, write_file
from cstore.records.codec import encode, from_row
from cstore.records.model import Layer
from cstore.records.shapes import load
from cstore.store.applied_layer import contents_of
from cstore.store.places import REPLACING, ItemKind
from cstore.traces import trace
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.drivers.contract import StagedTree
    from cstore.store.applied_layer import AppliedLayer
    from cstore.store.session import Writer

_JOURNAL = f"{REPLACING}json"
_TAR_SPLIT = f"{REPLACING}gz"


class _Journal(Value):
    """The outcome of a replacement: the new record, and the identity of the new tree."""

    record: Layer
    inode: int
    volume: int


_OWN_VOLUMES = frozenset({"btrfs", "zfs"})
"""File systems on which each layer is a volume, whose roots all have the same inode number."""


def known_by(tree: str) -> tuple[int, int]:
    """Return a tree's identity under any name and after a reboot: its inode and, if it is a volume, the volume's ID.

    Raises:
        OSError: the tree does not exist.
    """
    from cstore.kernel.statfs import filesystem_name

    inode = os.stat(tree).st_ino
    return inode, os.statvfs(tree).f_fsid if filesystem_name(tree) in _OWN_VOLUMES else 0


def replace_contents(
    writer: Writer, record: Layer, staged: StagedTree, applied_layer: AppliedLayer, *, in_use: bool = False
) -> None:
    """Replace the layer's tree, tar-split and record with `staged`, `applied_layer` and `record`. Saves the records.

    With `in_use`, a mounted tree is changed in place, which the journal cannot complete after a crash.
    """
    base = os.path.join(writer.layout.layers, record.id)
    applied_layer.publish(base + _TAR_SPLIT, sync=writer.context.sync)
    journal = _Journal(record, *known_by(staged.tree))
    text = b'{"inode":%d,"volume":%d,"record":%s}' % (journal.inode, journal.volume, encode(record))
    write_file(base + _JOURNAL, text, sync=writer.context.sync)
    try:
        old = writer.driver.replace(staged, record.id, in_use=in_use)
    except BaseException:
        if not _exchanged(writer, journal):  # otherwise only its sync failed, and the next writer completes it
            _drop(base)
        raise
    writer.afterwards(old)
    _conclude(writer, journal)


def finish_replacements(writer: Writer) -> None:
    """Complete or revert replacements of dead processes."""
    try:
        names = os.listdir(writer.layout.layers)
    except OSError as error:
        raise SystemFailure("read", writer.layout.layers, error) from None
    begun = {name.removesuffix(end) for name in names for end in (_JOURNAL, _TAR_SPLIT) if name.endswith(end)}
    for layer in sorted(begun):
        base = os.path.join(writer.layout.layers, layer)
        journal = _read(base + _JOURNAL)
        if journal is not None and journal.record.id == layer and _exchanged(writer, journal):
            trace("finished what a dead process began: the new contents of layer %s are in place", layer)
            _conclude(writer, journal)
        else:
            trace("took back what a dead process began: layer %s keeps its contents", layer)
            _drop(base)


def _read(path: str) -> _Journal | None:
    """Read a journal; an incomplete one was never acted upon.

    Raises:
        SystemFailure: it cannot be read.
    """
    try:
        with open(within.open_file(*os.path.split(path), limit=within.SMALL), "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        return None
    except ForeignThing as error:
        if error.found == "a directory":
            return None  # the data of a layer with such an ID
        raise
    except OSError as error:
        raise SystemFailure("read", path, error) from None
    try:
        journal = load(data)
        record, inode, volume = from_row(Layer, journal["record"]), journal["inode"], journal.get("volume", 0)
    except (ValueError, LookupError, TypeError):
        return None
    known = isinstance(inode, int) and isinstance(volume, int)
    return _Journal(record, inode, volume) if record is not None and known else None


def _exchanged(writer: Writer, journal: _Journal) -> bool:
    current = writer.layers.get(journal.record.id)
    if current is None or current.created != journal.record.created:
        return False
    try:
        tree = writer.driver.content_roots(current.id)[0]
        return known_by(tree) == (journal.inode, journal.volume)
    except (DriverError, UnsafeID):
        return False
    except OSError as error:
        presence.mode_despite(error, writer.driver.path_of(current.id))  # raise other errors
        return False


def _conclude(writer: Writer, journal: _Journal) -> None:
    from cstore.store.removal import discard

    layer = journal.record.id
    base = os.path.join(writer.layout.layers, layer)
    new, target = base + _TAR_SPLIT, writer.layout.tar_split(layer)
    if presence.is_there(new):  # else it was renamed before the crash
        if presence.is_directory(target):
            discard(writer, target)
        try:
            within.rename(new, target)
        except OSError as error:
            raise SystemFailure("write", target, error) from None
    current = writer.layers.get(layer)
    if current is not None:
        writer.layers.replace(current.with_(**contents_of(journal.record)))
    writer.save(ItemKind.LAYERS)
    _drop(base)
    if writer.context.sync:
        sync_directory(writer.layout.layers)


def _drop(base: str) -> None:
    """Remove the files of a replacement. If that fails, they do no harm, because only cstore uses such names."""
    for path in (base + _JOURNAL, base + _TAR_SPLIT):
        with suppress(OSError):
            within.unlink(path)
