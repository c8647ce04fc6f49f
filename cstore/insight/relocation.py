"""Search for references to the old path of a copied store, which prevent its deletion.

They occur in files of services and engines that contain a path (systemd units, Quadlet files, configurations, Podman
databases) and in the store itself.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress

from cstore import presence
from cstore.errors import CstoreError
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cstore.config import StoreConfig

    _Place = tuple[str, str, str]
    """A file or directory that may name a store: what reads it, its path, and what to do about it."""

_LARGEST = 1 << 20
"""The maximum size of a handwritten file, in bytes."""
_LARGEST_DATABASE = 256 << 20
_PIECE = 1 << 20
_DEEPEST = 4
"""The maximum depth of the search below a directory: `multi-user.target.wants`, `name.container.d`."""

_RELOAD = "edit it, then run: systemctl daemon-reload"
_RELOAD_OWN = "edit it, then run: systemctl --user daemon-reload"
_EDIT = "edit it by hand"

_OF_SYSTEM: tuple[_Place, ...] = (
    *(
        ("unit", f"{top}/systemd/{scope}", _RELOAD if scope == "system" else _RELOAD_OWN)
        for top in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
        for scope in ("system", "user")
    ),
    *(("quadlet", f"{top}/containers/systemd", _RELOAD) for top in ("/etc", "/run", "/usr/share")),
    *(
        ("config", f"{top}/{name}", _EDIT)
        for top in ("/etc/containers", "/usr/share/containers")
        for name in ("storage.conf", "storage.conf.d", "containers.conf", "containers.conf.d")
    ),
    ("config", "/etc/crio", _EDIT),
    ("config", "/etc/fstab", _EDIT),
)

_OF_ENGINES = {
    "libpod/bolt_state.db": "Podman's database of containers, pods and volumes",
    "libpod/db.sql": "Podman's database of containers, pods and volumes",
    "volumes": "the contents of Podman's volumes",
    "secrets": "Podman's secrets",
}


class Mention(Value):
    """A reference to a path, with the remedy.

    `kind` is config, unit (of systemd), quadlet, container, mount, engine (data of Podman in the store) or database (of
    Podman, in another place).
    """

    kind: str
    where: str
    what: str
    remedy: str


def mentions(old: str, config: StoreConfig) -> Iterator[Mention]:
    """Find references to a graph root, and everything in it except images.

    Args:
        old: the root.
        config: the configuration in effect.

    Raises:
        CstoreError: the store there cannot be read.
    """
    from cstore.kernel.mountinfo import read_mounts

    spelled = {os.path.abspath(old), os.path.realpath(old)}
    old = os.path.realpath(old)
    files = set()
    for mention in _in_configuration(spelled, config):
        files.add(mention.where.rpartition(":")[0] or mention.where)
        yield mention
    yield from naming_lines(spelled, _homes(old), files)
    yield from _containers(old)
    with suppress(OSError):
        for mount in read_mounts():
            if mount.mount_point.startswith(f"{old}/"):
                yield Mention("mount", mount.mount_point, "it is mounted", f"umount {mount.mount_point}")
    # Databases of Podman in another place: Podman refuses any graph root that differs from the one in its database.
    for name in ("bolt_state.db", "db.sql"):
        path = os.path.join(config.graph_root, "libpod", name)
        if not os.path.realpath(path).startswith(f"{old}/") and database_names(path, spelled):
            what = "Podman's database of containers, pods and volumes names it"
            yield Mention("database", path, what, "podman system reset makes a new one, without containers and pods")
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
    """Return the home directories of the current user and of the owner of the store."""
    import pwd

    from cstore.config.environment import read_environment

    homes = [read_environment().home]
    for uid in (os.geteuid(), os.stat(old).st_uid):
        with suppress(KeyError):
            homes.append(pwd.getpwuid(uid).pw_dir)
    return [home for home in homes if os.path.isabs(home)]


def _containers(old: str) -> Iterator[Mention]:
    from cstore.config import Overrides, drivers_with_records, load_config
    from cstore.store.store import open_store

    for driver in drivers_with_records(old):
        run_root = os.path.join(old, ".no-run-root")  # need not exist, because the store is only read
        try:
            store = open_store(load_config(Overrides(graph_root=old, run_root=run_root, driver=driver)), degraded=True)
            found = store.containers.list()
        except CstoreError as error:
            yield Mention("container", os.path.join(old, f"{driver}-containers"), error.message, "cstore repair")
            continue
        for container in found:
            name = container.names[0] if container.names else container.id
            yield Mention("container", name, f"a container of the {driver} store", "cstore sync --containers copies it")


def _of_home(home: str) -> Iterator[_Place]:
    for below in (".config/systemd/user", ".local/share/systemd/user"):
        yield ("unit", os.path.join(home, below), _RELOAD_OWN)
    yield ("quadlet", os.path.join(home, ".config/containers/systemd"), _RELOAD_OWN)
    for name in ("storage.conf", "storage.conf.d", "containers.conf", "containers.conf.d"):
        yield ("config", os.path.join(home, ".config/containers", name), _EDIT)


def naming_lines(old: Collection[str], homes: Collection[str], known: Collection[str]) -> Iterator[Mention]:
    """Find the lines that name a path or one below it. Ignores comments and unreadable files.

    Args:
        old: spellings of the path.
        homes: home directories of users whose files to include.
        known: files to skip, because they were searched already.
    """
    seen = {os.path.realpath(path) for path in known}
    pattern = pattern_of(old)
    places = (*_OF_SYSTEM, *(place for home in dict.fromkeys(homes) for place in _of_home(home)))
    for kind, top, remedy in places:
        for path in _files(top):
            real = os.path.realpath(path)
            if real in seen:
                continue
            seen.add(real)
            for number, line in enumerate(_lines(path), 1):
                if pattern.search(line) and not line.startswith(("#", ";")):
                    yield Mention(kind, f"{path}:{number}", line, remedy)


def pattern_of(old: Collection[str]) -> re.Pattern[str]:
    """Return a pattern that matches some paths and paths below them, but no longer names that contain them."""
    spelled = "|".join(re.escape(path) for path in sorted(old))
    return re.compile(rf"(?<![\w./-])(?:{spelled})(?![\w.-])")


def _files(top: str) -> Iterator[str]:
    """Yield the path itself if it is a file, or the files below it."""
    if not presence.is_directory(top):
        yield top
        return
    for folder, folders, files in os.walk(top):
        folders.sort()
        if os.path.relpath(folder, top).count("/") >= _DEEPEST:
            folders.clear()
        for name in sorted(files):
            yield os.path.join(folder, name)


def _opened(path: str, limit: int) -> int:
    """Open a regular file that is not too large; -1 for anything else."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_size <= limit:
            return fd
        os.close(fd)
    return -1


def _lines(path: str) -> Iterator[str]:
    fd = _opened(path, _LARGEST)
    if fd < 0:
        return
    with open(fd, "rb") as file, suppress(OSError):
        for line in file.read(_LARGEST).decode(errors="surrogateescape").splitlines():
            yield line.strip()


def database_names(path: str, old: Collection[str]) -> bool:
    """Whether a database contains one of some paths as text, which engines store in one piece."""
    fd = _opened(path, _LARGEST_DATABASE)
    if fd < 0:
        return False
    wanted = re.compile(b"|".join(re.escape(os.fsencode(each)) + rb"(?![\w.-])" for each in sorted(old)))
    overlap = max(len(os.fsencode(each)) for each in old) + 1
    with open(fd, "rb") as file, suppress(OSError):
        rest = b""
        while piece := file.read(_PIECE):
            if wanted.search(rest + piece):
                return True
            rest = (rest + piece)[-overlap:]
    return False
