"""Inspect each layer's `diff`, `link`, `lower` and `work`, and the short links."""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors, presence
from cstore.archive.directories import open_quietly
from cstore.archive.override import is_masked
from cstore.contexts import ExitStack, contextmanager
from cstore.drivers.inspection import MISSING, NO_DIRECTORY, NO_FILE, WRONG, Flaw, Part
from cstore.drivers.overlay.lower import DEEPEST, RESERVED, Homes, Place, link_of, read_short
from cstore.drivers.overlay.marks import (
    METACOPY,
    WHITEOUT,
    by_kernel,
    form_not_read,
    holds_contents,
    joined,
    marks_beneath,
    read_marks,
    refuse_not_read,
)
from cstore.drivers.overlay.options import read_options
from cstore.fs import within
from cstore.ids import flaw_of_part
from cstore.layout import COMPOSEFS_IMAGE, is_blob
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cstore.drivers.inspection import Inspector
    from cstore.drivers.registry import DriverPlace


class OverlayInspector:
    """The inspector of one store's homes."""

    whole = False

    def __init__(self, place: DriverPlace) -> None:
        self._homes = Homes(place.home, place.image_home, read_options(place.options).stores)

    def own_roots(self, layer: str) -> Sequence[str]:
        """See `Inspector.own_roots`."""
        place = self._homes.find(layer)
        place.require_diff()
        return [place.tree, *place.rotated()]

    def seen_roots(self, layer: str) -> Sequence[str]:
        """See `Inspector.seen_roots`: only for a chain with a composefs image, which only root can mount."""
        place = self._homes.find(layer)
        places = [place, *self._homes.ancestors(place)]
        for each in places:
            refuse_not_read(each)
        roots = [path for each in places for path in (each.tree, *each.rotated())]
        directories = [path for path in roots if not is_blob(path)]
        if len(directories) == len(roots) or any(map(is_masked, directories)):
            return ()
        named = not all(map(by_kernel, {each.home for each in places}))
        marks = joined(read_marks(path, named=named) for path in directories)
        plain = not (marks.program or marks.all & {METACOPY, WHITEOUT})
        return roots if plain else ()

    def not_read(self, layer: str) -> str:
        """See `Inspector.not_read`."""
        place = self._homes.look_up(layer)
        if place is None or not place.is_additional:
            return ""
        return form_not_read(place) or f"a layer of an additional layer store, which keeps it in {place.far}"

    def parts(self, layer: str, ancestors: Callable[[], Sequence[str]]) -> list[Part]:
        """See `Inspector.parts`: the layers in the layer's `lower` file or, if that is damaged, in the records."""
        place = self._homes.find(layer)
        found = [_part(place)]
        try:
            names = place.lower_names()
        except errors.CstoreError as error:
            for ancestor in ancestors():
                below = self._homes.look_up(ancestor)
                found.append(Part(ancestor, (), error.message) if below is None else _part(below))
            return [found[0].with_(problem=error.message), *found[1:]]
        if len(names) > DEEPEST:
            found[0] = found[0].with_(problem=f"its file lower names {len(names)} layers; at most {DEEPEST} are read")
        with ExitStack() as stack:
            homes = [each for home in self._homes if (each := _OpenHome.opened(stack, home)) is not None]
            for name in names[:DEEPEST]:
                part = next((part for home in homes if (part := home.ordinary(name)) is not None), None)
                found.append(self._below(name, ancestors) if part is None else part)
        return found

    def _below(self, name: str, ancestors: Callable[[], Sequence[str]]) -> Part:
        """Return the layer of a short link, in any home and of any form."""
        below = self._homes.behind(name)
        if below is None:  # an ancestor in the records may have that name: this avoids a slow search in all layers
            places = (place for each in ancestors() if (place := self._homes.look_up(each)) is not None)
            below = next((place for place in places if place.has_contents and link_of(place) == name), None)
        below = below or self._homes.search(name)
        lost = f"the short link {name} leads to no layer"
        return Part(self._homes.owner_of(name), (), lost) if below is None else _part(below)

    def has_files_for_marks(self) -> bool:
        """See `Inspector.has_files_for_marks`."""
        return not all(by_kernel(home) for home in self._homes if presence.is_directory(home))

    def has_marks_of_users(self, layer: str) -> bool:
        """See `Inspector.has_marks_of_users`: such a chain needs a mount that honors these marks."""
        place = self._homes.find(layer)
        return bool(marks_beneath(place, self._homes.known_ancestors(place)).users)

    def flaws(self, layer: str, ancestors: Sequence[str]) -> list[Flaw]:
        """See `Inspector.flaws`."""
        place = self._homes.look_up(layer)
        if place is None:
            return []
        if form_not_read(place):
            lost = not place.is_additional and place.home in self._homes.writable
            return [Flaw(place.layer, "diff", os.path.join(place.path, COMPOSEFS_IMAGE), MISSING)] if lost else []
        if place.home not in self._homes.writable:
            if place.is_additional:
                return []
            return self._directory(place, "diff")  # a check of that store covers the rest
        own = () if place.is_additional else self._directory(place, "diff")
        found = [*own, *self._directory(place, "work"), *self._link(place)]
        return [*found, *self._lower(place, ancestors)]

    @staticmethod
    def _directory(place: Place, part: str) -> list[Flaw]:
        path = os.path.join(place.path, part)
        problem = _problem(path, stat.S_ISDIR, NO_DIRECTORY)
        return [Flaw(place.layer, part, path, problem)] if problem else []

    def _link(self, place: Place) -> list[Flaw]:
        path, target = os.path.join(place.path, "link"), f"../{place.layer}/diff"
        problem = _problem(path, stat.S_ISREG, NO_FILE)
        name = "" if problem else link_of(place)
        if not name:
            leading = next((link for link, leads_to in _links(place.home) if leads_to == target), "")
            return [Flaw(place.layer, "link", path, problem or WRONG, expected=leading)]
        short = os.path.join(place.home, "l", name)
        try:
            found = within.read_link(place.home, f"l/{name}")
        except FileNotFoundError:
            return [Flaw(place.layer, "short-link", short, MISSING, expected=target)]
        except errors.CstoreError as error:
            return [Flaw(place.layer, "short-link", short, WRONG, error.message, target)]
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise errors.SystemFailure("read", short, error) from error
            return [Flaw(place.layer, "short-link", short, WRONG, "it is not a symbolic link", target)]
        return [] if found == target else [Flaw(place.layer, "short-link", short, WRONG, found, target)]

    def _lower(self, place: Place, ancestors: Sequence[str]) -> list[Flaw]:
        path = os.path.join(place.path, "lower")
        links = []
        for layer in ancestors:
            try:
                below = self._homes.look_up(layer)
            except errors.CstoreError:
                below = None
            links.append("" if below is None else link_of(below))
        expected = ":".join(f"l/{name}" for name in links) if all(links) else ""
        problem = _problem(path, stat.S_ISREG, NO_FILE)
        if problem:
            fine = problem == MISSING and not ancestors
            return [] if fine else [Flaw(place.layer, "lower", path, problem, expected=expected)]
        try:
            names = place.lower_names()
        except errors.CstoreError:
            return [Flaw(place.layer, "lower", path, WRONG, "something other than short links", expected)]
        right = runs_through([self._homes.owner_of(name) for name in names], ancestors)
        found = ":".join(f"l/{name}" for name in names)
        return [] if right else [Flaw(place.layer, "lower", path, WRONG, found, expected)]

    def strays(self) -> list[Flaw]:
        """See `Inspector.strays`."""
        found = []
        for home in self._homes.writable:
            for name, target in _links(home):
                parts = target.split("/")
                layer = parts[1] if len(parts) == 3 and (parts[0], parts[2]) == ("..", "diff") else ""
                known = bool(layer) and layer not in RESERVED and within.is_directory(home, layer)
                if not known or link_of(Place(home, layer)) not in {name, ""}:
                    found.append(Flaw("", "stray-link", os.path.join(home, "l", name), WRONG, target))
        return found

    def bears_marks(self, layer: str) -> bool:
        """See `Inspector.bears_marks`: a short link leads to the layer, and its file `link` names that link."""
        for home in self._homes.writable:
            name = link_of(Place(home, layer))
            try:
                if name and within.read_link(home, f"l/{name}") == f"../{layer}/diff":
                    return True
            except (OSError, errors.CstoreError):
                continue
        return False

    def mounts(self, mount_points: Sequence[str]) -> dict[str, str]:
        """See `Inspector.mounts`."""
        found = {}
        for home in self._homes.writable:
            prefix = os.path.realpath(home) + "/"
            for path in mount_points:
                layer, _, rest = path.removeprefix(prefix).partition("/")
                if path.startswith(prefix) and rest == "merged" and layer not in RESERVED:
                    found[path] = layer
        return found


if TYPE_CHECKING:
    _: type[Inspector] = OverlayInspector


_ORDINARY = frozenset({"diff", "link", "lower", "work", "merged", "empty"})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST_LINK = 64


class _OpenHome(NamedTuple):
    """A home and its directory of short links, kept open, because a chain has up to hundreds of similar layers."""

    home: str
    layers: int
    links: int

    @classmethod
    def opened(cls, stack: ExitStack, home: str) -> _OpenHome | None:
        """Open a home until the stack is closed; None if it, or its `l`, is not a directory."""
        try:
            layers = stack.enter_context(_opened(home, _FOLDER & ~os.O_NOFOLLOW))
            return cls(home, layers, stack.enter_context(_opened("l", _FOLDER, layers)))
        except OSError:
            return None

    def ordinary(self, name: str) -> Part | None:
        """Return the layer of a short link if it is in this home and ordinary; None if it needs a closer look."""
        try:
            up, layer, diff = os.readlink(name, dir_fd=self.links).split("/")
            if (up, diff) != ("..", "diff") or layer in RESERVED or flaw_of_part(layer):
                return None
            with _opened(layer, _FOLDER, self.layers) as fd:
                if not _ORDINARY.issuperset(os.listdir(fd)):
                    return None
                if not stat.S_ISREG(os.stat("link", dir_fd=fd, follow_symlinks=False).st_mode):
                    return None
                with _opened("link", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, fd) as link_fd:
                    text = os.read(link_fd, _LONGEST_LINK)
                if text.rstrip(b"\n") != name.encode():
                    return None
                with _opened("diff", _FOLDER, fd) as diff_fd:
                    first = next(iter(os.listdir(diff_fd)), "")
        except (OSError, ValueError):
            return None
        # Content files named by their digests are in directories with two-digit names.
        return None if len(first) == 2 else Part(layer, (os.path.join(self.home, layer, "diff"),))


@contextmanager
def _opened(name: str, flags: int, folder: int | None = None) -> Iterator[int]:
    fd = open_quietly(name, flags, folder)
    try:
        yield fd
    finally:
        os.close(fd)


def _part(place: Place) -> Part:
    try:
        ordinary = _ORDINARY.issuperset(within.list_directory(place.home, place.layer))
    except (OSError, errors.CstoreError):
        ordinary = False
    if ordinary and within.is_directory(place.home, f"{place.layer}/diff") and not holds_contents(place):
        return Part(place.layer, (place.diff,))  # the usual case, without slow checks for rare forms
    problem = form_not_read(place)
    if not problem and not place.has_contents:
        problem = f"its directory {place.diff} is missing"
    return Part(place.layer, () if problem else (place.tree, *place.rotated()), problem)


def runs_through(found: Sequence[str], ancestors: Sequence[str]) -> bool:
    """Return whether a chain of layers contains all `ancestors` in order, and no missing layer.

    Other layers may be between them: a mapped layer is above its original, although its record names the parent of both
    (semantics 5).
    """
    rest = iter(found)
    return all(found) and all(ancestor in rest for ancestor in ancestors)


def _problem(path: str, is_right: object, otherwise: str) -> str:
    mode = presence.mode_at(path)
    if not mode:
        return MISSING
    return "" if callable(is_right) and is_right(mode) else otherwise


def _links(home: str) -> list[tuple[str, str]]:
    """Return every symbolic link in the directory of short links, with its target."""
    return [(name, read_short(home, name)) for name in within.names_in(home, "l")]
