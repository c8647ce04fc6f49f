"""Search of all images of a store. A layer that several images share is read once, by several processes if it is large.

Each layer directory is read once to find candidates, which are then looked up in the images.
"""

from __future__ import annotations

import gc
import os
from collections import deque
from contextlib import ExitStack
from functools import cache, partial

from cstore.archive.composefs import enter_tree
from cstore.archive.union import OutOfSight
from cstore.archive.whiteout import WHITEOUT_PREFIX
from cstore.arguments import checked
from cstore.contents.chain import add_new, is_renamed
from cstore.contents.files import Contents, open_item
from cstore.contents.finding import at, find, find_paths, is_fit
from cstore.errors import CstoreError
from cstore.store import Item
from cstore.store.places import ItemKind
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cstore.archive.composefs import Tree
    from cstore.archive.directories import Wanted
    from cstore.contents.chain import Chain
    from cstore.contents.files import File
    from cstore.contents.finding import Criteria
    from cstore.records.model import Image
    from cstore.store import Store

    Answer = tuple[dict[int, list[bytes]], list[int], list[str]]
    """The paths that may match, by number of their directory; directories without a usable result; error sentences."""

_WORTH_SHARING = 250
"""Number of unread directories whose reading takes longer than starting processes."""
_MOST_PROCESSES = 8
_MOST = 100_000
"""Maximum number of paths kept per layer."""
_MOST_KEPT = 1_000_000
"""Maximum number of paths cached for later images, which may share many of them."""


class _Spot(NamedTuple):
    """A path, and the height of its directory in the chain; 1 is the bottom, so that it is equal in similar chains.

    It is small because a search may keep very many.
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
        self._layers: dict[str, _Candidates | None] = {}
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
        """Yield only the paths of the visible matches, without further access to the files."""
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
            found = _candidates(contents.chain, unread, self._criteria, contents.problems)
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
                left.append(spot)  # this layer has nothing on the path to it
                continue
            try:
                alone.locate(spot.path)  # a file that replaces it in this layer is among the layer's own matches
            except OutOfSight:
                left.append(spot)
            except CstoreError as error:
                contents.problems.append(error.message)
        if not own and len(left) == len(deeper):
            return deeper
        height = len(chain.roots) - number
        found = sorted([*left, *(_Spot(path, height) for path in own)], key=lambda spot: _in_order(spot.path))
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


# ── candidates ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Candidates(NamedTuple):
    """The paths in one directory of a chain that may match.

    Attributes:
        paths: sorted.
        sure: whether all of them match, so that no further test is needed.
    """

    paths: list[bytes]
    sure: bool


def _candidates(
    chain: Chain, numbers: Iterable[int], criteria: Criteria, problems: list[str]
) -> dict[int, _Candidates | None]:
    """Search directories of a chain for files that may match, visible or not. Unreadable ones become problems.

    The result is None for a directory with too many matches or with renamed directories: then every file must be looked
    up by its path.

    Raises:
        SystemFailure: a directory cannot be opened, or a process cannot be started.
    """
    wanted = {number: _wanted(chain, number, criteria) for number in numbers}
    asked = _Asked(wanted, criteria, chain.has_files_for_marks)
    walk = _Walk({number: chain.tree(number) for number in wanted}, asked)
    pending = deque((number, b"") for number in wanted)
    walk.go(pending, _WORTH_SHARING)
    answers: list[Answer] = [walk.answer]
    processes = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
    if pending and processes == 1:
        walk.go(pending)
    elif pending:
        from cstore.fs.worker import run_workers

        roots = {number: chain.roots[number].path for number in wanted}
        folders = [*pending]
        answers += run_workers([_job(roots, asked, folders[n::processes]) for n in range(processes)])
    found: dict[int, _Candidates | None] = {}
    for number in wanted:
        paths = [path for answer in answers for path in answer[0].get(number, ())]
        useless = len(paths) > _MOST or any(number in answer[1] for answer in answers)
        sure = not (chain.is_masked(number) or chain.has_files_for_marks or criteria.reads_files)
        found[number] = None if useless else _Candidates(sorted(paths, key=_in_order), sure)
    problems += [problem for answer in answers for problem in answer[2]]
    return found


def _in_order(path: bytes) -> bytes:
    """Return a sort key for paths in walk order: a directory before its contents, and those before its next sibling."""
    return path.replace(b"/", b"\0")


def _wanted(chain: Chain, number: int, criteria: Criteria) -> Wanted:
    looked_for = criteria.in_directory(cache(partial(chain.inside, number)))
    if criteria.uid is not None or criteria.gid is not None:
        chain.map_of(number)  # read now, because the worker processes read no records
    # Types, modes and owners may be stored in attributes.
    return looked_for._replace(format=0, fits=None) if chain.is_masked(number) else looked_for


class _Asked(NamedTuple):
    """The criteria of a search, per directory of the chain and overall. `marks`: whether names may be marks."""

    wanted: Mapping[int, Wanted]
    criteria: Criteria
    marks: bool


class _Walk:
    """A walk through directories that collects candidates."""

    def __init__(self, trees: Mapping[int, Tree], asked: _Asked) -> None:
        self._trees, self._wanted, self._marks = trees, asked.wanted, asked.marks
        self._fits = None if asked.criteria.path is None else asked.criteria.path_test()
        self.answer: Answer = ({number: [] for number in trees}, [], [])

    def go(self, pending: deque[tuple[int, bytes]], most: int = 0) -> None:
        """Read pending directories and those below; with `most`, only until more than that are pending."""
        found, useless, problems = self.answer
        while pending and (not most or len(pending) <= most):
            number, folder = pending.popleft() if most else pending.pop()
            if number in useless:
                continue
            tree, fitting = self._trees[number], found[number]
            try:
                if len(fitting) > _MOST or is_renamed(tree, folder):
                    useless.append(number)
                    continue
                names, folders = tree.select(folder, self._wanted[number])
            except (OSError, CstoreError) as error:
                problems.append(f"{tree.shown(folder)} cannot be read: {error}")
                continue
            above = folder + b"/" if folder else b""
            paths = [above + name for name in names if not (self._marks and name.startswith(WHITEOUT_PREFIX))]
            fitting += paths if self._fits is None else filter(self._fits, paths)
            pending += [(number, above + name) for name in folders]


def _job(roots: Mapping[int, str], asked: _Asked, folders: Iterable[tuple[int, bytes]]) -> Callable[[], Answer]:
    def work() -> Answer:
        gc.disable()  # a worker creates little garbage and exits soon
        pending = deque(folders)
        numbers = {number for number, _ in pending}
        with ExitStack() as stack:
            walk = _Walk({number: enter_tree(stack, roots[number]) for number in numbers}, asked)
            walk.go(pending)
        return walk.answer

    return work
