"""Files that meet conditions, in one item or in all images of a store."""

from __future__ import annotations

import stat
import sys
from fnmatch import translate
from functools import cache
from itertools import chain
from re import compile as compile_pattern
from typing import TYPE_CHECKING

from cstore.archive.directories import Kind
from cstore.archive.names import join_name
from cstore.archive.union import Found
from cstore.archive.xattrs import CAPABILITY
from cstore.arguments import checked
from cstore.contents.chain import add_new
from cstore.contents.files import open_item
from cstore.contents.reading import digest
from cstore.errors import CstoreError
from cstore.store import Item
from cstore.store.places import ItemKind
from cstore.values import Value

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from re import Pattern

    from cstore.contents.files import Contents, File
    from cstore.records.model import Image
    from cstore.store import Store

FORMATS = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "c": stat.S_IFCHR,
    "b": stat.S_IFBLK,
    "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK,
}
"""The letters of find(1) for types."""
_MAGIC = frozenset(b"*?[")


class Criteria(Value, kw_only=True):
    """What a file has to be; whatever is left out does not matter.

    Attributes:
        name: a pattern (*, ?, [...]) for its name.
        path: the same for its path from the root, with the slash in front; a star crosses slashes.
        formats: its type, one of these S_IF*.
        smallest, largest: bounds of its size in bytes, inclusive.
        newer, older: bounds of its time in nanoseconds since 1970, exclusive.
        uid, gid: its owner, as inside a container.
        mode: its permissions.
        any_of_mode: some of these bits are set.
        all_of_mode: all of these bits are set.
        capability: whether it has a file capability.
        digest: of its contents, `sha256:…`.
    """

    name: bytes | None = None
    path: bytes | None = None
    formats: frozenset[int] = frozenset()
    smallest: int | None = None
    largest: int | None = None
    newer: int | None = None
    older: int | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    any_of_mode: int = 0
    all_of_mode: int = 0
    capability: bool = False
    digest: str = ""

    def name_test(self) -> Callable[[bytes], object]:
        """A function that says whether a name is as wanted."""
        if self.name is None:
            return lambda _: True
        return self.name.__eq__ if _MAGIC.isdisjoint(self.name) else _pattern(self.name).match

    def status_test(self) -> Callable[[os.stat_result], object]:
        """A function that says whether type, size, time and mode on disk are as wanted; owners are not looked at."""
        sized = self.smallest is not None or self.largest is not None or self.digest or self.capability
        formats = frozenset({stat.S_IFREG}) if sized else self.formats or frozenset(FORMATS.values())
        some, every, mode, format_of = self.any_of_mode or ~0, self.all_of_mode, self.mode, stat.S_IFMT
        newer, older = -sys.maxsize if self.newer is None else self.newer, self.older or sys.maxsize
        smallest, largest = self.smallest or 0, sys.maxsize if self.largest is None else self.largest

        def test(raw: os.stat_result) -> object:
            found = raw.st_mode
            if not found & some or found & every != every or format_of(found) not in formats:
                return False
            if mode is not None and stat.S_IMODE(found) != mode:
                return False
            return (not sized or smallest <= raw.st_size <= largest) and newer < raw.st_mtime_ns < older

        return test

    def path_test(self) -> Callable[[bytes], object]:
        """A function that says whether name and path are as wanted."""
        name = self.name_test()
        if self.path is None:
            return (lambda _: True) if self.name is None else lambda path: name(path.rpartition(b"/")[2])
        whole = _pattern(self.path).match
        return lambda path: name(path.rpartition(b"/")[2]) and whole(b"/" + path)

    def fits_status(self, file: File) -> bool:
        """Whether type, size, time, owner and mode are as wanted."""
        if self.formats and file.format not in self.formats:
            return False
        sized = self.smallest is not None or self.largest is not None or self.digest or self.capability
        if sized and file.format != stat.S_IFREG:
            return False
        bounds = (
            self.smallest is None or file.size >= self.smallest,
            self.largest is None or file.size <= self.largest,
            self.newer is None or file.mtime > self.newer,
            self.older is None or file.mtime < self.older,
            self.uid in {None, file.uid},
            self.gid in {None, file.gid},
            self.mode in {None, file.mode},
            not self.any_of_mode or bool(file.mode & self.any_of_mode),
            file.mode & self.all_of_mode == self.all_of_mode,
        )
        return all(bounds)

    def fits(self, contents: Contents, file: File) -> bool:
        """Whether a file whose path is as wanted is so in every way. What it holds is asked last.

        Raises:
            CstoreError: it cannot be read.
        """
        if not self.fits_status(file):
            return False
        if self.capability and CAPABILITY not in contents.attributes(file):
            return False
        return not self.digest or digest(contents, file) == self.digest


@cache
def _pattern(glob: bytes) -> Pattern[bytes]:
    return compile_pattern(translate(glob.decode("latin-1")).encode("latin-1"))


@checked
def find(contents: Contents, top: bytes, criteria: Criteria) -> Iterator[File]:
    """The files at a plain path and beneath that meet the criteria. What cannot be read is among the problems."""
    wanted = criteria.path_test()
    first = contents.find(top)
    found = iter(() if first is None or not wanted(top) else (first,))
    if first is not None and first.format == stat.S_IFDIR:
        found = chain(found, contents.walk(top, wanted))
    return (file for file in found if _fits(contents, file, criteria))


def _fits(contents: Contents, file: File, criteria: Criteria) -> bool:
    try:
        return criteria.fits(contents, file)
    except CstoreError as error:
        contents.problems.append(error.message)
        return False


@checked
def find_everywhere(store: Store, criteria: Criteria, problems: list[str]) -> Iterator[tuple[Image, Contents, File]]:
    """The files of all images that meet the criteria, with the image and its contents, which are open until the next.

    A layer that several images have is walked once only: what it has that fits is then looked up in each image. The
    sentences about what could not be read are added to `problems`.
    """
    fitting: dict[str, list[bytes]] = {}
    seen: set[str] = set()
    for image in store.images.list():
        if not image.layer or image.id in seen:
            continue
        seen.add(image.id)
        item = Item(ItemKind.IMAGES, image.id)
        try:
            contents = open_item(store, item)
        except CstoreError as error:
            problems.append(f"image {image.id}: {error.message}")
            continue
        with contents:
            for file in _in_image(contents, criteria, fitting):
                yield image, contents, file
            add_new(problems, contents.problems)


def _in_image(contents: Contents, criteria: Criteria, fitting: dict[str, list[bytes]]) -> Iterator[File]:
    if contents.chain.whole:
        yield from find(contents, b"", criteria)
        return
    paths: set[bytes] = set()
    for number, root in enumerate(contents.chain.roots):
        if root.path not in fitting:
            found = _paths_in(contents, number, criteria)
            if found is None:  # a directory was renamed: paths in the layer are not those that are seen
                yield from find(contents, b"", criteria)
                return
            fitting[root.path] = found
        paths.update(fitting[root.path])
    for path in sorted(paths):
        file = contents.find(path)
        if file is not None and _fits(contents, file, criteria):
            yield file


def _paths_in(contents: Contents, number: int, criteria: Criteria) -> list[bytes] | None:
    """The paths in one directory of a chain that may fit, seen or not; None if it has directories that were renamed."""
    tree, pending = contents.chain.tree(number), [b""]
    wanted, named, may_fit = criteria.path_test(), criteria.name_test(), criteria.status_test()
    directory = Kind.DIRECTORY  # to look it up for each file takes as long as all else
    found = [b""] if wanted(b"") else []
    while pending:
        folder = pending.pop()
        try:
            if contents.chain.is_renamed(number, folder):
                return None
            if criteria.name is None and criteria.path is None:
                fitting, folders = _by_status(contents, number, folder, criteria, may_fit)
            else:  # few names will fit, so there is no need to look at every file
                listed = tree.names(folder)
                fitting = [path for name, _ in listed if named(name) and wanted(path := join_name(folder, name))]
                folders = [join_name(folder, name) for name, kind in listed if kind is directory]
            found += fitting
            pending += folders
        except (OSError, CstoreError) as error:
            contents.problems.append(f"{tree.shown(folder)} cannot be read: {error}")
    return found


def _by_status(
    contents: Contents, number: int, folder: bytes, criteria: Criteria, may_fit: Callable[[os.stat_result], object]
) -> tuple[list[bytes], list[bytes]]:
    """What in a directory fits, and the directories in it."""
    listed = contents.chain.tree(number).statuses(folder)
    likely = listed if contents.chain.is_masked(number) else [each for each in listed if may_fit(each[1])]
    fitting = [
        path
        for name, status in likely
        if criteria.fits_status(contents.file(path := join_name(folder, name), Found(number, folder, name, status)))
    ]
    return fitting, [join_name(folder, name) for name, status in listed if stat.S_ISDIR(status.st_mode)]
