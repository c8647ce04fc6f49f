"""List the paths that one tree adds, modifies or deletes relative to another (archive 7.1).

Both trees are walked in parallel, through descriptors, in byte order of the names. Only names that a directory lists
are examined, so deleted files cannot reappear from the stale cache of a user-space file system.
"""

from __future__ import annotations

import os
import stat

from cstore import errors
from cstore.archive import xattrs
from cstore.archive.directories import Directories, Kind, Listing, names_in
from cstore.archive.names import join_name, split_name
from cstore.idmap import IDENTITY, IDMap
from cstore.tuples import NamedTuple
from cstore.values import IntChoice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SECOND = 1_000_000_000


class ChangeKind(IntChoice):
    """The kind of a change. The values are those of the Go tool's JSON."""

    MODIFY = 0
    ADD = 1
    DELETE = 2


class Change(NamedTuple):
    """One changed path: absolute in the layer, starting with "/"."""

    path: bytes
    kind: ChangeKind

    @property
    def text(self) -> str:
        """The path as text, with surrogate escapes for bytes that are not UTF-8, like `os.fsdecode`."""
        return os.fsdecode(self.path)


def compare_trees(new: str, old: str | None, new_map: IDMap = IDENTITY, old_map: IDMap = IDENTITY) -> list[Change]:
    """List the changes from `old` to `new`, depth-first; the roots themselves are not compared.

    Without `old`, every path is an addition. If either map has ranges, owners are compared as containers see them.

    Raises:
        SystemFailure: a file or directory cannot be read.
    """
    with Directories(new) as new_tree:
        if old is None:
            return [Change(b"/" + path, ChangeKind.ADD) for path in _everything(new_tree, b"")]
        with Directories(old) as old_tree:
            return _Comparison(new_tree, old_tree, new_map, old_map).run()


def changes_size(new: str, changes: Iterable[Change]) -> int:
    """Return the total bytes of added and modified files, without directories; hard links count once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    with Directories(new) as tree:
        for change in changes:
            if change.kind is ChangeKind.DELETE:
                continue
            status = _look(tree, *split_name(change.path[1:]))
            if stat.S_ISDIR(status.st_mode):
                continue
            if status.st_nlink > 1:
                key = (status.st_dev, status.st_ino)
                if key in seen:
                    continue
                seen.add(key)
            total += status.st_size
    return total


# ── walking ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _everything(tree: Directories, top: bytes) -> Iterator[bytes]:
    """Yield the paths below a directory, depth-first."""
    stack = [(top, iter(_listed(tree, top)))]
    while stack:
        folder, names = stack[-1]
        for name, kind in names:
            path = join_name(folder, name)
            yield path
            if kind is Kind.DIRECTORY:
                stack.append((path, iter(_listed(tree, path))))
                break
        else:
            stack.pop()


def _listed(tree: Directories, folder: bytes) -> Listing:
    try:
        return names_in(tree.descriptor(folder))
    except OSError as error:
        raise errors.SystemFailure("read", tree.shown(folder), error) from error


def _look(tree: Directories, folder: bytes, name: bytes) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=tree.descriptor(folder), follow_symlinks=False)
    except OSError as error:
        raise errors.SystemFailure("read", tree.shown(join_name(folder, name)), error) from error


# ── comparing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Comparison:
    """A parallel walk through two trees."""

    def __init__(self, new: Directories, old: Directories, new_map: IDMap, old_map: IDMap) -> None:
        self._new = new
        self._old = old
        self._maps = new_map, old_map
        self._same_owner = _owner_test(new_map, old_map)
        self._changes: list[Change] = []
        # Unchanged directories on the current path, which are listed only when a change below them is found.
        self._unlisted: list[bytes] = []

    def run(self) -> list[Change]:
        stack = [(b"", self._union(b""))]
        while stack:
            folder, names = stack[-1]
            for name, new, old in names:
                path = join_name(folder, name)
                if self._visit(folder, name, path, new, old):
                    stack.append((path, self._union(path)))
                    break
            else:
                stack.pop()
                if self._unlisted and self._unlisted[-1] == folder:
                    self._unlisted.pop()
        return self._changes

    def _union(self, folder: bytes) -> Iterator[tuple[bytes, Kind | None, Kind | None]]:
        """Iterate over the names of both directories in byte order, with the kind in each tree."""
        new, old = dict(_listed(self._new, folder)), dict(_listed(self._old, folder))
        names = sorted(new.keys() | old.keys()) if old.keys() != new.keys() else list(new)
        return iter([(name, new.get(name), old.get(name)) for name in names])

    def _visit(self, folder: bytes, name: bytes, path: bytes, new: Kind | None, old: Kind | None) -> bool:
        """Compare one name; return whether it is a directory in both trees and must be walked."""
        if new is None:
            self._list(path, ChangeKind.DELETE)
            return False
        if old is None:
            self._list(path, ChangeKind.ADD)
            self._list_beneath(path, new is Kind.DIRECTORY)
            return False
        new_status, old_status = _look(self._new, folder, name), _look(self._old, folder, name)
        if new_status.st_ino == old_status.st_ino and new_status.st_dev == old_status.st_dev:
            return False
        both = stat.S_ISDIR(new_status.st_mode) and stat.S_ISDIR(old_status.st_mode)
        if self._differ(folder, name, new_status, old_status):
            self._list(path, ChangeKind.MODIFY)
            if not both:
                self._list_beneath(path, stat.S_ISDIR(new_status.st_mode))
        elif both:
            self._unlisted.append(path)
        return both

    def _list(self, path: bytes, kind: ChangeKind) -> None:
        """List a change, after the unlisted directories that contain it."""
        for folder in self._unlisted:
            self._changes.append(Change(b"/" + folder, ChangeKind.MODIFY))
        self._unlisted.clear()
        self._changes.append(Change(b"/" + path, kind))

    def _list_beneath(self, path: bytes, is_directory: bool) -> None:
        if is_directory:
            self._changes.extend(Change(b"/" + each, ChangeKind.ADD) for each in _everything(self._new, path))

    def _differ(self, folder: bytes, name: bytes, new: os.stat_result, old: os.stat_result) -> bool:
        """Return whether a path that exists in both trees counts as modified."""
        if (
            new.st_mode != old.st_mode
            or new.st_rdev != old.st_rdev
            or (new.st_size != old.st_size and not stat.S_ISDIR(new.st_mode))
            or not self._same_owner(new, old)
        ):
            return True
        time, before = new.st_mtime_ns, old.st_mtime_ns
        # If either time has no fraction, only the seconds count.
        if time != before and (time // _SECOND != before // _SECOND or (time % _SECOND and before % _SECOND)):
            return True
        try:
            if stat.S_ISLNK(new.st_mode):
                target = os.readlink(name, dir_fd=self._new.descriptor(folder))
                if target != os.readlink(name, dir_fd=self._old.descriptor(folder)):
                    return True
            found = xattrs.compared(self._new, folder, name, new.st_mode)
            found_before = xattrs.compared(self._old, folder, name, old.st_mode)
        except OSError as error:
            raise errors.SystemFailure("read", self._new.shown(join_name(folder, name)), error) from error
        if found == found_before or not any(self._maps):
            return found != found_before
        try:
            return xattrs.inside(found, self._maps[0]) != xattrs.inside(found_before, self._maps[1])
        except errors.InvalidIDMap:
            return True


def _owner_test(new_map: IDMap, old_map: IDMap) -> Callable[[os.stat_result, os.stat_result], bool]:
    """Return a comparison of owners: as the container sees them if the maps cover them, else as on disk."""
    known: dict[tuple[int, int, int, int], bool] = {}

    def same(new: os.stat_result, old: os.stat_result) -> bool:
        key = (new.st_uid, new.st_gid, old.st_uid, old.st_gid)
        if not (new_map or old_map):
            return key[:2] == key[2:]
        answer = known.get(key)
        if answer is None:
            try:
                answer = new_map.to_container(*key[:2]) == old_map.to_container(*key[2:])
            except errors.InvalidIDMap:
                answer = key[:2] == key[2:]
            known[key] = answer
        return answer

    return same
