"""Opening a store: which driver it has, which stores lie beside it, what there is to say of that. Writes nothing."""

from __future__ import annotations

import os

from cstore.layout import Layout
from cstore.store.context import Additional, Context
from cstore.store.neighbours import notices
from cstore.traces import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.config import StoreConfig
    from cstore.drivers.contract import Driver
    from cstore.fs.patience import Patience


def open_context(
    config: StoreConfig | None,
    *,
    graph_root: str,
    run_root: str,
    driver: str,
    patience: Patience | None,
    degraded: bool,
) -> Context:
    """Find out what a store is made of; see `library.open_store`."""
    from cstore.drivers.registry import choose_drivers
    from cstore.errors import ConfigError
    from cstore.fs.patience import Patience

    config = _with(config, graph_root, run_root, driver)
    if not config.graph_root:
        raise ConfigError("the configuration of the store", "the graph root is empty", hint="name a directory")
    names = choose_drivers(config.graph_root, config.driver, config.driver_priority)
    config, layout, opened = _open_driver(config, names[0]) if len(names) == 1 else _first_usable(config, names)
    config = _told_of_others(config, layout.driver)
    patience = patience or Patience(timeout=config.lock_timeout)
    additional = _additional(layout, config)
    used = [each.layout.graph_root for each in additional if not each.images_only]
    told = notices(layout, _named_stores(config.driver_options, layout.driver), used)
    config = config.with_(warnings=(*config.warnings, *told))
    context = Context(config, layout, opened, patience, config.sync, additional)
    context.degraded = degraded
    return context


def _with(config: StoreConfig | None, graph_root: str, run_root: str, driver_name: str) -> StoreConfig:
    """The configuration to use: what was said by keyword counts before it."""
    from cstore.config import Overrides, load_config

    graph_root, run_root = (os.path.abspath(path) if path else "" for path in (graph_root, run_root))
    if config is None:
        return load_config(Overrides(graph_root=graph_root, run_root=run_root, driver=driver_name))
    said = {"graph_root": graph_root, "run_root": run_root, "driver": driver_name}
    return config.with_(**{name: value for name, value in said.items() if value})


def _told_of_others(config: StoreConfig, driver: str) -> StoreConfig:
    """Add a warning where this driver has no store in the graph root, and another driver has one."""
    from cstore.config import drivers_with_records

    present = drivers_with_records(config.graph_root)
    if not present or driver in present:
        return config
    others = " and ".join(present)
    told = f"{config.graph_root} holds a store of {others}, which is not looked into, because the driver is {driver}"
    return config.with_(warnings=(*config.warnings, f"{told}; name it with --storage-driver {present[0]}"))


def _first_usable(config: StoreConfig, names: Sequence[str]) -> tuple[StoreConfig, Layout, Driver]:
    """Open the first driver that can keep a new store there. If it is not the preferred one, a warning says why."""
    from cstore.errors import DriverUnusable

    reasons = []
    for name in names:
        try:
            chosen, layout, driver = _open_driver(config, name)
            driver.require()
        except DriverUnusable as error:
            trace("the %s driver cannot be used here: %s", name, error)
            reasons.append(error)
            continue
        if reasons:
            chosen = chosen.with_(warnings=(*chosen.warnings, f"{reasons[0].message}; a new store uses {name} instead"))
        return chosen, layout, driver
    raise reasons[0]


def _open_driver(config: StoreConfig, home_name: str) -> tuple[StoreConfig, Layout, Driver]:
    from cstore.config import with_driver
    from cstore.drivers.registry import DriverPlace, open_driver, reported_name

    config = with_driver(config, home_name)
    name = reported_name(home_name)
    layout = Layout(config.graph_root, config.run_root, name, config.image_store, config.transient_store, home_name)
    place = DriverPlace(
        home=layout.driver_home,
        run_home=layout.driver_run_home,
        image_home=os.path.join(config.image_store, name) if config.image_store else "",
        options=_own_left_out(config),
        sync=config.sync,
    )
    return config, layout, open_driver(name, place)


def _own_left_out(config: StoreConfig) -> tuple[str, ...]:
    """The driver options without additional stores that are the store itself."""
    if not config.driver_options:
        return ()
    from cstore.config.driver_options import without_stores

    return without_stores(config.driver_options, (config.graph_root, config.image_store))


def _named_stores(options: Sequence[str], driver: str) -> tuple[str, ...]:
    if not options:
        return ()
    from cstore.config.driver_options import additional_image_stores

    return additional_image_stores(options, driver)


def _additional(layout: Layout, config: StoreConfig) -> tuple[Additional, ...]:
    """Name the stores that are looked into after the store's own."""
    paths = _named_stores(_own_left_out(config), layout.driver)
    stores = [Additional(Layout(path, layout.run_root, layout.driver)) for path in paths]
    if layout.image_store:  # images that were made before there was an image store
        own = Layout(layout.graph_root, layout.run_root, layout.driver, home_name=layout.home_name)
        stores.insert(0, Additional(own, images_only=True))
    return tuple(stores)
