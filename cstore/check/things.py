"""Files and directories of a store, below its top directories, in whose place something of another type stands."""

from __future__ import annotations

import os

from cstore.check.findings import Finding, of_store
from cstore.drivers.staging import OWN
from cstore.errors import ForeignThing
from cstore.fs import within
from cstore.ids import flaw_of_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.snapshot import StoreSnapshot

_JOURNAL = ".replacing.json"
_PARTS = ("merged", "empty", "mapped", "work/work")
"""Directories of a layer of overlay; other findings tell of `diff` and `work`."""


def thing_findings(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Everything of another type than it must be; none of it is opened. Other findings tell of records and locks."""
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
        if error.path == os.path.join(top, name):  # what is on the way to it is a finding of its own
            yield _finding(error)
    except OSError:
        return  # another finding tells of its top directory


def _file(top: str, name: str) -> Iterator[Finding]:
    try:
        fd = within.open_file(top, name, limit=within.SMALL)
    except ForeignThing as error:
        odd = name.endswith(_JOURNAL) and error.found == "a directory"  # the data of a layer with such an ID
        if error.path == os.path.join(top, name) and not odd:
            yield _finding(error)
    except OSError:
        return
    else:
        os.close(fd)


def _finding(error: ForeignThing) -> Finding:
    return of_store("thing-wrong", error.path, f"it is {error.found}, and should be {error.wanted}", found=error.found)
