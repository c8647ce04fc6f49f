"""All keys of storage.conf: their dotted names, and the type of their values (config spec, 4).

Key names are matched regardless of case; here they are in lower case.
"""

from __future__ import annotations


class Kind:
    """The type of a key's value, as the phrase that completes "it must be …"."""

    TEXT = "a string"
    TEXTS = "an array of strings"
    FLAG = "true or false, without quotes"
    FLAG_WORD = 'a string, "true" or "false"'
    NUMBER = "an integer from 0 to 4294967295"
    TEXT_TABLE = "a table of strings"
    SECONDS = 'a number of seconds, or a string such as "30s"'
    EMPTY_TABLE = "a table"


DRIVER = "storage.driver"
DRIVER_PRIORITY = "storage.driver_priority"
RUN_ROOT = "storage.runroot"
GRAPH_ROOT = "storage.graphroot"
IMAGE_STORE = "storage.imagestore"
ROOTLESS_PATH = "storage.rootless_storage_path"
TRANSIENT_STORE = "storage.transient_store"
OPTIONS = "storage.options"
OPTIONS_IMAGE_STORE = f"{OPTIONS}.imagestore"
MORE_IMAGE_STORES = f"{OPTIONS}.additionalimagestores"
MORE_LAYER_STORES = f"{OPTIONS}.additionallayerstores"
AUTO_USER = f"{OPTIONS}.root-auto-userns-user"
AUTO_MIN_SIZE = f"{OPTIONS}.auto-userns-min-size"
AUTO_MAX_SIZE = f"{OPTIONS}.auto-userns-max-size"
REMAP_UIDS = f"{OPTIONS}.remap-uids"
REMAP_GIDS = f"{OPTIONS}.remap-gids"
REMAP_USER = f"{OPTIONS}.remap-user"
REMAP_GROUP = f"{OPTIONS}.remap-group"
DISABLE_VOLATILE = f"{OPTIONS}.disable-volatile"
PULL_OPTIONS = f"{OPTIONS}.pull_options"
SYNC = f"{OPTIONS}.cstore.sync"
LOCK_TIMEOUT = f"{OPTIONS}.cstore.lock_timeout"

KEYS: dict[str, str] = {
    DRIVER: Kind.TEXT,
    DRIVER_PRIORITY: Kind.TEXTS,
    RUN_ROOT: Kind.TEXT,
    GRAPH_ROOT: Kind.TEXT,
    IMAGE_STORE: Kind.TEXT,
    ROOTLESS_PATH: Kind.TEXT,
    TRANSIENT_STORE: Kind.FLAG,
    MORE_IMAGE_STORES: Kind.TEXTS,
    MORE_LAYER_STORES: Kind.TEXTS,
    OPTIONS_IMAGE_STORE: Kind.TEXT,
    f"{OPTIONS}.size": Kind.TEXT,
    f"{OPTIONS}.mount_program": Kind.TEXT,
    f"{OPTIONS}.skip_mount_home": Kind.FLAG_WORD,
    f"{OPTIONS}.ignore_chown_errors": Kind.FLAG_WORD,
    f"{OPTIONS}.force_mask": Kind.NUMBER,
    f"{OPTIONS}.mountopt": Kind.TEXT,
    f"{OPTIONS}.use_composefs": Kind.FLAG_WORD,
    AUTO_USER: Kind.TEXT,
    AUTO_MIN_SIZE: Kind.NUMBER,
    AUTO_MAX_SIZE: Kind.NUMBER,
    REMAP_UIDS: Kind.TEXT,
    REMAP_GIDS: Kind.TEXT,
    REMAP_USER: Kind.TEXT,
    REMAP_GROUP: Kind.TEXT,
    DISABLE_VOLATILE: Kind.FLAG,
    PULL_OPTIONS: Kind.TEXT_TABLE,
    f"{OPTIONS}.aufs.mountopt": Kind.TEXT,
    f"{OPTIONS}.thinpool": Kind.EMPTY_TABLE,
    SYNC: Kind.FLAG,
    LOCK_TIMEOUT: Kind.SECONDS,
}
"""All keys except those of cstore's drivers, which declare the keys of their own tables in their packages."""

_TABLES = frozenset(name[:place] for name in KEYS for place, letter in enumerate(name) if letter == ".")


def kind_of(key: str) -> str:
    """Return the type of a key, one of `Kind`; "" for an unknown key. Imports only the driver that owns the key."""
    if kind := KEYS.get(key):
        return kind
    from cstore.drivers.registry import DRIVERS, package_of

    driver, _, name = key.removeprefix(f"{OPTIONS}.").partition(".")
    return package_of(driver).FACTS.keys.get(name, "") if driver in DRIVERS and key.startswith(OPTIONS) else ""


def is_table(key: str) -> bool:
    """Return whether a table of that name can contain keys."""
    from cstore.drivers.registry import DRIVERS

    return key in _TABLES or (key.startswith(f"{OPTIONS}.") and key[len(OPTIONS) + 1 :] in DRIVERS)


def all_keys() -> dict[str, str]:
    """Return every key and its type, in the order of the manual: general keys, those of the drivers, and the rest."""
    from cstore.drivers.registry import DRIVERS, package_of

    known: dict[str, str] = {}
    for key, kind in KEYS.items():
        known[key] = kind
        if key == PULL_OPTIONS:
            for driver in DRIVERS:
                own = package_of(driver).FACTS.keys
                known.update({f"{OPTIONS}.{driver}.{name}": taken for name, taken in own.items()})
    return known


def all_tables() -> set[str]:
    """Return every table that a file may have."""
    from cstore.drivers.registry import DRIVERS

    return {*_TABLES, *(f"{OPTIONS}.{driver}" for driver in DRIVERS)}


RETIRED = {
    f"{OPTIONS}.ostree_repo": "pull_options.ostree_repos took its place",
}
"""Keys of old versions, which no current tool obeys, with a note for the user."""
