"""Searching all images of a store; a layer that several images share is read once."""

from __future__ import annotations

from cstore.archive.union import OutOfSight
from cstore.arguments import checked
from cstore.contents.candidates import Candidates, candidates, in_order
from cstore.contents.chain import add_new
from cstore.contents.files import Contents, open_item
from cstore.contents.finding import at, find, find_paths, is_fit
from cstore.errors import CstoreError
from cstore.store import Item
from cstore.store.places import ItemKind
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.contents.chain import Chain
    from cstore.contents.files import File
    from cstore.contents.finding import Criteria
    from cstore.records.model import Image
    from cstore.store import Store

_MOST_KEPT = 1_000_000
"""Maximum number of paths cached for later images, most of which may share many."""


class _Spot(NamedTuple):
    """A path, and the height of its directory in the chain; 1 is the bottom, so that it is equal in similar chains.

    It is this small because there may be very many.
    """

    path: bytes
    height: int


@checked
def find_everywhere(store: Store, criteria: Criteria, problems: list[str]) -> Iterator[tuple[Image, Contents, File]]:
    """Yield the files of all images that match the criteria, with the image and its contents, open until the next.

    A layer that several images share is read only once; its matches are then visible or hidden in each image. Sentences
    about unreadable data are added to `problems`.
    """
    for image, contents, search in _images(store, criteria, problems):
        for file in search.files(contents):
            yield image, contents, file


@checked
def paths_everywhere(store: Store, criteria: Criteria, problems: list[str]) -> Iterator[tuple[Image, Iterator[bytes]]]:
    """Yield the paths that `find_everywhere` finds, image by image; each iterator is valid until the next."""
    for image, contents, search in _images(store, criteria, problems):
        yield image, search.paths(contents)


def _images(store: Store, criteria: Criteria, problems: list[str]) -> Iterator[tuple[Image, Contents, _Everywhere]]:
    search = _Everywhere(criteria)
    seen: set[str] = set()
    for image in store.images.list():
        if not image.layer or image.id in seen:
            continue
        seen.add(image.id)
        try:
            contents = open_item(store, Item(ItemKind.IMAGES, image.id))
        except CstoreError as error:
            problems.append(f"image {image.id}: {error.message}")
            continue
        with contents:
            yield image, contents, search
            add_new(problems, contents.problems)


class _Everywhere:
    """A search in many chains. Results for a stack of layers are computed once for all images that have it."""

    def __init__(self, criteria: Criteria) -> None:
        self._criteria = criteria
        self._layers: dict[str, Candidates | None] = {}
        self._stacks: dict[tuple[str, int], int] = {}
        self._shown: list[list[_Spot]] = [[]]
        self._kept = 0

    def files(self, contents: Contents) -> Iterator[File]:
        """Yield the visible matches of an image, in walk order."""
        shown, height, views = self._seen(contents), len(contents.chain.roots), dict[int, Contents]()
        if shown is None:
            yield from find(contents, b"", self._criteria)
            return
        for path, above_bottom in shown:
            number = height - above_bottom
            view = views.get(number)
            if view is None:
                view = views[number] = Contents(contents.chain, contents.item, number)
            yield from at(view, [path])

    def paths(self, contents: Contents) -> Iterator[bytes]:
        """Yield only their paths, without further access to the files."""
        shown = self._seen(contents)
        if shown is None:
            return find_paths(contents, b"", self._criteria)
        return (path for path, _ in shown)

    def _seen(self, contents: Contents) -> list[_Spot] | None:
        """Return the visible matches of an image; None if only a walk from the top can find them."""
        roots = contents.chain.roots
        if contents.chain.whole or self._kept > _MOST_KEPT:
            return None
        unread = [number for number, root in enumerate(roots) if root.path not in self._layers]
        if unread:
            found = candidates(contents.chain, unread, self._criteria, contents.problems)
            self._layers.update((roots[number].path, each) for number, each in found.items())
        if any(self._layers[root.path] is None for root in roots):
            return None
        stack = 0
        for number in reversed(range(len(roots))):
            key = (roots[number].path, stack)
            if key not in self._stacks:
                self._shown.append(self._seen_from(contents, number, self._shown[stack]))
                self._stacks[key] = len(self._shown) - 1
            stack = self._stacks[key]
        return self._shown[stack]

    def _seen_from(self, contents: Contents, number: int, deeper: list[_Spot]) -> list[_Spot]:
        """Return the matches in a layer, and those of lower layers that it does not hide."""
        chain, left = contents.chain, list[_Spot]()
        layer = self._layers[chain.roots[number].path]
        asked, own = [b""] if self._criteria.path_test()(b"") else [], list[bytes]()  # the root is no candidate
        if layer is not None:
            asked, own = (asked, layer.paths) if layer.sure else (asked + layer.paths, own)
        here = Contents(chain, contents.item, number)
        own = [file.path for file in at(here, asked) if is_fit(here, file, self._criteria)] + own
        alone = chain.alone(number)
        top = _names_at_the_top(chain, number) if deeper else frozenset()
        for spot in deeper:
            if top and spot.path.partition(b"/")[0] not in top:
                left.append(spot)  # nothing in this layer is on the path to it
                continue
            try:
                alone.locate(spot.path)  # a file shown there instead is among its own matches
            except OutOfSight:
                left.append(spot)
            except CstoreError as error:
                contents.problems.append(error.message)
        if not own and len(left) == len(deeper):
            return deeper
        height = len(chain.roots) - number
        found = sorted([*left, *(_Spot(path, height) for path in own)], key=lambda spot: in_order(spot.path))
        self._kept += len(found)
        return found


def _names_at_the_top(chain: Chain, number: int) -> frozenset[bytes]:
    """Return the names in the root of a layer, and b"" for the root; nothing if names may be marks."""
    if chain.has_files_for_marks:
        return frozenset()
    try:
        return frozenset({b"", *(name for name, _ in chain.tree(number).names(b""))})
    except (OSError, CstoreError):
        return frozenset()  # a lookup there will report the error
