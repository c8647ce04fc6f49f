"""The context of repair steps: all write locks, and a journal entry before each change."""

from __future__ import annotations

import os
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cstore import presence
from cstore.drivers.repairing import open_driver_repair
from cstore.errors import SystemFailure
from cstore.fs import within
from cstore.fs.atomic import write_file
from cstore.fs.lockfile import make_directory
from cstore.records import bigdata
from cstore.store.places import ItemKind
from cstore.store.session import writing
from cstore.values import cached_property

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cstore.check.repair.sources import Sources
    from cstore.drivers.repairing import DriverRepair
    from cstore.records.model import Record
    from cstore.records.table import Location
    from cstore.store.context import Context
    from cstore.store.quarantine import QuarantineWriter
    from cstore.store.session import Writer


class RepairContext:
    """The context in which a step runs.

    Attributes:
        context: the store.
        quarantine: moves things from the store into quarantine.
        sources: the sources of lost data.
    """

    def __init__(self, context: Context, quarantine: QuarantineWriter, sources: Sources) -> None:
        self.context = context
        self.quarantine = quarantine
        self.sources = sources

    @cached_property
    def driver_repair(self) -> DriverRepair:
        """The repair of the driver's own files."""
        return open_driver_repair(self.context.driver, self.context.driver_place)

    @contextmanager
    def locked(self) -> Iterator[Writer]:
        """Hold all locks of the store, without recovery: what a dead writer left may be what is being repaired."""
        self.quarantine.take_lock()
        with writing(self.context, *ItemKind, graph=True, recovering=False) as writer:
            yield writer

    def change(self, item_kind: ItemKind, identifier: str, why: str, change: Callable[[Any], Any]) -> None:
        """Change a record if it exists and `change` returns a different one.

        `change` gets the record under the lock. If the record is no longer the one that the step was planned for,
        `change` returns it unchanged.
        """
        with self.locked() as writer:
            table = writer.table(item_kind)
            before = table.get(identifier)
            after = None if before is None else change(before)
            if before is None or after is None or after == before:
                return
            self.quarantine.changed(item_kind, table.location(identifier), before, after, why)
            table.replace(after)
            writer.save(item_kind)

    def add(self, writer: Writer, item_kind: ItemKind, record: Record, location: Location, why: str) -> None:
        """Add a record unless its ID exists by now; leave out names that are taken by now."""
        table = writer.table(item_kind)
        if record.id in table:
            return
        free = tuple(name for name in record.names if table.named(name) is None)
        record = record.with_(names=free)
        self.quarantine.changed(item_kind, location, None, record, why)
        table.add(record, location)
        writer.save(item_kind)

    def forget(self, item_kind: ItemKind, identifier: str, why: str) -> None:
        """Remove a record."""
        with self.locked() as writer:
            table = writer.table(item_kind)
            record = table.get(identifier)
            if record is None:
                return
            self.quarantine.changed(item_kind, table.location(identifier), record, None, why)
            table.remove(identifier)
            writer.save(item_kind)

    def rewrite(self, item_kind: ItemKind, location: Location, raw: Iterable[bytes], why: str) -> None:
        """Replace a damaged record file, which is moved into quarantine. The caller holds the locks.

        Raises:
            SystemFailure: the file could not be written; the old one is still there.
        """
        path = self.context.places[item_kind].files[location]
        data = b"[" + b",".join(raw) + b"]"
        self.quarantine.keep_old(path, why, sha256(data).hexdigest())
        write_file(path, data, sync=self.context.sync)

    def item(self, directory: str, key: str, data: bytes, noun: str) -> None:
        """Replace a data item, which is moved into quarantine. The caller holds the locks."""
        path = os.path.join(directory, bigdata.file_name(key, noun))
        if not presence.is_there(directory):
            make_directory(directory, sync=self.context.sync)
            self.quarantine.made_folder(directory, "it was missing")
        self.quarantine.keep_old(path, "it was damaged", sha256(data).hexdigest())
        bigdata.write_item(directory, key, data, noun=noun, sync=self.context.sync)

    def aside(self, path: str, why: str) -> None:
        """Move a path from the store into quarantine."""
        with self.locked():
            self.quarantine.keep(path, why)


def set_mode(path: str, mode: int) -> None:
    """Set the mode of a directory or file, but not of a symbolic link.

    Raises:
        SystemFailure: the system refused.
    """
    try:
        fd = within.open_path(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
    except OSError as error:
        raise SystemFailure("set the mode of", path, error) from None


def set_owner(path: str, owner: int, group: int) -> None:
    """Set the owner and group of a directory or file without following symbolic links.

    Raises:
        SystemFailure: the system refused.
    """
    try:
        with within.holder(path) as (folder, name):
            os.chown(name, owner, group, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        raise SystemFailure("set the owner of", path, error) from None
