"""The library's `Store`: the class of the package `store`, extended by the operations of the packages above it.

Each method imports its dependencies, so that a program that only reads records does not load the rest.
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
    """Open a store. Nothing is written, created or locked until an operation changes the store.

    Args:
        config: the configuration of the store; by default, that of the configuration files and the environment.
        graph_root: the graph root, overriding the configuration.
        run_root: the run root, overriding the configuration.
        driver: the driver, overriding the configuration.
        lock_policy: how long to wait for locks, and which function to notify; by default, the configured timeout.
        degraded: whether reads skip damaged records and record the damage in `Store.flaws`. Otherwise an operation that
            needs a damaged record raises RecordsDamaged. In both cases, changes never rely on damaged records.

    Raises:
        ConfigError: the configuration is invalid, or has no graph root.
        DriverError: the driver of the store is unknown or ambiguous, or does not support an option.
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
    """Open a store for the command line without checking arguments, which type checkers have done; it starts faster."""
    context = open_context(config, graph_root="", run_root="", driver="", lock_policy=None, degraded=degraded)
    return Store(context)


class Store(_Store):
    """A container store. A `ref` is an item's ID, name or unique prefix of its ID.

    A store keeps nothing open between calls, so it need not be closed. It also works in a `with` statement.
    """

    @property
    def version(self) -> str:
        """The version of the library."""
        from cstore import __version__

        return __version__

    def check(self, options: CheckOptions | None = None) -> Report:
        """Check the store for damage without changing it; see `check.check_store`.

        Raises LayerUnknown, ImageUnknown, SystemFailure, LockTimeout.
        """
        from cstore.check import CheckOptions, check_store

        return check_store(self.context, options or CheckOptions())

    def repair(self, options: RepairOptions | None = None, report: Report | None = None) -> Repaired:
        """Repair all damage, or only the findings in a report of `check`; see `check.repair.repair_store`."""
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
            sources: the files and directories to copy.
            target: the destination.
            owner: user and group of all copies; by default, those of the sources.
            progress: called periodically with the bytes copied so far.
            verify: compare files of imported layers with the archive of their layer, before any file is copied.
            notice: called with a sentence for each source that could not be verified.

        Raises:
            ContentDamaged: a file differs from the imported one; nothing was copied.
            LayerUnknown, ReadOnlyStore, InvalidOption, IDNotMapped, SystemFailure: as raised by that function.
        """
        if verify:
            from cstore.contents.reading import verify_source

            for source in sources:
                for sentence in verify_source(self, source) if source.layer else ():
                    notice(sentence)
        super().copy(sources, target, owner, progress)

    @property
    def quarantine(self) -> Quarantine:
        """The quarantine: everything that repairs removed from the store, to be restored or deleted."""
        return Quarantine(self.context)


class Quarantine:
    """The cases of repairs; each contains everything that one repair removed from the store or changed in it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def list(self) -> Sequence[Case]:
        """Return all cases, the oldest first; see `quarantine.cases`.

        Raises SystemFailure.
        """
        from cstore.store import quarantine

        return quarantine.cases(self._context)

    def get(self, ref: str) -> Case:
        """Return the case with this ID, or a unique prefix of it; see `quarantine.find_case`.

        Raises CaseUnknown.
        """
        from cstore.store import quarantine

        return quarantine.find_case(self._context, ref)

    def undo(self, ref: str) -> Undone:
        """Restore everything in a case; see `quarantine.undo`.

        Raises CaseUnknown, QuarantineDamaged, RecordsDamaged, Unsupported.
        """
        from cstore.store import quarantine

        return quarantine.undo(self._context, ref)

    def purge(self, age: float, *, dry_run: bool = False) -> Sequence[Case]:
        """Delete the cases that are at least `age` seconds old, and return them; see `quarantine.purge`.

        Raises SystemFailure.
        """
        from cstore.store import quarantine

        return quarantine.purge(self._context, age, dry_run=dry_run)
