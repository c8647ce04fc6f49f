"""The store's own directories and lock files: of the right kind, the right owner's, and closed to others."""

from __future__ import annotations

import os
import stat

from cstore.check.findings import Finding, of_store
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.snapshot import StoreSnapshot

_OTHERS_WRITE = 0o022
_OWNER_ALL = 0o700
_MODE = 0o700


class Place(Value):
    """A directory that a store has. `exact`: its mode is the store's matter; the roots are often made by hand."""

    path: str
    exact: bool = True


def place_findings(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Everything that is wrong with directories and lock files."""
    owner = _owner_of(snapshot.layout.graph_root)
    for place in _places(snapshot):
        yield from _directory(place, owner)
    for lock, neighbour in _locks(snapshot):
        yield from _lock(lock, neighbour)


def _places(snapshot: StoreSnapshot) -> list[Place]:
    layout = snapshot.layout
    found = [Place(layout.graph_root, exact=False), Place(layout.run_root, exact=False)]
    found += [Place(path) for path in (layout.driver_home, layout.layers, layout.containers)]
    found.append(Place(os.path.join(layout.graph_root, f"{layout.driver}-images")))
    if layout.image_store:  # others may use it as an additional store of theirs
        found.append(Place(layout.image_store, exact=False))
    return found


def _locks(snapshot: StoreSnapshot) -> list[tuple[str, str]]:
    """Every lock file, and the file whose changes it guards: where that is, the lock was."""
    layout = snapshot.layout
    found = [(layout.storage_lock, ""), (layout.userns_lock, "")]
    for place in snapshot.context.places.values():
        files = list(place.files.values())
        found += [(lock, _beside(lock, files)) for lock in place.locks]
    return [*found, (layout.mountpoints_lock, layout.mountpoints)]


def _beside(lock: str, files: list[str]) -> str:
    folder = os.path.dirname(lock)
    return next((path for path in files if os.path.dirname(path) == folder), "")


def _owner_of(path: str) -> int:
    try:
        return os.stat(path).st_uid
    except OSError:
        return -1


def _directory(place: Place, owner: int) -> Iterator[Finding]:
    try:
        status = os.stat(place.path)
    except FileNotFoundError:
        if os.path.islink(place.path):
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
    sticky = bool(mode & stat.S_ISVTX)  # a root in /tmp-like company
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
        if neighbour and os.path.lexists(neighbour):
            sentence = f"the lock file for {os.path.basename(neighbour)} is missing"
            yield of_store("lock-missing", path, sentence, guards=neighbour)
        return
    except OSError:
        return  # its directory is the finding
    if stat.S_ISLNK(status.st_mode):
        yield of_store("lock-wrong", path, "it is a symbolic link", problem="link")
    elif not stat.S_ISREG(status.st_mode):
        yield of_store("lock-wrong", path, "it is not a regular file", problem="kind")
