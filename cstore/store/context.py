"""The shared state of all operations of one open store: its paths, driver, settings and lock policy.

Opening a store determines its driver and its neighboring stores, and collects warnings about them. It writes nothing.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.fs import within
from cstore.layout import Layout
from cstore.store.places import places
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from cstore.config import StoreConfig
    from cstore.drivers.contract import Driver
    from cstore.drivers.registry import DriverFacts, DriverPlace
    from cstore.fs.lock_policy import LockPolicy
    from cstore.records.table import Table
    from cstore.store.extra_stores import ExtraStore
    from cstore.store.places import ItemKind, Place
    from cstore.store.store import Store

    Prepared = tuple[StoreConfig, Layout, DriverPlace, Callable[[], Driver]]
    """A store that was found: its settings, its paths, its driver's place, and a function that opens the driver."""


class Additional(Value):
    """The layout of an additional store, and whether only its images count, because its layers are the store's own."""

    layout: Layout
    images_only: bool = False


class Context:
    """One open store.

    Attributes:
        driver_place: the directories and options of the driver.
        sync: whether a success must survive a power cut.
        additional: the stores that are searched after this one, and only read.
        places: the record files of each kind.
        degraded: whether readers note damage and leave it out, instead of raising.
        tables, extras: the records that were read last, of the store itself and of additional ones.
    """

    def __init__(
        self,
        config: StoreConfig,
        layout: Layout,
        driver_place: DriverPlace,
        make_driver: Callable[[], Driver],
        lock_policy: LockPolicy | None,
        additional: tuple[Additional, ...] = (),
    ) -> None:
        self.config = config
        self.layout = layout
        self.driver_place = driver_place
        self._make_driver = make_driver
        self._driver: Driver | None = None
        self._lock_policy = lock_policy
        self.sync = config.sync
        self.additional = additional
        self.degraded = False
        within.declare_tops(layout.tops)
        for each in additional:
            within.declare_tops(each.layout.tops)
        self.places: dict[ItemKind, Place] = places(layout)
        self.tables: dict[ItemKind, Table[Any]] = {}
        self.extras: list[ExtraStore] = []

    @property
    def lock_policy(self) -> LockPolicy:
        """How long to wait for a lock, and whom to tell; the configured policy by default."""
        if self._lock_policy is None:
            from cstore.fs.lock_policy import LockPolicy

            self._lock_policy = LockPolicy(timeout=self.config.lock_timeout)
        return self._lock_policy

    @lock_policy.setter
    def lock_policy(self, lock_policy: LockPolicy) -> None:
        self._lock_policy = lock_policy

    @property
    def driver(self) -> Driver:
        """The driver, opened on first use."""
        if self._driver is None:
            self._driver = self._make_driver()
        return self._driver

    def unsynced(self) -> Context:
        """Return the same store without syncs, for a caller who syncs once for several items."""
        config, layout = self.config.with_(sync=False), self.layout
        prepared = _prepare_driver(config, layout.home_name or layout.driver)
        return Context(*prepared, self._lock_policy, self.additional)

    @property
    def ignore_chown_errors(self) -> bool:
        """Whether owners that cannot be set are ignored; the last such option wins."""
        from cstore.config.driver_options import ignores_owners

        return ignores_owners(self.config.driver_options, self.layout.driver)

    @property
    def driver_facts(self) -> DriverFacts:
        """The facts about the driver, as data."""
        from cstore.drivers.registry import package_of

        return package_of(self.layout.driver).FACTS


def context_of(store: Context | Store) -> Context:
    """Return the context of a store, or the context itself.

    Raises:
        TypeError: the argument is neither.
    """
    context: object = getattr(store, "context", store)
    if not isinstance(context, Context):
        raise TypeError(f"store: a Store is expected, and this is of type {type(store).__name__}")
    return context


# ── opening ──


def open_context(
    config: StoreConfig | None,
    *,
    graph_root: str,
    run_root: str,
    driver: str,
    lock_policy: LockPolicy | None,
    degraded: bool,
) -> Context:
    """Determine the parts of a store; see `library.open_store`."""
    from cstore.config import Overrides, drivers_with_records, load_config
    from cstore.drivers.registry import choose_drivers

    graph_root, run_root = (os.path.abspath(path) if path else "" for path in (graph_root, run_root))
    if config is None:
        config = load_config(Overrides(graph_root=graph_root, run_root=run_root, driver=driver))
    elif graph_root or run_root or driver:
        said = {"graph_root": graph_root, "run_root": run_root, "driver": driver}
        said = {name: value for name, value in said.items() if value}
        config = config.with_(**said, given=config.given.with_(**said))
    if not config.graph_root:
        raise errors.ConfigError("the configuration of the store", "the graph root is empty", hint="name a directory")
    names = choose_drivers(config.graph_root, config.driver, config.driver_priority)
    config, layout, place, make_driver = (
        _prepare_driver(config, names[0]) if len(names) == 1 else _first_usable(config, names)
    )
    present = drivers_with_records(config.graph_root)
    if present and layout.driver not in present:
        others = " and ".join(present)
        told = f"{config.graph_root} holds a store of {others}, which is ignored because the driver is {layout.driver}"
        config = config.with_(warnings=(*config.warnings, f"{told}; name it with --storage-driver {present[0]}"))
    paths = _named_stores(_own_left_out(config), layout.driver)
    additional = [Additional(Layout(path, layout.run_root, layout.driver)) for path in paths]
    if layout.image_store:  # images from before the image store was configured
        own = Layout(layout.graph_root, layout.run_root, layout.driver, home_name=layout.home_name)
        additional.insert(0, Additional(own, images_only=True))
    used = [each.layout.graph_root for each in additional if not each.images_only]
    named = _named_stores(config.driver_options, layout.driver)
    if named or layout.image_store:
        from cstore.store.neighbours import notices

        config = config.with_(warnings=(*config.warnings, *notices(layout, named, used)))
    context = Context(config, layout, place, make_driver, lock_policy, tuple(additional))
    context.degraded = degraded
    return context


def _first_usable(config: StoreConfig, names: Sequence[str]) -> Prepared:
    """Open the first driver that can keep a new store there. Add a warning if it is not the preferred one."""
    from cstore.traces import trace

    reasons = []
    for name in names:
        try:
            chosen, layout, place, make_driver = _prepare_driver(config, name)
            driver = make_driver()
            driver.require()
        except errors.DriverUnusable as error:
            trace("the %s driver cannot be used here: %s", name, error)
            reasons.append(error)
            continue
        if reasons:
            chosen = chosen.with_(warnings=(*chosen.warnings, f"{reasons[0].message}; a new store uses {name} instead"))
        return chosen, layout, place, lambda found=driver: found
    raise reasons[0]


def _prepare_driver(config: StoreConfig, home_name: str) -> Prepared:
    """Return the place of the driver, which is opened on first use."""
    from cstore.config import with_driver
    from cstore.drivers.registry import DriverPlace, prepare_driver, reported_name

    config = with_driver(config, home_name)
    name = reported_name(home_name)
    layout = Layout(config.graph_root, config.run_root, name, config.image_store, config.transient_store, home_name)
    place = DriverPlace(
        home=layout.driver_home,
        run_home=layout.driver_run_home,
        image_home=layout.image_home,
        options=_own_left_out(config),
        sync=config.sync,
    )
    return config, layout, place, prepare_driver(name, place)


def _own_left_out(config: StoreConfig) -> tuple[str, ...]:
    """Return the driver options without additional stores that are the store itself."""
    if not config.driver_options:
        return ()
    from cstore.config.driver_options import without_stores

    return without_stores(config.driver_options, (config.graph_root, config.image_store))


def _named_stores(options: Sequence[str], driver: str) -> tuple[str, ...]:
    if not options:
        return ()
    from cstore.config.driver_options import additional_image_stores

    return additional_image_stores(options, driver)
