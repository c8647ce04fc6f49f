"""What every operation of one open store shares: its paths, its driver, its settings and its patience."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cstore.store.places import Place, Shelf, places

if TYPE_CHECKING:
    from cstore.config import StoreConfig
    from cstore.drivers.contract import Driver
    from cstore.fs.lockfile import Patience
    from cstore.layout import Layout
    from cstore.records.table import Table
    from cstore.store.extra_stores import ExtraStore


class Additional(msgspec.Struct, frozen=True):
    """Where an additional store is, and whether only its images count: its layers may be the store's own."""

    layout: Layout
    images_only: bool = False


class Context(msgspec.Struct):
    """One open store.

    Attributes:
        patience: how long to wait for a lock, and whom to tell.
        sync: whether a success must survive a power cut.
        additional: the stores that are looked into after this one, and only read.
        places: where each kind's records are.
        tables, extras: what was last read, of the store itself and of additional ones.
    """

    config: StoreConfig
    layout: Layout
    driver: Driver
    patience: Patience
    sync: bool
    additional: tuple[Additional, ...] = ()
    places: dict[Shelf, Place] = {}
    tables: dict[Shelf, Table[Any]] = {}
    extras: list[ExtraStore] = []

    def __post_init__(self) -> None:
        self.places = places(self.layout)

    @property
    def ignore_chown_errors(self) -> bool:
        """Whether owners that cannot be set are let be; the last option that says so wins."""
        from cstore.config.driver_options import parse_flag, split_option

        said = "false"
        for key, value in map(split_option, self.config.driver_options):
            if key.rpartition(".")[2] == "ignore_chown_errors":
                said = value
        return parse_flag(said)
