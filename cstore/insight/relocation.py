"""Finds references to the old place of a store that was copied elsewhere, which prevent its deletion."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore import presence
from cstore.errors import CstoreError
from cstore.insight.mentioning_files import database_names, naming_lines, pattern_of
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cstore.config import StoreConfig

_OF_ENGINES = {
    "libpod/bolt_state.db": "Podman's database of containers, pods and volumes",
    "libpod/db.sql": "Podman's database of containers, pods and volumes",
    "volumes": "the contents of Podman's volumes",
    "secrets": "Podman's secrets",
}


class Mention(Value):
    """Something that names a place, and what to do about it.

    `kind` is config, unit (of systemd), quadlet, container, mount, engine (what Podman keeps there) or database (one of
    Podman that lies elsewhere).
    """

    kind: str
    where: str
    what: str
    remedy: str


def mentions(old: str, config: StoreConfig) -> Iterator[Mention]:
    """Find references to a graph root, and everything in it besides images.

    Args:
        old: the root.
        config: the configuration in force.

    Raises:
        CstoreError: the store there cannot be read.
    """
    spelled = {os.path.abspath(old), os.path.realpath(old)}
    old = os.path.realpath(old)
    files = set()
    for mention in _in_configuration(spelled, config):
        files.add(mention.where.rpartition(":")[0] or mention.where)
        yield mention
    for line in naming_lines(spelled, _homes(old), files):
        yield Mention(line.kind, line.where, line.line, line.remedy)
    yield from _containers(old)
    yield from _mounts(old)
    yield from _databases(old, config, spelled)
    for name, what in _OF_ENGINES.items():
        path = os.path.join(old, name)
        if presence.exists(path) and not (presence.is_directory(path) and not os.listdir(path)):
            yield Mention("engine", path, what, "Podman looks for it in its graph root only: move it with Podman")


def _in_configuration(old: Collection[str], config: StoreConfig) -> Iterator[Mention]:
    from cstore.config.origins import origins_of

    pattern = pattern_of(old)
    for origin in origins_of(config):
        if pattern.search(origin.value):
            yield Mention("config", origin.place, f"{origin.key} = {origin.value}", "cstore config set changes it")
        for value, place in origin.overridden:
            if pattern.search(value):
                yield Mention("config", place, f"{origin.key} = {value}", "another file overrides it; edit it by hand")


def _homes(old: str) -> list[str]:
    """The homes of the user who asks, and of the one to whom the store belongs."""
    import pwd

    from cstore.config.environment import read_environment

    homes = [read_environment().home]
    for uid in (os.geteuid(), os.stat(old).st_uid):
        with suppress(KeyError):
            homes.append(pwd.getpwuid(uid).pw_dir)
    return [home for home in homes if os.path.isabs(home)]


def _databases(old: str, config: StoreConfig, spelled: Collection[str]) -> Iterator[Mention]:
    """Find databases of Podman that lie elsewhere: Podman refuses another graph root than its database names."""
    for name in ("bolt_state.db", "db.sql"):
        path = os.path.join(config.graph_root, "libpod", name)
        if not os.path.realpath(path).startswith(f"{old}/") and database_names(path, spelled):
            what = "Podman's database of containers, pods and volumes names it"
            yield Mention("database", path, what, "podman system reset makes a new one, without containers and pods")


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
            yield Mention("container", name, f"a container of the {driver} store", "cstore sync --containers copies it")


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
