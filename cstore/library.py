"""The library's own store: the one of the room `store`, with what the rooms above that one know of a store.

A program that only reads records pays for none of it: each method imports what it needs.
"""

from __future__ import annotations

from cstore.store.context import open_context
from cstore.store.store import Store as _Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.check import CheckOptions, Report
    from cstore.check.repair import Repaired, RepairOptions
    from cstore.config import StoreConfig
    from cstore.fs.lock_policy import LockPolicy
    from cstore.store.context import Context
    from cstore.store.copying import LayerPath
    from cstore.store.quarantine import Case, Undone


def open_store(
    config: StoreConfig | None = None,
    *,
    graph_root: str = "",
    run_root: str = "",
    driver: str = "",
    lock_policy: LockPolicy | None = None,
    degraded: bool = False,
) -> Store:
    """Open a store. Writes, creates and locks nothing until an operation changes something.

    Args:
        config: where the store is and how it is kept; by default what configuration files and environment say.
        graph_root: where the store is, instead of where `config`, or those files, say.
        run_root: where what a reboot may take is, likewise.
        driver: the driver, likewise.
        lock_policy: how long to wait for locks, and whom to tell; by default the configured time.
        degraded: whether reading returns what is readable in damaged records, and adds the rest to `Store.flaws`.
            Otherwise, an operation that needs a damaged record raises RecordsDamaged. Damaged records never lead to a
            change.

    Raises:
        ConfigError: the configuration makes no sense, or names no graph root.
        DriverError: the driver of the store is unknown, ambiguous, or does not take an option.
    """
    from cstore.arguments import check_call, check_classes
    from cstore.store.containers import Containers
    from cstore.store.images import Images
    from cstore.store.layers import Layers

    given = {"graph_root": graph_root, "run_root": run_root, "driver": driver, "degraded": degraded}
    check_call(open_store, (config,), {**given, "lock_policy": lock_policy})
    check_classes(_Store, Store, Layers, Images, Containers, Quarantine)
    context = open_context(
        config, graph_root=graph_root, run_root=run_root, driver=driver, lock_policy=lock_policy, degraded=degraded
    )
    return Store(context)


def open_trusting(config: StoreConfig, *, degraded: bool = False) -> Store:
    """Do the same for the command line, whose calls type checkers have seen: it starts sooner without a guard."""
    context = open_context(config, graph_root="", run_root="", driver="", lock_policy=None, degraded=degraded)
    return Store(context)


class Store(_Store):
    """One container store. Items are named by ID, name or unique ID prefix (`ref`).

    A store holds nothing open between two calls, so it need not be closed. In a `with` it may be used all the same.
    """

    @property
    def version(self) -> str:
        """The version of the library that has the store open."""
        from cstore import __version__

        return __version__

    def check(self, options: CheckOptions | None = None) -> Report:
        """Look for damage, and change nothing; see `check.check_store`.

        Raises LayerUnknown, ImageUnknown, SystemFailure, LockTimeout.
        """
        from cstore.check import CheckOptions, check_store

        return check_store(self.context, options or CheckOptions())

    def repair(self, options: RepairOptions | None = None, report: Report | None = None) -> Repaired:
        """Heal what is damaged, or no more than what a report of `check` tells; see `check.repair.repair_store`."""
        from cstore.check.repair import RepairOptions, repair_store

        return repair_store(self.context, options or RepairOptions(), report)

    def copy(
        self,
        sources: Sequence[LayerPath],
        target: LayerPath,
        owner: tuple[int, int] | None = None,
        progress: Callable[[int], None] | None = None,
        *,
        verify: bool = True,
        notice: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Copy files and directories into a layer, or out of one; see `copying.copy`.

        Args:
            sources: what to copy.
            target: where to.
            owner: user and group for all that is made; by default those of the sources.
            progress: called now and then with the bytes copied so far.
            verify: hold files of imported layers against the archive that their layer came from, before any is copied.
            notice: told, as sentences, what could not be verified.

        Raises:
            ContentDamaged: a file is not what was imported; nothing was copied.
            LayerUnknown, ReadOnlyStore, InvalidOption, IDNotMapped, SystemFailure: see there.
        """
        if verify:
            from cstore.contents.reading import verify_source

            for source in sources:
                for sentence in verify_source(self, source) if source.layer else ():
                    notice(sentence)
        super().copy(sources, target, owner, progress)

    @property
    def quarantine(self) -> Quarantine:
        """The quarantine of items that repairs removed from the store, to restore or delete."""
        return Quarantine(self.context)


class Quarantine:
    """The cases that repairs have opened, each with all that one of them took out of the store or changed in it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def list(self) -> Sequence[Case]:
        """All cases, the oldest first; see `quarantine.cases`.

        Raises SystemFailure.
        """
        from cstore.store import quarantine

        return quarantine.cases(self._context)

    def get(self, ref: str) -> Case:
        """Find a case by its ID or a unique prefix of it; see `quarantine.find_case`.

        Raises CaseUnknown.
        """
        from cstore.store import quarantine

        return quarantine.find_case(self._context, ref)

    def undo(self, ref: str) -> Undone:
        """Bring back all that a case holds; see `quarantine.undo`.

        Raises CaseUnknown, QuarantineDamaged, RecordsDamaged.
        """
        from cstore.store import quarantine

        return quarantine.undo(self._context, ref)

    def purge(self, age: float, *, dry_run: bool = False) -> Sequence[Case]:
        """Delete the cases that are at least `age` seconds old, and return them; see `quarantine.purge`.

        Raises SystemFailure.
        """
        from cstore.store import quarantine

        return quarantine.purge(self._context, age, dry_run=dry_run)
