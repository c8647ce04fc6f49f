"""Finds layers and their ancestors: short links, `lower` files, and repair of links (drivers 7.1, 7.12).

    HOME/l/<26 characters>  ──►  ../<layer>/diff
    HOME/<layer>/link            the 26 characters
    HOME/<layer>/lower           l/AAA:l/BBB:…  all ancestors, nearest first

The links are short because all of them once had to fit into one page of mount options. Nothing in these files is
believed: a name that is no link name, and a link that leads anywhere but to a layer's `diff`, is damage.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.contexts import suppress
from cstore.drivers.lost import directory_lost
from cstore.drivers.overlay.options import NAME
from cstore.fs import within
from cstore.fs.writable import on_read_only_media
from cstore.ids import check_part
from cstore.layout import COMPOSEFS_IMAGE
from cstore.values import Value, cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RESERVED = frozenset({"l", "staging", "tempdirs", "backingFsBlockDev", ".has-mount-program"})
"""Names in a home that are not layers."""
DEEPEST = 500
"""Ancestors that a layer can have."""

_LINK_LENGTH = 26
_LINK_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Place(Value):
    """The directory of one layer. `foreign`: not in the store's own home, or on read-only media; never written to."""

    home: str
    layer: str
    foreign: bool = False

    @property
    def path(self) -> str:
        """The layer's directory."""
        return os.path.join(self.home, self.layer)

    @property
    def diff(self) -> str:
        """The directory with the layer's changes."""
        return os.path.join(self.home, self.layer, "diff")

    @property
    def tree(self) -> str:
        """The path of the layer's changes: its image if it is a composefs layer, otherwise its `diff`, here or far."""
        if self.is_composefs:
            return os.path.join(self.path, COMPOSEFS_IMAGE)
        return os.path.join(self.far, "diff") if self.is_additional else self.diff

    @property
    def far(self) -> str:
        """Where a layer of an additional layer store is kept, "" for any other."""
        return _read(self.home, f"{self.layer}/additionallayer").rstrip("\n")

    @property
    def is_composefs(self) -> bool:
        """Whether the layer is an image of its tree, and its `diff` holds the contents of files by digest."""
        return within.is_file(self.home, f"{self.layer}/{COMPOSEFS_IMAGE}")

    @property
    def has_contents(self) -> bool:
        """Whether what the layer changes is there; of a layer of an additional layer store it is somewhere else."""
        return within.is_directory(self.home, f"{self.layer}/diff") or self.is_additional

    @property
    def is_additional(self) -> bool:
        """Whether the layer is one of an additional layer store: a file of that name says which."""
        return within.is_file(self.home, f"{self.layer}/additionallayer")

    def require_diff(self) -> None:
        """Check that `diff` is a directory. Does not report that it is missing.

        Raises:
            ForeignThing: it is not.
        """
        within.require_directory(self.home, f"{self.layer}/diff", missing=True)

    @property
    def merged(self) -> str:
        """Where the layer is mounted."""
        return os.path.join(self.home, self.layer, "merged")

    @property
    def link(self) -> str:
        """The name of the layer's short link, "" if its file is missing or holds something else."""
        text = _read(self.home, f"{self.layer}/link").rstrip("\n")
        return text if _is_link_name(text) else ""

    def lower_names(self) -> list[str]:
        """The short links of all ancestors, nearest first.

        Raises:
            DriverError: the `lower` file holds something else.
        """
        text = _read(self.home, f"{self.layer}/lower").strip()
        names = [part.removeprefix("l/") for part in text.split(":")] if text else []
        for name in names:
            if not _is_link_name(name):
                raise errors.DriverError(
                    NAME,
                    f"layer {self.layer}: its file {os.path.join(self.path, 'lower')} names {name!r}, not a short link",
                    hint="cstore repair heals it",
                )
        return names

    @property
    def short(self) -> str:
        """The path of the short link, "" if it does not lead to the layer."""
        link = self.link
        try:
            leads_here = bool(link) and within.read_link(self.home, f"l/{link}") == f"../{self.layer}/diff"
        except (errors.CstoreError, OSError):
            return ""
        return os.path.join(self.home, "l", link) if leads_here else ""

    def rotated(self) -> list[str]:
        """Directories `diff1`, `diff2` …: what the layer was before its owners were rewritten."""
        found: list[str] = []
        while within.is_directory(self.home, f"{self.layer}/diff{len(found) + 1}"):
            found.append(f"{self.diff}{len(found) + 1}")
        return found


class Homes:
    """The store's own home and those that it may read."""

    def __init__(self, own: str, image_home: str, stores: Sequence[str]) -> None:
        self.own = own
        self.writable = [own, image_home] if image_home else [own]
        self._foreign = [os.path.join(store, NAME) for store in stores]

    @cached_property
    def _is_read_only(self) -> bool:
        """Whether the own home is on read-only media, and must be treated as another store's."""
        return on_read_only_media(self.own)

    def __iter__(self) -> Iterator[str]:
        yield from self.writable
        yield from self._foreign

    def look_up(self, layer: str, *, certain: bool = False) -> Place | None:
        """Find a layer, in the own home first.

        Raises:
            UnsafeID: the ID, which a record may hold, would lead out of the homes.
            SystemFailure: its existence is unknown, and the answer must be `certain`.
        """
        if check_part(layer) in RESERVED:
            return None
        places = (Place(home, layer, home != self.own or self._is_read_only) for home in self)
        try:
            found = (place for place in places if within.is_directory(place.home, place.layer, certain=certain))
            return next(found, None)
        except OSError as error:
            raise errors.SystemFailure("look at", layer, error) from None

    def find(self, layer: str) -> Place:
        """Find a layer.

        Raises:
            DriverError: it is nowhere.
        """
        place = self.look_up(layer)
        if place is None:
            own = os.path.join(self.own, layer)
            raise directory_lost(NAME, layer, list(self), f"stat {own}: no such file or directory")
        return place

    def layers(self) -> list[str]:
        """The layers of the homes that are the store's own, sorted.

        Raises:
            SystemFailure: a home cannot be read.
        """
        found: set[str] = set()
        for home in self.writable:
            found.update(layers_in(home))
        return sorted(found)

    def behind(self, name: str) -> Place | None:
        """Return the layer of a short link; None if the link is missing, dangling, or leads elsewhere.

        A layer that names another link as its own counts as elsewhere.
        """
        for home in self:
            place = self._target(home, name)
            if place is not None and link_of(place) in {"", name} and place.has_contents:
                return place
        return None

    def _target(self, home: str, name: str) -> Place | None:
        try:
            parts = within.read_link(home, f"l/{name}").split("/")
        except (errors.CstoreError, OSError):
            return None
        if len(parts) != 3 or (parts[0], parts[2]) != ("..", "diff"):
            return None
        layer = parts[1]
        return None if layer in RESERVED or layer in {"", ".", ".."} else Place(home, layer, home != self.own)

    def search(self, name: str) -> Place | None:
        """Find the layer whose `link` file holds `name`, though no link leads there. Slow, and writes nothing."""
        return next((place for place in self._linked(name) if place.has_contents), None)

    def owner_of(self, name: str) -> str:
        """Return the layer of a short link, even if its contents are missing; "" if unknown."""
        for home in self:
            place = self._target(home, name)
            if place is not None and link_of(place) in {"", name}:
                return place.layer
        return next((place.layer for place in self._linked(name)), "")

    def _linked(self, name: str) -> Iterator[Place]:
        for home in self:
            for layer in layers_in(home):
                place = Place(home, layer, home != self.own)
                if link_of(place) == name:
                    yield place

    def ancestors(self, place: Place) -> list[Place]:
        """All layers below `place`, nearest first. Writes nothing; a missing link is got over.

        Raises:
            DriverError: one of them is gone, or there are more than DEEPEST.
        """
        names = place.lower_names()
        if len(names) > DEEPEST:
            raise errors.DriverError(
                NAME,
                f"layer {place.layer} has {len(names)} ancestors; the kernel mounts {DEEPEST} at most",
                hint="squash some of the layers into one",
                go_text="max depth exceeded",
            )
        return [self._ancestor(place, name) for name in names]

    def _ancestor(self, place: Place, name: str) -> Place:
        found = self.behind(name) or self.search(name)
        if found is None:
            raise errors.DriverError(
                NAME,
                f"layer {place.layer} needs the short link {name}, which no layer has",
                hint="run cstore repair; if an ancestor is lost, or in a store not configured here, with --from SOURCE",
                go_text=f'can\'t stat lower layer "{os.path.join(self.own, "l", name)}"',
            )
        return found

    def known_ancestors(self, place: Place) -> list[Place]:
        """Those of the layers below `place` that can be found at once, for who can do with some."""
        return [found for found in map(self.behind, place.lower_names()) if found is not None]

    def is_parent(self, place: Place, base: str | None) -> bool:
        """Whether the layer was made directly on `base`, or, without `base`, on nothing."""
        names = place.lower_names()
        if base is None or not names:
            return base is None and not names
        found = self.behind(names[0]) or self.search(names[0])
        return found is not None and found.layer == base


def link_of(place: Place) -> str:
    """Return the name of a layer's short link; "" if its file is missing or of another type."""
    try:
        return place.link
    except errors.CstoreError:
        return ""


def _is_link_name(text: str) -> bool:
    return len(text) == _LINK_LENGTH and not text.strip(_LINK_LETTERS)


def new_link_name() -> str:
    """A random name for a short link."""
    return "".join(_LINK_LETTERS[byte % len(_LINK_LETTERS)] for byte in os.urandom(_LINK_LENGTH))


def make_link(place: Place, name: str) -> None:
    """Make the short link `name` lead to the layer; replaces an existing file.

    Raises:
        ForeignThing: the directory of short links is of another type.
        OSError: as symlink(2).
    """
    target = f"../{place.layer}/diff"
    _make_folder(place.home)
    with within.parent_of(place.home, f"l/{name}") as (folder, _):
        try:
            os.symlink(target, name, dir_fd=folder)
        except FileExistsError:
            if os.readlink(name, dir_fd=folder) != target:
                os.unlink(name, dir_fd=folder)
                os.symlink(target, name, dir_fd=folder)


def _make_folder(home: str) -> None:
    """Make the directory of short links, unless something is there."""
    folder = os.path.join(home, "l")
    if os.path.lexists(folder):
        return  # if it is not a directory, the next access reports it
    with suppress(FileExistsError):
        within.mkdir(folder, 0o755)
        fd = within.open_folder(folder, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchmod(fd, 0o755)  # the Go tool has it so, and the home above it is closed
        finally:
            os.close(fd)


def mend_links(homes: Homes, place: Place) -> None:
    """Make what is missing of the short links between a layer and its ancestors. Only links of own homes are made.

    Nothing is removed, because what a wrong link was meant for is unknown.

    Raises:
        SystemFailure: a link cannot be made.
    """
    if place.foreign:
        return
    try:
        if not place.link:
            write_link_file(place)
        for name in (place.link, *place.lower_names()):
            found = None if homes.behind(name) else homes.search(name)
            if found is not None and not found.foreign:
                make_link(found, name)
    except OSError as error:
        raise errors.SystemFailure("mend the links of", place.path, error) from error


def write_link_file(place: Place) -> None:
    """Say again which short link is the layer's: the one that leads to it, or a new one."""
    from cstore.fs.atomic import write_file

    name = next(links_to(place), "") or new_link_name()
    write_file(os.path.join(place.path, "link"), name.encode(), mode=0o644)


def links_to(place: Place) -> Iterator[str]:
    """The short links that lead to a layer, whether or not it is there, sorted."""
    present = within.list_directory(place.home, "l") if within.is_directory(place.home, "l") else []
    for name in sorted(filter(_is_link_name, present)):
        with suppress(OSError):
            if within.read_link(place.home, f"l/{name}") == f"../{place.layer}/diff":
                yield name


def layers_in(home: str) -> list[str]:
    """Return the names of the layers' directories in a home, unsorted; empty if there is no home.

    Raises:
        SystemFailure: it cannot be read.
    """
    try:
        with os.scandir(home) as entries:
            return [
                entry.name for entry in entries if entry.name not in RESERVED and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise errors.SystemFailure("list the layers in", home, error) from error


def _read(home: str, relative: str) -> str:
    """Read a small text file; "" if it does not exist."""
    try:
        return within.read_small(home, relative).decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise errors.SystemFailure("read", os.path.join(home, relative), error) from error
