"""Find layers and their lower layers by short links and `lower` files, and repair links (drivers 7.1, 7.12).

    HOME/l/<26 characters>  ──►  ../<layer>/diff
    HOME/<layer>/link            the 26 characters
    HOME/<layer>/lower           l/AAA:l/BBB:…  all ancestors, nearest first

The links are short because all of them once had to fit into one page of mount options. These files are not trusted: a
name that is not a valid link name, or a link that leads anywhere but to a layer's `diff`, is damage.
"""

from __future__ import annotations

import errno
import os

from cstore import errors, presence
from cstore.contexts import suppress
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
"""The maximum number of ancestors of a layer."""

_LINK_LENGTH = 26
_LINK_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Place(Value):
    """The directory of one layer. `foreign`: in another home, or on read-only media, so it is never written."""

    home: str
    layer: str
    foreign: bool = False

    @property
    def path(self) -> str:
        """The layer's directory."""
        return os.path.join(self.home, self.layer)

    @property
    def diff(self) -> str:
        """The directory of the layer's changes."""
        return os.path.join(self.home, self.layer, "diff")

    @property
    def tree(self) -> str:
        """The layer's files by name: its image if it is a composefs layer, else its `diff`, here or on the far side."""
        if self.is_composefs:
            return os.path.join(self.path, COMPOSEFS_IMAGE)
        return os.path.join(self.far, "diff") if self.is_additional else self.diff

    @property
    def far(self) -> str:
        """The far side of a layer of an additional layer store; "" for any other layer."""
        return _read(self.home, f"{self.layer}/additionallayer").rstrip("\n")

    @property
    def is_composefs(self) -> bool:
        """Whether the layer has an image of its tree, and content files named by digest in its `diff`."""
        return within.is_file(self.home, f"{self.layer}/{COMPOSEFS_IMAGE}")

    @property
    def has_contents(self) -> bool:
        """Whether the directory of the layer's changes exists; true for an additional layer, which has it elsewhere."""
        return within.is_directory(self.home, f"{self.layer}/diff") or self.is_additional

    @property
    def is_additional(self) -> bool:
        """Whether the layer belongs to an additional layer store, which its file `additionallayer` names."""
        return within.is_file(self.home, f"{self.layer}/additionallayer")

    def require_diff(self) -> None:
        """Check that `diff` is a directory. A missing `diff` is no error here.

        Raises:
            ForeignThing: `diff` is something else.
        """
        within.require_directory(self.home, f"{self.layer}/diff", missing=True)

    @property
    def merged(self) -> str:
        """The mount point of the layer."""
        return os.path.join(self.home, self.layer, "merged")

    @property
    def link(self) -> str:
        """The name of the layer's short link; "" if its file is missing or invalid."""
        text = _read(self.home, f"{self.layer}/link").rstrip("\n")
        return text if _is_link_name(text) else ""

    def lower_names(self) -> list[str]:
        """Return the short links of all ancestors, nearest first.

        Raises:
            DriverError: the `lower` file is invalid.
        """
        text = _read(self.home, f"{self.layer}/lower").strip()
        names = [part.removeprefix("l/") for part in text.split(":")] if text else []
        for name in names:
            if not _is_link_name(name):
                raise errors.DriverError(
                    NAME,
                    f"layer {self.layer}: its file {os.path.join(self.path, 'lower')} names {name!r}, not a short link",
                    hint="run cstore repair",
                )
        return names

    @property
    def short(self) -> str:
        """The path of the short link; "" if it does not lead to the layer."""
        link = self.link
        leads_here = bool(link) and read_short(self.home, link) == f"../{self.layer}/diff"
        return os.path.join(self.home, "l", link) if leads_here else ""

    def rotated(self) -> list[str]:
        """Return the directories `diff1`, `diff2` …: the layer's contents before its owners were rewritten."""
        found: list[str] = []
        while within.is_directory(self.home, f"{self.layer}/diff{len(found) + 1}"):
            found.append(f"{self.diff}{len(found) + 1}")
        return found


class Homes:
    """The store's own home, and those that it may only read."""

    def __init__(self, own: str, image_home: str, stores: Sequence[str]) -> None:
        self.own = own
        self.writable = [own, image_home] if image_home else [own]
        self._foreign = [os.path.join(store, NAME) for store in stores]

    @cached_property
    def _is_read_only(self) -> bool:
        """Whether the own home is on read-only media, so that its layers count as foreign."""
        return on_read_only_media(self.own)

    def __iter__(self) -> Iterator[str]:
        yield from self.writable
        yield from self._foreign

    def look_up(self, layer: str) -> Place | None:
        """Find a layer, in the own home first.

        Raises:
            UnsafeID: the ID, which may come from a record, would lead out of the homes.
            SystemFailure: a home cannot be examined.
        """
        if check_part(layer) in RESERVED:
            return None
        places = (Place(home, layer, home != self.own or self._is_read_only) for home in self)
        return next((place for place in places if within.is_directory(place.home, place.layer)), None)

    def find(self, layer: str) -> Place:
        """Find a layer.

        Raises:
            DriverError: no home has the layer.
        """
        place = self.look_up(layer)
        if place is None:
            from cstore.drivers.contract import directory_lost

            own = os.path.join(self.own, layer)
            raise directory_lost(NAME, layer, list(self), f"stat {own}: no such file or directory")
        return place

    def layers(self) -> list[str]:
        """Return the layers in the store's own homes, sorted.

        Raises:
            SystemFailure: a home cannot be read.
        """
        found: set[str] = set()
        for home in self.writable:
            found.update(layers_in(home))
        return sorted(found)

    def behind(self, name: str) -> Place | None:
        """Return the layer of a short link; None if the link is missing or wrong, or the layer has no contents.

        A layer whose `link` file names another short link does not count.
        """
        for home in self:
            place = self._target(home, name)
            if place is not None and link_of(place) in {"", name} and place.has_contents:
                return place
        return None

    def _target(self, home: str, name: str) -> Place | None:
        parts = read_short(home, name).split("/")
        if len(parts) != 3 or (parts[0], parts[2]) != ("..", "diff"):
            return None
        layer = parts[1]
        return None if layer in RESERVED or layer in {"", ".", ".."} else Place(home, layer, home != self.own)

    def search(self, name: str) -> Place | None:
        """Find the layer whose `link` file has `name`, without the link itself. Slow; writes nothing."""
        return next((place for place in self._linked(name) if place.has_contents), None)

    def owner_of(self, name: str) -> str:
        """Return the layer of a short link, whether or not its contents exist; "" if it is unknown."""
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
        """Return all layers below `place`, nearest first. Missing links are tolerated; nothing is written.

        Raises:
            DriverError: one of them is missing, or there are more than DEEPEST.
        """
        names = place.lower_names()
        if len(names) > DEEPEST:
            raise errors.DriverError(
                NAME,
                f"layer {place.layer} has {len(names)} ancestors; the kernel mounts {DEEPEST} at most",
                hint="squash some of the layers into one",
                go_text="max depth exceeded",
            )
        places = []
        for name in names:
            found = self.behind(name) or self.search(name)
            if found is None:
                raise errors.DriverError(
                    NAME,
                    f"layer {place.layer} needs the short link {name}, which no layer has",
                    hint="run cstore repair; if an ancestor is lost, or in a store not configured here, "
                    "with --from SOURCE",
                    go_text=f'can\'t stat lower layer "{os.path.join(self.own, "l", name)}"',
                )
            places.append(found)
        return places

    def known_ancestors(self, place: Place) -> list[Place]:
        """Return the layers below `place` whose short links are intact, for callers that do not need all of them."""
        return [found for found in map(self.behind, place.lower_names()) if found is not None]

    def is_parent(self, place: Place, base: str | None) -> bool:
        """Return whether `base` is the layer's parent; without `base`, whether it has no parent."""
        names = place.lower_names()
        if base is None or not names:
            return base is None and not names
        found = self.behind(names[0]) or self.search(names[0])
        return found is not None and found.layer == base


def read_short(home: str, name: str) -> str:
    """Return the target of a short link; "" if it is missing or not a symbolic link.

    Raises:
        SystemFailure: it cannot be read.
    """
    try:
        return within.read_link(home, f"l/{name}")
    except errors.ForeignThing:
        return ""
    except OSError as error:
        if error.errno != errno.EINVAL:
            presence.mode_despite(error, os.path.join(home, "l", name))
        return ""


def link_of(place: Place) -> str:
    """Return the name of a layer's short link; "" if its file is missing, invalid or not a file."""
    try:
        return place.link
    except errors.CstoreError:
        return ""


def _is_link_name(text: str) -> bool:
    return len(text) == _LINK_LENGTH and not text.strip(_LINK_LETTERS)


def new_link_name() -> str:
    """Return a random name for a short link."""
    return "".join(_LINK_LETTERS[byte % len(_LINK_LETTERS)] for byte in os.urandom(_LINK_LENGTH))


def make_link(place: Place, name: str) -> None:
    """Make the short link `name` lead to the layer, replacing another link with that name.

    Raises:
        ForeignThing: the directory of short links is of another type.
        OSError: as symlink(2).
    """
    target = f"../{place.layer}/diff"
    links = os.path.join(place.home, "l")
    if not presence.is_there(links):  # if it is not a directory, the next step fails
        with suppress(FileExistsError):
            within.mkdir(links, 0o755)
            fd = within.open_folder(links, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fchmod(fd, 0o755)  # as the Go tool does; the home itself is private
            finally:
                os.close(fd)
    with within.parent_of(place.home, f"l/{name}") as (folder, _):
        try:
            os.symlink(target, name, dir_fd=folder)
        except FileExistsError:
            if os.readlink(name, dir_fd=folder) != target:
                os.unlink(name, dir_fd=folder)
                os.symlink(target, name, dir_fd=folder)


def mend_links(homes: Homes, place: Place) -> None:
    """Recreate missing short links of a layer and its ancestors. Only links in the store's own homes are created.

    Nothing is removed, because the purpose of a wrong link is unknown.

    Raises:
        SystemFailure: a link cannot be created.
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
        raise errors.SystemFailure("repair the links of", place.path, error) from error


def write_link_file(place: Place) -> None:
    """Rewrite a layer's `link` file with the short link that leads to it, or a new name."""
    from cstore.fs.atomic import write_file

    name = next(links_to(place), "") or new_link_name()
    write_file(os.path.join(place.path, "link"), name.encode(), mode=0o644)


def links_to(place: Place) -> Iterator[str]:
    """Yield the short links that lead to a layer, which need not exist, sorted."""
    for name in filter(_is_link_name, within.names_in(place.home, "l")):
        if read_short(place.home, name) == f"../{place.layer}/diff":
            yield name


def layers_in(home: str) -> list[str]:
    """Return the names of the layer directories in a home, unsorted; none if the home does not exist.

    Raises:
        SystemFailure: the home cannot be read.
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
