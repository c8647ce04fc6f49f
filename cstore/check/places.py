"""Check the store's own directories and lock files: their type, owner and mode."""

from __future__ import annotations

import os
import stat

from cstore import presence
from cstore.check.findings import Finding, of_store
from cstore.drivers.staging import OWN
from cstore.errors import ForeignThing
from cstore.fs import within
from cstore.ids import flaw_of_id
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.snapshot import StoreSnapshot


_OTHERS_WRITE = 0o022
_OWNER_ALL = 0o700
_MODE = 0o700


class Place(Value):
    """A directory of a store. `exact`: require the store's own mode and owner; users often create the roots by hand."""

    path: str
    exact: bool = True


def place_findings(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Yield a finding for each flaw in the store's directories and lock files."""
    try:
        owner = os.stat(snapshot.layout.graph_root).st_uid
    except OSError:
        owner = -1
    for place in _places(snapshot):
        yield from _directory(place, owner)
    for lock, neighbour in _locks(snapshot):
        yield from _lock(lock, neighbour)


def _places(snapshot: StoreSnapshot) -> list[Place]:
    layout = snapshot.layout
    found = [Place(layout.graph_root, exact=False), Place(layout.run_root, exact=False)]
    found += [Place(path) for path in (layout.driver_home, layout.layers, layout.containers)]
    found.append(Place(os.path.join(layout.graph_root, f"{layout.driver}-images")))
    if layout.image_store:  # others may use it as an additional store
        found.append(Place(layout.image_store, exact=False))
    return found


def _locks(snapshot: StoreSnapshot) -> list[tuple[str, str]]:
    """Return each lock file with a file that it guards: if that file exists, the lock file must have existed."""
    layout = snapshot.layout
    found = [(layout.storage_lock, ""), (layout.userns_lock, "")]
    for place in snapshot.context.places.values():
        files = list(place.files.values())
        found += [(lock, _beside(lock, files)) for lock in place.locks]
    return [*found, (layout.mountpoints_lock, layout.mountpoints)]


def _beside(lock: str, files: list[str]) -> str:
    folder = os.path.dirname(lock)
    return next((path for path in files if os.path.dirname(path) == folder), "")


def _directory(place: Place, owner: int) -> Iterator[Finding]:
    try:
        status = os.stat(place.path)
    except FileNotFoundError:
        if presence.is_link(place.path):
            yield of_store("place-wrong", place.path, "it is a dangling link but should be a directory")
        return
    except OSError as error:
        yield of_store("place-wrong", place.path, f"it cannot be examined: {os.strerror(error.errno or 0)}")
        return
    if not stat.S_ISDIR(status.st_mode):
        yield of_store("place-wrong", place.path, "it is not a directory")
        return
    mode = stat.S_IMODE(status.st_mode)
    evidence = {"mode": f"{mode:04o}", "expected": f"{_MODE:04o}"}
    sticky = bool(mode & stat.S_ISVTX)  # as with a graph root that is shared like /tmp
    if mode & _OTHERS_WRITE and not sticky:
        yield of_store("place-mode", place.path, f"others can write to it (mode {mode:04o})", **evidence)
    elif mode & _OWNER_ALL != _OWNER_ALL:
        yield of_store("place-mode", place.path, f"its owner cannot use it (mode {mode:04o})", **evidence)
    elif place.exact and mode & 0o777 != _MODE:
        yield of_store("place-open", place.path, f"others can read it (mode {mode:04o})", **evidence)
    if place.exact and owner >= 0 and status.st_uid != owner:
        sentence = f"it belongs to user {status.st_uid}, and the store to user {owner}"
        yield of_store("place-owner", place.path, sentence, owner=status.st_uid, expected=owner)


def _lock(path: str, neighbour: str) -> Iterator[Finding]:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        if neighbour and presence.is_there(neighbour):
            sentence = f"the lock file for {os.path.basename(neighbour)} is missing"
            yield of_store("lock-missing", path, sentence, guards=neighbour)
        return
    except OSError:
        return  # another finding reports its directory
    if stat.S_ISLNK(status.st_mode):
        yield of_store("lock-wrong", path, "it is a symbolic link", problem="link")
    elif not stat.S_ISREG(status.st_mode):
        yield of_store("lock-wrong", path, "it is not a regular file", problem="kind")


# ── types of files ──
#
# Files and directories below the store's top directories that have the wrong type.

_JOURNAL = ".replacing.json"
_PARTS = ("merged", "empty", "mapped", "work/work")
"""Directories of an overlay layer. Other findings report `diff` and `work`."""


def thing_findings(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Yield a finding for each path of the wrong type, without opening it. Other findings report records and locks."""
    for top, name in _folders(snapshot):
        yield from _folder(top, name)
    for top, name in _files(snapshot):
        yield from _file(top, name)


def _folders(snapshot: StoreSnapshot) -> Iterator[tuple[str, str]]:
    layout, homes = snapshot.layout, snapshot.layout.homes
    yield os.path.split(layout.quarantine)
    yield from ((layout.quarantine, name) for name in _cases(snapshot))
    yield from (os.path.split(place) for place in (layout.reserve, layout.intents, layout.partial))
    for home in homes:
        root, last = os.path.split(home)
        yield from ((root, name) for name in (OWN, f"{OWN}/{last}"))
        yield from ((home, name) for name in ("tempdirs", "staging", "dir", "subvolumes", "quotas"))
    yield layout.layers, "tmp"
    for layer in snapshot.layers.ids():
        if not flaw_of_id(layer):
            yield layout.layers, layer
            yield from ((home, layer) for home in homes)
            yield from ((home, f"{folder}/{layer}") for home in homes for folder in ("dir", "subvolumes"))
            yield from ((home, f"{layer}/{part}") for home in homes for part in _PARTS)
    for top, items in ((layout.images, snapshot.images.ids()), (layout.containers, snapshot.containers.ids())):
        run = os.path.join(layout.run_root, os.path.basename(top))
        for item in items:
            if not flaw_of_id(item):
                yield from ((place, name) for place in (top, run) for name in (item, f"{item}/userdata"))


def _files(snapshot: StoreSnapshot) -> Iterator[tuple[str, str]]:
    layout = snapshot.layout
    yield layout.driver_home, ".has-mount-program"
    yield os.path.split(layout.container_journal)
    yield layout.graph_root, f"{os.path.basename(layout.quarantine)}/lock"
    yield from ((layout.layers, name) for name in within.names_in(layout.layers) if name.endswith(_JOURNAL))
    for top, folder in (*((home, "tempdirs") for home in snapshot.layout.homes), (layout.layers, "tmp")):
        yield from ((top, f"{folder}/{name}") for name in within.names_in(top, folder) if name.startswith("lock-"))
    yield from ((layout.quarantine, f"{case}/case.json") for case in _cases(snapshot))


def _cases(snapshot: StoreSnapshot) -> list[str]:
    return [name for name in within.names_in(*os.path.split(snapshot.layout.quarantine)) if name != "lock"]


def _folder(top: str, name: str) -> Iterator[Finding]:
    try:
        within.require_directory(top, name, missing=True)
    except ForeignThing as error:
        if error.path == os.path.join(top, name):  # another finding reports a wrong parent directory
            yield _finding(error)
    except OSError:
        return  # another finding reports its top directory


def _file(top: str, name: str) -> Iterator[Finding]:
    try:
        fd = within.open_file(top, name, limit=within.SMALL)
    except ForeignThing as error:
        odd = name.endswith(_JOURNAL) and error.found == "a directory"  # the data of a layer whose ID ends so
        if error.path == os.path.join(top, name) and not odd:
            yield _finding(error)
    except OSError:
        return
    else:
        os.close(fd)


def _finding(error: ForeignThing) -> Finding:
    return of_store("thing-wrong", error.path, f"it is {error.found} but should be {error.wanted}", found=error.found)
