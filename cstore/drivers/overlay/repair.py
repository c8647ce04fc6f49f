"""Recreate a layer's `link`, `lower`, `work` and short link: the counterpart of inspect.py."""

from __future__ import annotations

import os

from cstore import presence
from cstore.contexts import suppress
from cstore.drivers.overlay.inspect import runs_through
from cstore.drivers.overlay.lower import (
    DEEPEST,
    Homes,
    Place,
    link_of,
    links_to,
    make_link,
    write_link_file,
)
from cstore.drivers.overlay.making import sync_home, sync_layer
from cstore.drivers.overlay.options import NAME, read_options
from cstore.errors import CstoreError, DriverError, SystemFailure
from cstore.fs import within
from cstore.fs.atomic import sync_directory, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.drivers.registry import DriverPlace
    from cstore.drivers.repairing import DriverRepair

_LINK_MODE = 0o644


class OverlayDriverRepair:
    """The repair of one store's homes."""

    def __init__(self, place: DriverPlace) -> None:
        self._homes = Homes(place.home, place.image_home, read_options(place.options).stores)
        self._sync = place.sync

    def parent_of(self, layer: str) -> str | None:
        """See `DriverRepair.parent_of`."""
        try:
            place = self._homes.find(layer)
            names = place.lower_names()
        except CstoreError:
            return None
        if not names:
            return "" if within.is_directory(place.home, f"{layer}/empty") else None
        found = self._homes.behind(names[0]) or self._homes.search(names[0])
        return None if found is None else found.layer

    def age_of(self, layer: str) -> float:
        """See `DriverRepair.age_of`: nothing touches the `link` file after a layer's creation."""
        for part in ("link", "work", ""):
            with suppress(OSError, CstoreError):
                return os.lstat(os.path.join(self._homes.find(layer).path, part)).st_mtime
        return 0.0

    def belongings(self, layer: str) -> list[str]:
        """See `DriverRepair.belongings`."""
        place = self._homes.find(layer)
        folder = os.path.join(place.home, "l")
        target = f"../{layer}/diff"
        links = []
        with suppress(OSError, CstoreError):
            for name in sorted(within.list_directory(place.home, "l")):
                path = os.path.join(folder, name)
                if presence.is_link(path) and os.readlink(path) == target:
                    links.append(path)
        return [*links, place.path]

    def whole_of(self, tree: str) -> str:
        """See `DriverRepair.whole_of`."""
        return os.path.dirname(tree)

    def take_identity(self, tree: str, layer: str) -> None:
        """See `DriverRepair.take_identity`: children refer to the layer by its short link, which may outlive it."""
        place = self._homes.look_up(layer)
        places = [Place(home, layer) for home in self._homes.writable]
        own = "" if place is None or place.home not in self._homes.writable else link_of(place)
        link = own or next((name for each in places for name in links_to(each)), "")
        if link:
            write_file(os.path.join(os.path.dirname(tree), "link"), link.encode(), mode=_LINK_MODE, sync=self._sync)
        if self._sync:
            sync_layer(os.path.dirname(tree))

    def wrong_links(self, layer: str) -> list[str]:
        """See `DriverRepair.wrong_links`."""
        place = self._own(layer)
        path = os.path.join(place.path, "link")
        folder = os.path.join(place.home, "l")
        aside = [folder] if presence.is_there(folder) and not within.is_directory(place.home, "l") else []
        if not within.is_file(place.home, f"{layer}/link"):
            return [*aside, path]
        if aside:
            return aside
        name = link_of(place)
        holder = self._homes.behind(name) if name else None
        if not name or (holder is not None and holder.link == name and holder.layer != layer):
            return [path]  # it is damaged, or names the short link of another layer
        return [] if place.short else [os.path.join(place.home, "l", name)]

    def mend_links(self, layer: str) -> list[str]:
        """See `DriverRepair.mend_links`."""
        place = self._own(layer)
        made = []
        try:
            if not place.link:
                write_link_file(place)
                made.append(os.path.join(place.path, "link"))
            short = os.path.join(place.home, "l", place.link)
            if not presence.is_there(folder := os.path.dirname(short)):
                made.append(folder)  # make_link creates it
            if not place.short:
                make_link(place, place.link)
                made.append(short)
            if made and self._sync:
                sync_home(place.home)
        except OSError as error:
            raise SystemFailure("repair the links of", place.path, error) from error
        return made

    def mend_parts(self, layer: str, ancestors: Sequence[str]) -> list[str]:
        """See `DriverRepair.mend_parts`."""
        place = self._own(layer)
        made = []
        below: list[str] = []
        if ancestors:
            with suppress(CstoreError):  # a damaged `lower` file names no ancestors
                below = [self._homes.owner_of(name) for name in place.lower_names()]
        if ancestors and not runs_through(below, ancestors):
            path = os.path.join(place.path, "lower")
            write_file(path, self._lower(layer, ancestors).encode(), mode=_LINK_MODE, sync=self._sync)
            made.append(path)
        for name in ("work", "merged") if ancestors else ("work", "merged", "empty"):
            path = os.path.join(place.path, name)
            try:
                within.mkdir(path, 0o700)
                made.append(path)
            except FileExistsError:
                continue
            except OSError as error:
                raise SystemFailure("create", path, error) from error
        if made and self._sync:
            sync_directory(place.path)
        return made

    def _lower(self, layer: str, ancestors: Sequence[str]) -> str:
        if len(ancestors) > DEEPEST:
            count = len(ancestors)
            raise DriverError(NAME, f"layer {layer} has {count} ancestors; the kernel mounts {DEEPEST} at most")
        links = []
        for ancestor in ancestors:
            link = self._homes.find(ancestor).link
            if not link:
                raise DriverError(NAME, f"layer {ancestor}, below layer {layer}, has no short link")
            links.append(f"l/{link}")
        return ":".join(links)

    def _own(self, layer: str) -> Place:
        place = self._homes.find(layer)
        if place.home not in self._homes.writable:
            raise DriverError(NAME, f"layer {layer} is in {place.home}, which is read-only")
        return place


if TYPE_CHECKING:
    _: type[DriverRepair] = OverlayDriverRepair
