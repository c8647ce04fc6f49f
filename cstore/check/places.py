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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.snapshot import StoreSnapshot


_OTHERS_WRITE = 0o022
_OWNER_ALL = 0o700
_MODE = 0o700


def place_findings(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Yield a finding for each flaw in the store's directories and lock files."""
    layout = snapshot.layout
    try:
        owner = os.stat(layout.graph_root).st_uid
    except OSError:
        owner = -1
    for path in (layout.graph_root, layout.run_root):  # users often create the roots by hand
        yield from _directory(path, owner, exact=False)
    for path in (layout.driver_home, layout.layers, layout.containers):
        yield from _directory(path, owner)
    yield from _directory(os.path.join(layout.graph_root, f"{layout.driver}-images"), owner)
    if layout.image_store:  # others may use it as an additional store
        yield from _directory(layout.image_store, owner, exact=False)
    yield from _locks(snapshot)


def _directory(path: str, owner: int, *, exact: bool = True) -> Iterator[Finding]:
    """Check one directory. `exact`: require the store's own mode and owner."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if presence.is_link(path):
            yield of_store("place-wrong", path, "it is a dangling link but should be a directory")
        return
    except OSError as error:
        yield of_store("place-wrong", path, f"it cannot be examined: {os.strerror(error.errno or 0)}")
        return
    if not stat.S_ISDIR(status.st_mode):
        yield of_store("place-wrong", path, "it is not a directory")
        return
    mode = stat.S_IMODE(status.st_mode)
    evidence = {"mode": f"{mode:04o}", "expected": f"{_MODE:04o}"}
    sticky = bool(mode & stat.S_ISVTX)  # as with a graph root that is shared like /tmp
    if mode & _OTHERS_WRITE and not sticky:
        yield of_store("place-mode", path, f"others can write to it (mode {mode:04o})", **evidence)
    elif mode & _OWNER_ALL != _OWNER_ALL:
        yield of_store("place-mode", path, f"its owner cannot use it (mode {mode:04o})", **evidence)
    elif exact and mode & 0o777 != _MODE:
        yield of_store("place-open", path, f"others can read it (mode {mode:04o})", **evidence)
    if exact and owner >= 0 and status.st_uid != owner:
        sentence = f"it belongs to user {status.st_uid}, and the store to user {owner}"
        yield of_store("place-owner", path, sentence, owner=status.st_uid, expected=owner)


def _locks(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Check each lock file. If a file that it guards is beside it, it must have existed."""
    layout = snapshot.layout
    locks = [(layout.storage_lock, ""), (layout.userns_lock, "")]
    for place in snapshot.context.places.values():
        for lock in place.locks:
            beside = (path for path in place.files.values() if os.path.dirname(path) == os.path.dirname(lock))
            locks.append((lock, next(beside, "")))
    for path, neighbour in (*locks, (layout.mountpoints_lock, layout.mountpoints)):
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            if neighbour and presence.is_there(neighbour):
                sentence = f"the lock file for {os.path.basename(neighbour)} is missing"
                yield of_store("lock-missing", path, sentence, guards=neighbour)
            continue
        except OSError:
            continue  # another finding reports its directory
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
        try:
            within.require_directory(top, name, missing=True)
        except ForeignThing as error:
            if error.path == os.path.join(top, name):  # another finding reports a wrong parent directory
                yield _finding(error)
        except OSError:
            continue  # another finding reports its top directory
    for top, name in _files(snapshot):
        try:
            fd = within.open_file(top, name, limit=within.SMALL)
        except ForeignThing as error:
            odd = name.endswith(_JOURNAL) and error.found == "a directory"  # the data of a layer whose ID ends so
            if error.path == os.path.join(top, name) and not odd:
                yield _finding(error)
        except OSError:
            continue
        else:
            os.close(fd)


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


def _finding(error: ForeignThing) -> Finding:
    return of_store("thing-wrong", error.path, f"it is {error.found} but should be {error.wanted}", found=error.found)
