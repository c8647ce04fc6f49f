"""What still names the place of a store that has been copied elsewhere: until nothing does, it cannot be deleted."""

from __future__ import annotations

import os

from cstore.errors import CstoreError
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.config import StoreConfig

_OF_ENGINES = {
    "libpod/bolt_state.db": "Podman's database of containers, pods and volumes",
    "libpod/db.sql": "Podman's database of containers, pods and volumes",
    "volumes": "the contents of Podman's volumes",
    "secrets": "Podman's secrets",
}


class Mention(Value):
    """Something that names a place: `kind` is config, container, mount or engine; `remedy` is what to do about it."""

    kind: str
    where: str
    what: str
    remedy: str


def mentions(old: str, config: StoreConfig) -> Iterator[Mention]:
    """Find what names a graph root, or lies in it and is no image.

    Args:
        old: the root.
        config: the configuration in force.

    Raises:
        CstoreError: the store there cannot be read.
    """
    old = os.path.realpath(old)
    yield from _in_configuration(old, config)
    yield from _containers(old)
    yield from _mounts(old)
    for name, what in _OF_ENGINES.items():
        path = os.path.join(old, name)
        if os.path.exists(path) and not (os.path.isdir(path) and not os.listdir(path)):
            yield Mention("engine", path, what, "Podman looks for it in its graph root only: move it with Podman")


def _in_configuration(old: str, config: StoreConfig) -> Iterator[Mention]:
    from cstore.config.origins import origins_of

    for origin in origins_of(config):
        if _names(origin.value, old):
            yield Mention("config", origin.place, f"{origin.key} = {origin.value}", "cstore config set changes it")
        for value, place in origin.overridden:
            if _names(value, old):
                yield Mention("config", place, f"{origin.key} = {value}", "another file overrides it; edit it by hand")


def _names(value: str, old: str) -> bool:
    """Whether a value has a path in it, or one below it."""
    place = value.find(old)
    while place >= 0:
        if value[place + len(old) : place + len(old) + 1] in {"", "/", '"', ",", " ", "]"}:
            return True
        place = value.find(old, place + 1)
    return False


def _containers(old: str) -> Iterator[Mention]:
    from cstore.config import Overrides, drivers_with_records, load_config
    from cstore.store.store import open_store

    for driver in drivers_with_records(old):
        run_root = os.path.join(old, ".no-run-root")  # nothing is looked for there, and nothing made: it is only read
        try:
            store = open_store(load_config(Overrides(graph_root=old, run_root=run_root, driver=driver)), degraded=True)
            found = store.containers.list()
        except CstoreError as error:
            yield Mention("container", os.path.join(old, f"{driver}-containers"), error.message, "cstore repair")
            continue
        for container in found:
            name = container.names[0] if container.names else container.id
            yield Mention("container", name, f"a container of the {driver} store", "it was not copied: create it again")


def _mounts(old: str) -> Iterator[Mention]:
    from cstore.kernel.mountinfo import read_mounts

    try:
        table = read_mounts()
    except OSError:
        return
    for mount in table:
        point = mount.mount_point
        if point.startswith(f"{old}/"):
            yield Mention("mount", point, "it is mounted", f"umount {point}")
