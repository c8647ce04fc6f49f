"""Change the records: which locks to take, in which order, and which records a writer may trust.

Readers take no locks, see reading.py. Writers take the Go tool's locks, exclusively, in the Go tool's order
(store-format 9.4):

    storage.lock → layers.lock (graph root, then image store) → images.lock → containers.lock → mountpoints.lock

They hold them only while records change: bytes are read, unpacked and hashed before, and deleted after. Before a record
file is replaced, a new token is written into the lock file of its kind, so that all other processes reload it
(store-format 2.2, 9.3).
"""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.contexts import ExitStack, contextmanager
from cstore.fs.lockfile import LockFile, make_directories
from cstore.fs.writable import on_read_only_media
from cstore.store.places import ItemKind
from cstore.store.reading import load_table
from cstore.store.reserve import given_up, kept_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.drivers.contract import Driver, Removal
    from cstore.fs.lockfile import HeldLock
    from cstore.layout import Layout
    from cstore.records.model import Container, Image, Layer
    from cstore.records.mounts import MountTable
    from cstore.records.table import Table
    from cstore.store.context import Context
    from cstore.store.extra_stores import ExtraStore


class Trusted:
    """The records for decisions of a writer: each kind is read once, and damage is raised."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.additional: list[ExtraStore] = []
        self._tables: dict[ItemKind, Table[Any]] = {}
        if context.additional:
            from cstore.store.extra_stores import ExtraStore

            self.additional = [ExtraStore(place) for place in context.additional]

    @property
    def layers(self) -> Table[Layer]:
        """The layer records."""
        return self.table(ItemKind.LAYERS)

    @property
    def images(self) -> Table[Image]:
        """The image records."""
        return self.table(ItemKind.IMAGES)

    @property
    def containers(self) -> Table[Container]:
        """The container records."""
        return self.table(ItemKind.CONTAINERS)

    def table(self, item_kind: ItemKind) -> Table[Any]:
        """Return the records of one kind.

        Raises:
            RecordsDamaged: a record file is damaged; a writer must stop.
        """
        if item_kind not in self._tables:
            # Reuse the records that were read before the lock was taken, if they are current.
            table = self.context.tables.pop(item_kind, None)
            if table is None or not self._is_current(item_kind, table):
                table = load_table(self.context, item_kind, degraded=False)
            self._tables[item_kind] = table
        return self._tables[item_kind]

    def _is_current(self, _item_kind: ItemKind, table: Table[Any]) -> bool:
        return table.promote()

    def hand_on(self) -> None:
        """Leave the sound records to whoever looks next, and reads them again only if somebody changes them."""
        for item_kind, table in self._tables.items():
            if table.settle(degraded=self.context.degraded):
                self.context.tables[item_kind] = table


class Writer(Trusted):
    """The records under their exclusive locks; kinds whose locks are held may be changed.

    Other kinds can be read: while the layer lock is held, nothing can begin to use a layer. `save` publishes changes;
    removals passed to `afterwards` are completed after the locks are released.
    """

    def __init__(self, context: Context, held: dict[ItemKind, list[HeldLock]]) -> None:
        super().__init__(context)
        self.graph: HeldLock | None = None
        self._held = held
        self._afterwards: list[Removal] = []

    @property
    def layout(self) -> Layout:
        """The paths of the store."""
        return self.context.layout

    @property
    def driver(self) -> Driver:
        """The driver of the store."""
        return self.context.driver

    def _is_current(self, _item_kind: ItemKind, table: Table[Any]) -> bool:
        # Of what we wrote ourselves, files alone may not tell: inodes are used again, and their times are coarse.
        held = self._held.get(_item_kind)
        ours = table.tokens is None or held is None or table.tokens == tuple([lock.token() for lock in held])
        return ours and table.promote()

    def hand_on(self) -> None:
        """Leave the records to who looks next, as long as nobody else changes them. Call it with the locks held."""
        for item_kind, table in self._tables.items():
            marks = [lock.marked for lock in self._held.get(item_kind, ()) if lock.marked]
            table.tokens = tuple(marks) or table.tokens
        super().hand_on()

    def save(self, *item_kinds: ItemKind, sync: bool | None = None) -> None:
        """Publish the changed record files, each kind after a new token in its lock files.

        They are synced if `sync` is true, or None and the store syncs.
        """
        for item_kind in item_kinds:
            table = self._tables.get(item_kind)
            if table is None or not table.changed:
                continue
            self.mark(item_kind)
            table.save(sync=self.context.sync if sync is None else sync)

    def establish(self, item_kind: ItemKind) -> None:
        """Create a kind's record file if it is missing, before data of its first item are written.

        A crash between the data and the record then leaves data and an empty list. Data without a list would look like
        a lost record file, which stops every writer.
        """
        table = self.table(item_kind)
        if not table.is_established():
            for lock in self._held[item_kind]:
                lock.mark()
            table.establish(sync=self.context.sync)

    def mark(self, item_kind: ItemKind) -> None:
        """Write a new token into the lock files of one kind, before its record files are replaced."""
        for lock in self._held[item_kind]:
            lock.mark()

    def mark_graph(self) -> None:
        """Make all processes with this store open it again. The caller holds the graph lock."""
        if self.graph is not None:
            self.graph.mark()

    def afterwards(self, removal: Removal) -> None:
        """Complete a removal after the locks are released."""
        self._afterwards.append(removal)

    @contextmanager
    def mounts(self) -> Iterator[MountTable]:
        """Yield the mount counts under their lock, which is the last in the order; save them if they were changed."""
        from cstore.records.mounts import MountTable

        layout = self.layout
        with LockFile(layout.mountpoints_lock).exclusive(self.context.lock_policy) as lock:
            table = MountTable.load(layout.mountpoints, layout.roots)
            before = list(table)
            yield table
            if list(table) != before:
                own = self.layers.ids()
                table.arrange([*own, *(layer for extra in self.additional for layer in extra.layers.ids())])
                lock.mark()
                table.save(sync=False)  # no mount survives a crash

    def finish(self) -> None:
        """Complete the collected removals.

        Failures are no errors of the operation; they leave leftovers for the next sweep.
        """
        for removal in self._afterwards:
            removal.finish()


@contextmanager
def writing(
    context: Context,
    *item_kinds: ItemKind,
    graph: bool = False,
    recovering: bool = True,
    freeing: bool = False,
    prepared: bool = False,
) -> Iterator[Writer]:
    """Hold the exclusive locks of `item_kinds`, with `graph` also the graph lock, and yield a writer.

    With `freeing`, the operation frees space and may use the reserve. A caller who staged something has already
    `prepared` the store.

    Abandoned operations of dead writers are settled first, unless `recovering` is false, as in a repair.

    Raises:
        LockTimeout: another process held a lock for longer than the store's lock policy allows.
        RecordsDamaged: on access to a damaged table.
    """
    from cstore.store.recovery import finish_items, recover

    if not prepared:
        prepare(context)
    reserve = given_up(context.layout) if freeing else kept_back(context.layout)
    held: dict[ItemKind, list[HeldLock]] = {}
    writer = Writer(context, held)
    left = recovering and _intents_are_left(context.layout)
    if left:
        item_kinds, graph = (*item_kinds, ItemKind.LAYERS, ItemKind.IMAGES), True
    with reserve, _finished(writer), ExitStack() as stack:
        if graph:
            writer.graph = stack.enter_context(LockFile(context.layout.storage_lock).exclusive(context.lock_policy))
        for item_kind in ItemKind:
            if item_kind in item_kinds:
                locks = [LockFile(path) for path in context.places[item_kind].locks]
                held[item_kind] = [stack.enter_context(lock.exclusive(context.lock_policy)) for lock in locks]
        if recovering and ItemKind.LAYERS in item_kinds:
            recover(writer)
        if recovering:
            finish_items(writer, item_kinds)
        if left:
            from cstore.store import intents

            intents.conclude(writer)
        yield writer
        writer.hand_on()


def _intents_are_left(layout: Layout) -> bool:
    """Return whether a dead process left an intent; quick if the store never had one."""
    if not presence.is_there(layout.intents):
        return False
    from cstore.store import intents

    return intents.are_left(layout)


@contextmanager
def _finished(writer: Writer) -> Iterator[None]:
    """Complete a writer's removals, even after an error."""
    try:
        yield
    finally:
        writer.finish()


@contextmanager
def mounting(context: Context, *, freeing: bool = False) -> Iterator[Writer]:
    """Hold the locks to mount and unmount layers; see `writing` for `freeing`.

    On read-only media, lock files cannot be written, and nothing changes in the graph root. Existing locks are then
    held shared; mounts and their counts are in the run root.

    Raises:
        LockTimeout: another process held a lock for longer than the store's lock policy allows.
        RecordsDamaged: on access to a damaged table.
        SystemFailure: the run root cannot be created.
    """
    if not on_read_only_media(context.layout.graph_root):
        with writing(context, ItemKind.LAYERS, graph=True, freeing=freeing) as writer:
            yield writer
        return
    _make_root(context.layout.run_root)
    with ExitStack() as stack:
        for path in context.places[ItemKind.LAYERS].locks:
            stack.enter_context(LockFile(path).shared(context.lock_policy))
        yield Writer(context, {})


def prepare(context: Context) -> None:
    """Create the roots, and sweep what dead processes staged. Every write begins with this.

    Raises:
        Unsupported, SystemFailure: as `make_roots`.
    """
    from cstore.store.recovery import sweep

    make_roots(context.layout)
    sweep(context)


def make_roots(layout: Layout) -> None:
    """Create the roots and the driver's home, which all programs expect, accessible only to their owner.

    Raises:
        Unsupported: root is about to write into another user's store.
        SystemFailure: one of them cannot be created.
    """
    leave_to_its_user(layout)
    roots = (layout.run_root, layout.graph_root, layout.image_store, layout.driver_home)
    for path in filter(None, roots):
        _make_root(path)


def _make_root(path: str) -> None:
    try:
        make_directories(path, sync=True)
    except OSError as error:
        raise errors.SystemFailure(
            "create the directory", path, error, hint="choose another with --graph or --run"
        ) from error


# ── the owner of a store ──
#
# Root must not write into another user's store, because that user could not read the new files.


def leave_to_its_user(layout: Layout) -> None:
    """Refuse to write as root into an ordinary user's store. Reading is allowed.

    A store belongs to the owner of most of its directories. A graph root without any is no store yet, whoever owns it:
    so a user's directory can be given to a container for root's store.

    Raises:
        Unsupported: the store belongs to another user.
    """
    if os.geteuid() != 0:
        return
    owner = _owner(layout)
    if owner is None or not _sees_every_user():
        return
    from cstore.store.rootless import login_name

    uid, gid = owner
    name = login_name(uid)
    known = not name.isdecimal()
    user = f"{name} (UID {uid})" if known else f"UID {uid}"
    way = f"runuser -u {name} -- cstore" if known else f"setpriv --reuid={uid} --regid={gid} --clear-groups cstore"
    raise errors.Unsupported(
        f"the store at {layout.graph_root} belongs to {user}, who could not use files that root writes there",
        hint=f"run the command as its owner: {way} …",
    )


def _owner(layout: Layout) -> tuple[int, int] | None:
    """Return the user and group that own most directories of the store; None if that is root, or there are none.

    A single directory with another owner is damage, which root may repair.
    """
    owners = []
    for path in (layout.driver_home, layout.layers, layout.images, layout.containers):
        try:
            status = os.stat(path)
        except OSError:
            continue
        owners.append((status.st_uid, status.st_gid))
    others = [owner for owner in owners if owner[0] != 0]
    return max(others, key=others.count) if others and 2 * len(others) >= len(owners) else None


def _sees_every_user() -> bool:
    """Return whether this is the machine's root; in a user namespace, IDs are mapped, and owners prove nothing."""
    from cstore.config.rootless import current_process

    return current_process().whole_map
