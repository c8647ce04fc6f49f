"""Where layers are, and what lies beneath each: short links, `lower` files, and mending of links (drivers 7.1, 7.12).

    HOME/l/<26 characters>  ──►  ../<layer>/diff
    HOME/<layer>/link            the 26 characters
    HOME/<layer>/lower           l/AAA:l/BBB:…  all ancestors, nearest first

The links are short because all of them once had to fit into one page of mount options. Nothing in these files is
believed: a name that is no link name, and a link that leads anywhere but to a layer's `diff`, is damage.
"""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.drivers.overlay.options import NAME
from cstore.errors import DriverError, SystemFailure
from cstore.fs.atomic import TEMPORARY_PREFIX
from cstore.ids import check_part
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RESERVED = frozenset({"l", "staging", "tempdirs", "backingFsBlockDev", ".has-mount-program"})
"""Names in a home that are no layers."""
DEEPEST = 500
"""Ancestors that a layer can have."""

_LINK_LENGTH = 26
_LINK_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_RANDOM_BYTES = 17  # 136 bits, of which 26 characters take 130


class Place(Value):
    """The directory of one layer. `foreign`: not in the store's own home, and never to be written to."""

    home: str
    layer: str
    foreign: bool = False

    @property
    def path(self) -> str:
        """The layer's directory."""
        return os.path.join(self.home, self.layer)

    @property
    def diff(self) -> str:
        """What the layer changes."""
        return os.path.join(self.home, self.layer, "diff")

    @property
    def has_contents(self) -> bool:
        """Whether what the layer changes is there; of a layer of an additional layer store it is somewhere else."""
        return os.path.isdir(self.diff) or self.is_additional

    @property
    def is_additional(self) -> bool:
        """Whether the layer is one of an additional layer store: a file of that name says which."""
        return os.path.lexists(os.path.join(self.path, "additionallayer"))

    @property
    def merged(self) -> str:
        """Where the layer is mounted."""
        return os.path.join(self.home, self.layer, "merged")

    @property
    def link(self) -> str:
        """The name of the layer's short link, "" if its file is missing or holds something else."""
        text = _read(os.path.join(self.path, "link")).rstrip("\n")
        return text if _is_link_name(text) else ""

    def lower_names(self) -> list[str]:
        """The short links of all ancestors, nearest first.

        Raises:
            DriverError: the `lower` file holds something else.
        """
        text = _read(os.path.join(self.path, "lower")).strip()
        names = [part.removeprefix("l/") for part in text.split(":")] if text else []
        for name in names:
            if not _is_link_name(name):
                raise DriverError(
                    NAME,
                    f"layer {self.layer}: its file {os.path.join(self.path, 'lower')} names {name!r}, which is no link",
                    hint="cstore repair heals it",
                )
        return names

    @property
    def short(self) -> str:
        """The path of the short link, "" if it does not lead to the layer."""
        link = self.link
        path = os.path.join(self.home, "l", link)
        try:
            return path if link and os.readlink(path) == f"../{self.layer}/diff" else ""
        except OSError:
            return ""

    def rotated(self) -> list[str]:
        """Directories `diff1`, `diff2` …: what the layer was before its owners were rewritten."""
        found: list[str] = []
        while os.path.isdir(path := f"{self.diff}{len(found) + 1}"):
            found.append(path)
        return found


class Homes:
    """The store's own home and those that it may read."""

    def __init__(self, own: str, image_home: str, stores: Sequence[str]) -> None:
        self.own = own
        self.writable = [own, image_home] if image_home else [own]
        self._foreign = [os.path.join(store, NAME) for store in stores]

    def __iter__(self) -> Iterator[str]:
        yield from self.writable
        yield from self._foreign

    def look_up(self, layer: str) -> Place | None:
        """Find a layer, in the own home first.

        Raises:
            UnsafeID: the ID, which a record may hold, would lead out of the homes.
        """
        if check_part(layer) in RESERVED:
            return None
        places = (Place(home, layer, home != self.own) for home in self)
        return next((place for place in places if os.path.isdir(place.path)), None)

    def find(self, layer: str) -> Place:
        """Find a layer.

        Raises:
            DriverError: it is nowhere.
        """
        place = self.look_up(layer)
        if place is None:
            raise DriverError(
                NAME,
                f"layer {layer} has no directory in {self.own}",
                hint="its contents are lost; cstore delete-layer removes the record",
                peer=f"stat {os.path.join(self.own, layer)}: no such file or directory",
            )
        return place

    def layers(self) -> list[str]:
        """The layers of the homes that are the store's own, sorted.

        Raises:
            SystemFailure: a home cannot be read.
        """
        found: set[str] = set()
        for home in self.writable:
            found.update(_layers_in(home))
        return sorted(found)

    def behind(self, name: str) -> Place | None:
        """The layer that a short link stands for; None if the link is missing, leads elsewhere, or to nothing.

        A layer that says that another link is its own is elsewhere.
        """
        for home in self:
            place = self._target(home, name)
            if place is not None and place.link in {"", name} and place.has_contents:
                return place
        return None

    def _target(self, home: str, name: str) -> Place | None:
        try:
            parts = os.readlink(os.path.join(home, "l", name)).split("/")
        except OSError:
            return None
        if len(parts) != 3 or (parts[0], parts[2]) != ("..", "diff"):
            return None
        layer = parts[1]
        return None if layer in RESERVED or layer in {"", ".", ".."} else Place(home, layer, home != self.own)

    def search(self, name: str) -> Place | None:
        """Find the layer whose `link` file holds `name`, though no link leads there. Slow, and writes nothing."""
        for home in self:
            for layer in _layers_in(home):
                place = Place(home, layer, home != self.own)
                if place.link == name and place.has_contents:
                    return place
        return None

    def ancestors(self, place: Place) -> list[Place]:
        """All layers beneath `place`, nearest first. Writes nothing; a missing link is got over.

        Raises:
            DriverError: one of them is gone, or there are more than DEEPEST.
        """
        names = place.lower_names()
        if len(names) > DEEPEST:
            raise DriverError(
                NAME,
                f"layer {place.layer} has {len(names)} ancestors; the kernel mounts {DEEPEST} at most",
                hint="squash some of the layers into one",
                peer="max depth exceeded",
            )
        return [self._ancestor(place, name) for name in names]

    def _ancestor(self, place: Place, name: str) -> Place:
        found = self.behind(name) or self.search(name)
        if found is None:
            raise DriverError(
                NAME,
                f"layer {place.layer} lies on the short link {name}, and no layer has that link",
                hint="run cstore repair; if an ancestor is lost, with --from ARCHIVE",
                peer=f'can\'t stat lower layer "{os.path.join(self.own, "l", name)}"',
            )
        return found

    def known_ancestors(self, place: Place) -> list[Place]:
        """Those of the layers beneath `place` that can be found at once, for who can do with some."""
        return [found for found in map(self.behind, place.lower_names()) if found is not None]

    def is_parent(self, place: Place, base: str | None) -> bool:
        """Whether the layer was made directly on `base`, or, without `base`, on nothing."""
        names = place.lower_names()
        if base is None or not names:
            return base is None and not names
        found = self.behind(names[0]) or self.search(names[0])
        return found is not None and found.layer == base


def _is_link_name(text: str) -> bool:
    return len(text) == _LINK_LENGTH and not text.strip(_LINK_LETTERS)


def new_link_name() -> str:
    """A random name for a short link."""
    import base64

    return base64.b32encode(os.urandom(_RANDOM_BYTES)).decode()[:_LINK_LENGTH]


def make_link(place: Place, name: str) -> None:
    """Let the short link `name` lead to the layer, whatever had that name before.

    Raises:
        OSError: as symlink(2).
    """
    folder = os.path.join(place.home, "l")
    if not os.path.isdir(folder):
        with suppress(FileExistsError):
            os.mkdir(folder, 0o755)
        os.chmod(folder, 0o755)  # noqa: S103  - the peer has it so, and the home above it is closed
    path = os.path.join(folder, name)
    target = f"../{place.layer}/diff"
    try:
        os.symlink(target, path)
    except FileExistsError:
        if os.readlink(path) != target:
            os.unlink(path)
            os.symlink(target, path)


def dangling_links(home: str) -> list[str]:
    """The short links of a home that lead to layers which are not there."""
    folder = os.path.join(home, "l")
    found = []
    for name in _names_in(folder):
        with suppress(OSError):
            parts = os.readlink(os.path.join(folder, name)).split("/")
            leads_here = len(parts) == 3 and (parts[0], parts[2]) == ("..", "diff")
            if leads_here and parts[1] not in {"", ".", ".."} and not os.path.lexists(os.path.join(home, parts[1])):
                found.append(os.path.join(folder, name))
    return found


def unfinished_files(home: str) -> list[str]:
    """Temporary files of a home that never got their names: its own, and those in the directories of layers."""
    folders = [home, *(os.path.join(home, layer) for layer in _layers_in(home))]
    paths = (os.path.join(folder, name) for folder in folders for name in _names_in(folder) if _is_temporary(name))
    return [path for path in paths if os.path.isfile(path) and not os.path.islink(path)]


def _is_temporary(name: str) -> bool:
    return name.startswith(TEMPORARY_PREFIX)


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def drop_link_of_staged(staged: str) -> None:
    """Remove the short links of layers that were moved to a staging directory, if nothing took their place."""
    home = os.path.dirname(os.path.dirname(staged))
    for name in _names_in(staged):
        link = Place(staged, name).link
        path = os.path.join(home, "l", link)
        with suppress(OSError):
            layer = os.readlink(path).split("/")[1:2] if link else []
            if layer and not os.path.lexists(os.path.join(home, layer[0])):
                os.unlink(path)


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
        raise SystemFailure("mend the links of", place.path, error) from error


def write_link_file(place: Place) -> None:
    """Say again which short link is the layer's: the one that leads to it, or a new one."""
    from cstore.fs.atomic import write_file

    folder = os.path.join(place.home, "l")
    target = f"../{place.layer}/diff"
    present = os.listdir(folder) if os.path.isdir(folder) else []
    links = [name for name in sorted(present) if _is_link_name(name)]
    known = [name for name in links if os.readlink(os.path.join(folder, name)) == target]
    write_file(os.path.join(place.path, "link"), (known[0] if known else new_link_name()).encode(), mode=0o644)


def _layers_in(home: str) -> list[str]:
    try:
        with os.scandir(home) as entries:
            return [
                entry.name for entry in entries if entry.name not in RESERVED and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SystemFailure("list the layers in", home, error) from error


def _read(path: str) -> str:
    """Read a small text file; "" if there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SystemFailure("read", path, error) from error
