"""What every operation of one open store shares: its paths, its driver, its settings and its patience."""

from __future__ import annotations

import os

from cstore.fs import within
from cstore.store.places import places
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.config import StoreConfig
    from cstore.drivers.contract import Driver
    from cstore.drivers.registry import DriverFacts, DriverPlace
    from cstore.fs.patience import Patience
    from cstore.layout import Layout
    from cstore.records.table import Table
    from cstore.store.extra_stores import ExtraStore
    from cstore.store.places import Place, Shelf
    from cstore.store.store import Store


class Additional(Value):
    """Where an additional store is, and whether only its images count: its layers may be the store's own."""

    layout: Layout
    images_only: bool = False


class Context:
    """One open store.

    Attributes:
        patience: how long to wait for a lock, and whom to tell.
        sync: whether a success must survive a power cut.
        additional: the stores that are looked into after this one, and only read.
        places: where each kind's records are.
        degraded: whether readers leave out what is damaged, and note it, instead of raising.
        tables, extras: what was last read, of the store itself and of additional ones.
    """

    def __init__(
        self,
        config: StoreConfig,
        layout: Layout,
        driver: Driver,
        patience: Patience,
        sync: bool,
        additional: tuple[Additional, ...] = (),
    ) -> None:
        self.config = config
        self.layout = layout
        self.driver = driver
        self.patience = patience
        self.sync = sync
        self.additional = additional
        self.degraded = False
        within.declare_tops(layout.tops)
        for each in additional:
            within.declare_tops(each.layout.tops)
        self.places: dict[Shelf, Place] = places(layout)
        self.tables: dict[Shelf, Table[Any]] = {}
        self.extras: list[ExtraStore] = []

    @property
    def ignore_chown_errors(self) -> bool:
        """Whether owners that cannot be set are let be; the last option that says so wins."""
        from cstore.config.driver_options import ignores_owners

        return ignores_owners(self.config.driver_options, self.driver.name)

    @property
    def driver_facts(self) -> DriverFacts:
        """What is to be known of the driver, as data."""
        from cstore.drivers.registry import package_of

        return package_of(self.driver.name).FACTS


def context_of(store: Context | Store) -> Context:
    """What the operations of a store share, for who is given either.

    Raises:
        TypeError: it is no store.
    """
    context: object = getattr(store, "context", store)
    if not isinstance(context, Context):
        raise TypeError(f"store: a Store is expected, and this is of type {type(store).__name__}")
    return context


def driver_place(context: Context) -> DriverPlace:
    """Where the store's driver works."""
    from cstore.drivers.registry import DriverPlace

    config, layout = context.config, context.layout
    return DriverPlace(
        home=layout.driver_home,
        run_home=os.path.join(config.run_root, layout.driver),
        image_home=os.path.join(config.image_store, layout.driver) if config.image_store else "",
        options=config.driver_options,
        sync=config.sync,
    )
