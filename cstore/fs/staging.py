"""Directories for files that are being created or deleted; any process may sweep those of dead owners.

        ROOT/                        0700  created when first needed, then kept, or removed when empty
        ├── lock-1234567890          0600  locked while the owner lives
        ├── temp-dir-1234567890/     0700  the owner's files; names inside begin with a number
        └── stuck-987654321/               could not be removed: hidden from the Go tools, retried by every sweep

The Go tools (from 1.59 on) use the same places for deletions, and sweep them whenever they load layers: a number whose
lock is free has lost its owner (store-format 10.1). This determines the order of each step here: the lock file, its
lock, a check that the file still has its name (a sweeper may have removed it), and only then the directory.

A Go tool that cannot remove a `temp-dir-*` fails to load the layers at all. So whatever cannot be removed is renamed to
`stuck-*`, which no Go tool looks at.
"""

from __future__ import annotations

import os
from time import sleep

from cstore import errors, presence
from cstore.contexts import suppress
from cstore.fs import within
from cstore.fs.atomic import NO_ROOM
from cstore.fs.lockfile import make_directories
from cstore.fs.rename import rename_tree, rename_within
from cstore.kernel.locks import conflicting_process, take
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

GUARD = "staging.lock"
"""A file in places that others remove while nobody holds its lock: the Go tools do so with partial pulls."""
_LOCK, _TREE, _STUCK = "lock-", "temp-dir-", "stuck-"
_TRIES = 100
_AT_ONCE = 10
"""How many attempts are made without a pause."""


class SweepResult(Value):
    """The result of a sweep: the paths of removed trees, and of those that could not be removed."""

    removed: list[str]
    stuck: list[str]


class StagingRoot:
    """A directory that contains staging directories. Needs no lock of the store; any number of processes may use it.

    Without `keep`, it exists only while it has contents, because old Go tools mistake it for one of its neighbors;
    `levels` is then the number of directories to remove, from `path` upward. With `guarded`, others remove it unless
    somebody holds the lock of GUARD in it. `beneath` is the directory below which files are renamed into it even across
    mount points; "" if there are none. `destroy` removes a directory tree if that takes more than removing files; it
    raises CstoreError.
    """

    def __init__(
        self,
        path: str,
        *,
        keep: bool = True,
        destroy: Callable[[str], None] | None = None,
        beneath: str = "",
        levels: int = 1,
        guarded: bool = False,
    ) -> None:
        self.path = path
        self.beneath = beneath
        self._keep = keep
        self._levels = levels
        self._guarded = guarded
        self.destroy = destroy or remove_staged

    def reserve(self) -> StagingDirectory:
        """Create a staging directory for this process.

        Raises:
            SystemFailure: no space, or no permission.
        """
        try:
            for attempt in range(_TRIES):
                if attempt > _AT_ONCE:  # other processes keep removing it: give them time to finish
                    sleep(attempt / 1000)
                staging = self._try_to_reserve()
                if staging is not None:
                    return staging
        except OSError as error:
            raise errors.SystemFailure("make a staging directory in", self.path, error) from None
        raise errors.SystemFailure("make a staging directory in", self.path, FileExistsError(17, "File exists"))

    def _try_to_reserve(self) -> StagingDirectory | None:
        """Create a staging directory; return None if another process removed the root meanwhile, or has the number."""
        try:
            make_directories(self.path)
        except FileNotFoundError:
            if self._keep:
                raise
            return None
        within.require_directory(*os.path.split(self.path), missing=True)
        guard = hold_guard(self.path) if self._guarded else -1
        if self._guarded and guard < 0:
            return None
        number = str(int.from_bytes(os.urandom(4), "little"))
        lock = -1
        try:
            lock = self._take_number(number)
        finally:
            if lock < 0 and guard >= 0:
                os.close(guard)
        return StagingDirectory(self, number, lock, guard) if lock >= 0 else None

    def put_aside(self, path: str) -> StagingDirectory | None:
        """Move `path` into staging; or delete it in place and return None if there is no space to move it.

        Nothing may need it any more. It may be missing or incomplete.

        Raises:
            SystemFailure: it cannot be moved or deleted.
        """
        return put_aside(path, self.reserve, self.destroy)

    def sweep(self) -> SweepResult:
        """Remove everything whose owner is dead; leave the rest.

        Single failures are reported in the result, not raised.

        Raises:
            SystemFailure: the directory itself cannot be read.
        """
        result = SweepResult([], [])
        numbers = sorted(self._numbers())
        for number in numbers:
            try:
                lock = self._open_and_lock(number, os.O_CREAT)
                if lock >= 0:
                    self._clear(number, lock, result)
            except (OSError, errors.ForeignThing):
                result.stuck.append(self._name(_LOCK, number))
        if not numbers:
            self._leave()
        return result

    def _leave(self) -> None:
        """Remove the directory if it is empty; a process that needs it creates it again."""
        if self._keep:
            return
        with suppress(OSError, errors.ForeignThing):
            if self._guarded and not self._numbers():
                lock = hold_guard(self.path, exclusive=True, create=False)
                if lock >= 0:
                    try:
                        within.unlink(os.path.join(self.path, GUARD))
                    finally:
                        os.close(lock)
            path = self.path
            for _ in range(self._levels):
                with suppress(FileNotFoundError):  # a process died after it had removed this one, but not its parents
                    within.rmdir(path)
                path = os.path.dirname(path)

    def stale(self) -> list[str]:
        """List the trees whose owner is dead, which `sweep` would try to remove. Changes nothing.

        Raises:
            SystemFailure: the directory itself cannot be read.
        """
        # A lock file exists before its tree and is removed after it.
        numbers = [each for each in sorted(self._numbers()) if not is_held(self._name(_LOCK, each), missing=False)]
        paths = [self._name(kind, number) for number in numbers for kind in (_TREE, _STUCK)]
        return [path for path in paths if presence.is_there(path)]

    def _numbers(self) -> set[str]:
        try:
            names = within.list_directory(*os.path.split(self.path))
        except (FileNotFoundError, NotADirectoryError, errors.ForeignThing):
            return set()  # a file in the way is reported by other checks
        except OSError as error:
            raise errors.SystemFailure("read", self.path, error) from None
        return {name.removeprefix(kind) for name in names for kind in (_LOCK, _TREE, _STUCK) if name.startswith(kind)}

    def _take_number(self, number: str) -> int:
        """Lock an unused number and create its directory. Return the lock, or -1 to try another number."""
        lock = self._open_and_lock(number, os.O_CREAT | os.O_EXCL)
        if lock < 0:
            return lock
        try:
            within.mkdir(self._name(_TREE, number), 0o700)
        except FileExistsError:
            os.close(lock)  # a leftover, which a sweep will remove
            return -1
        except OSError:
            within.unlink(self._name(_LOCK, number))
            os.close(lock)
            raise
        return lock

    def _open_and_lock(self, number: str, create: int) -> int:
        """Return the locked lock file; -1 if another process has it or it disappeared."""
        path = self._name(_LOCK, number)
        try:
            fd = within.open_file(*os.path.split(path), os.O_RDWR | create)
        except FileExistsError:
            return -1
        except FileNotFoundError:
            if self._keep:
                raise
            return -1  # another process removed the empty directory
        return fd if take(fd, path) else -1

    def _clear(self, number: str, lock: int, result: SweepResult) -> None:
        """Remove everything of a number whose lock we hold, then the lock."""
        try:
            for kind in (_STUCK, _TREE):
                path = self._name(kind, number)
                if presence.is_there(path):
                    self._remove(path, self._name(_STUCK, number), result)
            within.unlink(self._name(_LOCK, number))
        finally:
            os.close(lock)
        self._leave()

    def _remove(self, path: str, aside: str, result: SweepResult) -> None:
        try:
            self.destroy(path)
        except errors.CstoreError:
            if path != aside:
                try:
                    within.rename(path, aside)
                    path = aside
                except OSError:
                    pass  # reported under its present name
            result.stuck.append(path)
        else:
            result.removed.append(path)

    def _name(self, kind: str, number: str) -> str:
        return os.path.join(self.path, kind + number)


def put_aside(
    path: str, reserve: Callable[[], StagingDirectory], destroy: Callable[[str], None]
) -> StagingDirectory | None:
    """Move `path` into a new staging directory, or delete it in place; see `StagingRoot.put_aside`."""
    try:
        staging = reserve()
    except errors.SystemFailure as error:
        if error.errno not in NO_ROOM:
            raise
        destroy(path)
        return None
    try:
        staging.take(path)
    except BaseException:
        staging.remove()
        raise
    return staging


def is_held(path: str, *, missing: bool) -> bool:
    """Return whether another process holds, or may hold, the lock of a file; `missing` is the result without a file."""
    try:
        fd = within.open_file(*os.path.split(path))
    except FileNotFoundError:
        return missing
    except (OSError, errors.ForeignThing):
        return True  # unknown: treat it as held
    try:
        return conflicting_process(fd, exclusive=True) is not None
    except OSError:
        return True
    finally:
        os.close(fd)


def hold_guard(place: str, *, exclusive: bool = False, create: bool = True) -> int:
    """Lock the file GUARD in `place` and return it; -1 if another process holds it, or `place` does not exist.

    Raises:
        OSError: it cannot be opened or locked.
        ForeignThing: it is not a regular file.
    """
    try:
        fd = within.open_file(place, GUARD, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
    except FileNotFoundError:
        return -1
    return fd if take(fd, os.path.join(place, GUARD), exclusive=exclusive) else -1


def remove_staged(path: str) -> None:
    """Remove a staged tree, including mounts in it.

    It is usually empty, so rmdir is tried before the code for walking trees is imported.

    Raises:
        SystemFailure: something could not be removed.
    """
    try:
        within.rmdir(path)
    except FileNotFoundError:
        return
    except (errors.ForeignThing, OSError):
        from cstore.fs.tree.remove import remove_tree

        remove_tree(path, detach_mounts=True)


class StagingDirectory:
    """A directory that only its owner touches. Leaving the context, or `remove`, deletes it.

    If the owner is killed, the next sweep deletes it. Forked workers inherit the lock and must close it.
    """

    def __init__(self, root: StagingRoot, number: str, lock: int, guard: int = -1) -> None:
        self._root, self._number, self._lock, self._guard = root, number, lock, guard
        self._count = 0
        self.path = os.path.join(root.path, _TREE + number)

    def next_name(self, basename: str) -> str:
        """Return an unused path `<n>-<basename>` in this directory."""
        name = f"{self._count}-{basename}"
        self._count += 1
        return os.path.join(self.path, name)

    def take(self, path: str) -> str:
        """Move `path` into this directory and return its new path; "" if it did not exist.

        Raises:
            SystemFailure: it is on another file system, or mounted.
        """
        staged = self.next_name(os.path.basename(path.rstrip("/")))
        try:
            if self._root.beneath:
                rename_within(self._root.beneath, path, staged)
            else:
                rename_tree(path, staged)
        except FileNotFoundError:
            if presence.is_there(path):
                raise errors.SystemFailure(
                    "move", path, FileNotFoundError(2, ""), hint=f"{self.path} is gone"
                ) from None
            return ""
        except OSError as error:
            raise errors.SystemFailure("move", path, error) from None
        return staged

    def remove(self) -> list[str]:
        """Delete everything in this directory, and the directory. May take long: call it without locks. Repeatable.

        Returns:
            The paths that could not be deleted; they are renamed out of the way, and every sweep tries again.
        """
        if self._lock < 0:
            return []
        result, lock = SweepResult([], []), self._lock
        self._lock = -1
        try:
            self._root._clear(self._number, lock, result)  # noqa: SLF001  - both classes implement staging
        except OSError:
            result.stuck.append(self.path)
        finally:
            if self._guard >= 0:
                os.close(self._guard)
                self._guard = -1
                self._root._leave()  # noqa: SLF001  - as above
        return result.stuck

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()
