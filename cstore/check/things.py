"""Files and directories of a store, below its top directories, in whose place something of another type stands."""

from __future__ import annotations

import os

from cstore.check.findings import Finding, of_store
from cstore.errors import ForeignThing
from cstore.fs import within
from cstore.ids import flaw_of_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.census import Census

_JOURNAL = ".replacing.json"


def thing_findings(census: Census) -> Iterator[Finding]:
    """Everything of another type than it must be; none of it is opened. Other findings tell of records and locks."""
    for top, name in _folders(census):
        yield from _folder(top, name)
    for top, name in _files(census):
        yield from _file(top, name)


def _folders(census: Census) -> Iterator[tuple[str, str]]:
    layout = census.layout
    homes = [layout.driver_home]
    if layout.image_store:
        homes.append(os.path.join(layout.image_store, os.path.basename(layout.driver_home)))
    for home in homes:
        yield from ((home, name) for name in ("tempdirs", "staging", "dir"))
    yield layout.layers, "tmp"
    for layer in census.layers.ids():
        if not flaw_of_part(layer):
            yield layout.layers, layer
            yield from ((home, layer) for home in homes)
            yield from ((home, f"dir/{layer}") for home in homes)
    for top, items in ((layout.images, census.images.ids()), (layout.containers, census.containers.ids())):
        run = os.path.join(layout.run_root, os.path.basename(top))
        for item in items:
            if not flaw_of_part(item):
                yield from ((place, name) for place in (top, run) for name in (item, f"{item}/userdata"))


def _files(census: Census) -> Iterator[tuple[str, str]]:
    layout = census.layout
    yield layout.driver_home, ".has-mount-program"
    yield os.path.split(layout.container_journal)
    for layer in census.layers.ids():
        if not flaw_of_part(layer):
            yield layout.layers, layer + _JOURNAL


def _folder(top: str, name: str) -> Iterator[Finding]:
    try:
        within.require_directory(top, name, missing=True)
    except ForeignThing as error:
        yield _finding(error)
    except OSError:
        return  # another finding tells of its top directory


def _file(top: str, name: str) -> Iterator[Finding]:
    try:
        fd = within.open_file(top, name, limit=within.SMALL)
    except ForeignThing as error:
        if not (name.endswith(_JOURNAL) and error.found == "a directory"):  # the data of a layer with such an ID
            yield _finding(error)
    except OSError:
        return
    else:
        os.close(fd)


def _finding(error: ForeignThing) -> Finding:
    return of_store("thing-wrong", error.path, f"it is {error.found}, and should be {error.wanted}", found=error.found)
