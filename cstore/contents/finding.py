"""Search of one item for files that match criteria."""

from __future__ import annotations

import os
import stat
import sys
from functools import cache, partial
from itertools import chain

from cstore.archive.directories import Wanted
from cstore.archive.xattrs import CAPABILITY
from cstore.arguments import checked
from cstore.contents.reading import digest
from cstore.errors import CstoreError
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from re import Pattern

    from cstore.archive.union import Found
    from cstore.contents.files import Contents, File

FORMATS = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "c": stat.S_IFCHR,
    "b": stat.S_IFBLK,
    "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK,
}
"""The type letters of find(1)."""
_TOLD_BY_DIRECTORIES = frozenset({stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK})
_MAGIC = frozenset(b"*?[")


class Criteria(Value, kw_only=True):
    """The criteria of a search; those with default values match every file.

    Attributes:
        name: a pattern (*, ?, [...]) for its name.
        path: a pattern for its path from the root, with leading slash; a star matches slashes, too.
        formats: its type, one of these S_IF*.
        smallest, largest: bounds of its size in bytes, inclusive.
        newer, older: bounds of its time in nanoseconds since 1970, exclusive.
        uid, gid: its owner inside a container.
        mode: its exact permissions.
        any_of_mode: at least one of these bits is set.
        all_of_mode: all of these bits are set.
        capability: whether it must have a file capability.
        digest: the digest of its contents, `sha256:…`.
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
        """Return a function that tests a name."""
        if self.name is None:
            return lambda _: True
        if _MAGIC.isdisjoint(self.name):
            return self.name.__eq__
        match = _pattern(self.name).match
        return lambda name: match(os.fsdecode(name))

    @property
    def is_sized(self) -> bool:
        """Whether only regular files can match."""
        return self.smallest is not None or self.largest is not None or bool(self.digest) or self.capability

    @property
    def reads_files(self) -> bool:
        """Whether a test must open files."""
        return self.capability or bool(self.digest)

    @property
    def asks_for_more(self) -> bool:
        """Whether more of the status than the type matters."""
        asked = (self.smallest, self.largest, self.newer, self.older, self.mode, self.uid, self.gid)
        return any(bound is not None for bound in asked) or bool(self.any_of_mode or self.all_of_mode)

    @property
    def asks_for_names_only(self) -> bool:
        """Whether names alone determine matches."""
        return not (self.asks_for_more or self.formats or self.reads_files)

    def in_directory(self, owner: Callable[[tuple[int, int]], tuple[int, int]]) -> Wanted:
        """Return the test for a directory of a layer; `owner` maps an owner on disk to the one inside a container."""
        formats = frozenset({stat.S_IFREG}) if self.is_sized else self.formats
        only = next(iter(formats)) if len(formats) == 1 and formats <= _TOLD_BY_DIRECTORIES else 0
        test = self.status_test(owner) if self.asks_for_more or (formats and not only) else None
        named: Callable[[str], object] | None = None
        if self.name is not None:
            named = os.fsdecode(self.name).__eq__ if _MAGIC.isdisjoint(self.name) else _pattern(self.name).match
        return Wanted(only, named, test)

    def status_test(self, owner: Callable[[tuple[int, int]], tuple[int, int]]) -> Callable[[os.stat_result], object]:
        """Return a function that tests type, size, time, mode and owner on disk."""
        sized = self.is_sized
        formats = frozenset({stat.S_IFREG}) if sized else self.formats or frozenset(FORMATS.values())
        owned = self.uid is not None or self.gid is not None
        some, every, mode, format_of = self.any_of_mode or ~0, self.all_of_mode, self.mode, stat.S_IFMT
        newer, older = -sys.maxsize if self.newer is None else self.newer, self.older or sys.maxsize
        smallest, largest = self.smallest or 0, sys.maxsize if self.largest is None else self.largest

        def test(raw: os.stat_result) -> object:
            found = raw.st_mode
            if not found & some or found & every != every or format_of(found) not in formats:
                return False
            if mode is not None and stat.S_IMODE(found) != mode:
                return False
            if not ((not sized or smallest <= raw.st_size <= largest) and newer < raw.st_mtime_ns < older):
                return False
            if not owned:
                return True
            uid, gid = owner((raw.st_uid, raw.st_gid))
            return self.uid in {None, uid} and self.gid in {None, gid}

        return test

    def path_test(self) -> Callable[[bytes], object]:
        """Return a function that tests name and path."""
        name = self.name_test()
        if self.path is None:
            return (lambda _: True) if self.name is None else lambda path: name(path.rpartition(b"/")[2])
        whole = _pattern(self.path).match
        return lambda path: name(path.rpartition(b"/")[2]) and whole("/" + os.fsdecode(path))

    def fits_status(self, file: File) -> bool:
        """Return whether type, size, time, owner and mode match."""
        if self.formats and file.format not in self.formats:
            return False
        if self.is_sized and file.format != stat.S_IFREG:
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
        """Return whether a file whose path matches also meets the other criteria. Its contents are tested last.

        Raises:
            CstoreError: it cannot be read.
        """
        if not self.fits_status(file):
            return False
        if self.capability and CAPABILITY not in contents.attributes(file):
            return False
        return not self.digest or digest(contents, file) == self.digest


@cache
def _pattern(glob: bytes) -> Pattern[str]:
    """Compile a pattern to a regular expression for text, as a shell interprets it."""
    import re  # not at the top: most searches are for one plain name
    from fnmatch import translate

    return re.compile(translate(os.fsdecode(glob)))


@checked
def find(contents: Contents, top: bytes, criteria: Criteria) -> Iterator[File]:
    """Yield the files at a plain path and below that match. Unreadable data becomes a problem of `contents`."""
    wanted = criteria.path_test()
    first = contents.find(top)
    found = iter(() if first is None or not wanted(top) else (first,))
    if first is not None and first.format == stat.S_IFDIR:
        if criteria.name is not None or criteria.path is not None:
            found = chain(found, at(contents, filter(wanted, contents.paths(top))))
        else:
            found = chain(found, contents.walk(top, _likely(contents, criteria)))
    return (file for file in found if is_fit(contents, file, criteria))


def find_paths(contents: Contents, top: bytes, criteria: Criteria) -> Iterator[bytes]:
    """Yield the paths of the files that `find` finds; if names suffice, the files are not accessed."""
    if criteria.asks_for_names_only and top == b"":
        wanted = criteria.path_test()
        return filter(wanted, chain((top,), contents.paths(top)))
    return (file.path for file in find(contents, top, criteria))


def _likely(contents: Contents, criteria: Criteria) -> Callable[[Found], object] | None:
    """Return a quick test that rejects files by their status; None if the status does not matter."""
    layers, offset = contents.chain, contents.view.offset

    @cache
    def test_of(number: int) -> Callable[[os.stat_result], object] | None:
        masked = layers.is_masked(number + offset)  # types, modes and owners are in attributes
        return None if masked else criteria.status_test(cache(partial(layers.inside, number + offset)))

    def may_fit(found: Found) -> object:
        test = test_of(found.number)
        return test is None or test(found.status)

    return may_fit if criteria.asks_for_more or criteria.formats or criteria.is_sized else None


def at(contents: Contents, paths: Iterable[bytes]) -> Iterator[File]:
    """Yield the existing files at some paths: for few names that match, this reads few statuses."""
    for path in paths:
        try:
            file = contents.find(path)
        except CstoreError as error:
            contents.problems.append(error.message)
            continue
        if file is not None:
            yield file


def is_fit(contents: Contents, file: File, criteria: Criteria) -> bool:
    """Return whether a file matches. If it cannot be read, that is a problem of `contents`."""
    try:
        return criteria.fits(contents, file)
    except CstoreError as error:
        contents.problems.append(error.message)
        return False
