"""Directories for things in the making or on their way out, which anybody may sweep once their owner is gone.

    ROOT/                        0700  made when first needed, then kept, or removed whenever it is empty
    ├── lock-1234567890          0600  locked for as long as the owner lives
    ├── temp-dir-1234567890/     0700  the owner's things; names inside begin with a number
    └── stuck-987654321/               what could not be removed: out of the Go tools' sight, tried again by every sweep

The Go tools (from 1.59 on) keep what they delete in the same places, and sweep them whenever they load layers: a number
whose lock is free has lost its owner (store-format 10.1). Hence the order of every step here: the lock file first, then
its lock, then a look whether it is still the file of that name (a sweeper may have had it in hand), and only then the
directory.

A Go tool that meets a `temp-dir-*` which it cannot remove fails to load the layers at all. So nothing is ever left
under that name: what resists is renamed to `stuck-*`, which no Go tool looks at.
"""

from __future__ import annotations

import os
from time import sleep

from cstore import errors
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
"""A file in a place that others may remove while its lock is free: the Go tools do so with partial pulls."""
_LOCK, _TREE, _STUCK = "lock-", "temp-dir-", "stuck-"
_TRIES = 100
_AT_ONCE = 10
"""How often it is tried without a pause."""


class SweepResult(Value):
    """The result of a sweep: the paths of removed trees, and of those that could not be removed."""

    removed: list[str]
    stuck: list[str]


class StagingRoot:
    """A place where staging directories are made. Needs no lock of the store; any number of processes may use it.

    Without `keep`, it exists only while it is not empty: old Go tools mistake it for one of its siblings. `levels` says
    how many directories are removed then, from `path` upward. With `guarded`, others remove the place while nobody
    holds the lock of GUARD in it. `beneath` is the directory below which things are renamed into it, whatever is
    mounted in between; "" if nothing is. `destroy` removes a directory with all that is in it, if that takes more than
    removing files; it raises CstoreError.
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
        """Make a staging directory of our own.

        Raises:
            SystemFailure: no space, or no permission.
        """
        try:
            for attempt in range(_TRIES):
                if attempt > _AT_ONCE:  # another process removes it again and again: give it time to end
                    sleep(attempt / 1000)
                if not self._made():
                    continue
                within.require_directory(*os.path.split(self.path), missing=True)
                guard = hold_guard(self.path) if self._guarded else -1
                if self._guarded and guard < 0:
                    continue
                number = str(int.from_bytes(os.urandom(4), "little"))
                lock = -1
                try:
                    lock = self._take_number(number)
                finally:
                    if lock < 0 and guard >= 0:
                        os.close(guard)
                if lock >= 0:
                    return StagingDirectory(self, number, lock, guard)
        except OSError as error:
            raise errors.SystemFailure("make a staging directory in", self.path, error) from None
        raise errors.SystemFailure("make a staging directory in", self.path, FileExistsError(17, "File exists"))

    def put_aside(self, path: str) -> StagingDirectory | None:
        """Move `path` out of sight; None if that needs space that is not there, and `path` was deleted where it was.

        Nothing may need it any more when this is called, whether it is there, or half of it.

        Raises:
            SystemFailure: it cannot be moved or deleted.
        """
        return put_aside(path, self.reserve, self.destroy)

    def _made(self) -> bool:
        """Make the place; say whether it is there. Somebody may find it empty, and remove it, while it is made."""
        try:
            make_directories(self.path)
        except FileNotFoundError:
            if self._keep:
                raise
            return False
        return True

    def sweep(self) -> SweepResult:
        """Remove everything here whose owner is gone; leave alone what is in use.

        Nothing is raised for a single thing that cannot be removed: it is reported.

        Raises:
            SystemFailure: the place itself cannot be read.
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
        """Remove the place if it is empty; a process that needs it creates it again."""
        if self._keep:
            return
        with suppress(OSError, errors.ForeignThing):
            if self._guarded and not self._numbers():
                _drop_guard(self.path)
            path = self.path
            for _ in range(self._levels):
                with suppress(FileNotFoundError):  # a process died after removing this one, but not its parents
                    within.rmdir(path)
                path = os.path.dirname(path)

    def stale(self) -> list[str]:
        """List the trees here whose owner is gone: what `sweep` would try to remove. Changes nothing.

        Raises:
            SystemFailure: the place itself cannot be read.
        """
        # A lock is there before its tree, and goes after it.
        numbers = [each for each in sorted(self._numbers()) if not is_held(self._name(_LOCK, each), missing=False)]
        paths = [self._name(kind, number) for number in numbers for kind in (_TREE, _STUCK)]
        return [path for path in paths if os.path.lexists(path)]

    def _numbers(self) -> set[str]:
        try:
            names = within.list_directory(*os.path.split(self.path))
        except (FileNotFoundError, NotADirectoryError, errors.ForeignThing):
            return set()  # what stands there, or above it, is a finding of its own
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
            os.close(lock)  # another process's leftover: a sweep removes it
            return -1
        except OSError:
            within.unlink(self._name(_LOCK, number))
            os.close(lock)
            raise
        return lock

    def _open_and_lock(self, number: str, create: int) -> int:
        """Return the lock file, locked; -1 if another process has it, or it was removed meanwhile."""
        path = self._name(_LOCK, number)
        try:
            fd = within.open_file(*os.path.split(path), os.O_RDWR | create)
        except FileExistsError:
            return -1
        except FileNotFoundError:
            if self._keep:
                raise
            return -1  # another process found the place empty and removed it
        return fd if take(fd, path) else -1

    def _clear(self, number: str, lock: int, result: SweepResult) -> None:
        """Remove what belongs to a number whose lock we hold, and the lock with it."""
        try:
            for kind in (_STUCK, _TREE):
                path = self._name(kind, number)
                if os.path.lexists(path):
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
                    pass  # reported under the name that it still has
            result.stuck.append(path)
        else:
            result.removed.append(path)

    def _name(self, kind: str, number: str) -> str:
        return os.path.join(self.path, kind + number)


def put_aside(
    path: str, reserve: Callable[[], StagingDirectory], destroy: Callable[[str], None]
) -> StagingDirectory | None:
    """Move `path` into a new staging directory, or destroy it where it is; see `StagingRoot.put_aside`."""
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
    """Whether a process holds the lock of a file, or may hold it; `missing` is the result if there is no file."""
    try:
        fd = within.open_file(*os.path.split(path))
    except FileNotFoundError:
        return missing
    except (OSError, errors.ForeignThing):
        return True  # unknown: leave it alone
    try:
        return conflicting_process(fd, exclusive=True) is not None
    except OSError:
        return True
    finally:
        os.close(fd)


def hold_guard(place: str, *, exclusive: bool = False, create: bool = True) -> int:
    """Lock the file GUARD in `place` and return it; -1 if another process has it, or the place is gone.

    Raises:
        OSError: it cannot be opened or locked.
        ForeignThing: it is of another type.
    """
    try:
        fd = within.open_file(place, GUARD, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
    except FileNotFoundError:
        return -1
    return fd if take(fd, os.path.join(place, GUARD), exclusive=exclusive) else -1


def _drop_guard(place: str) -> None:
    """Remove the file GUARD of an empty, unused place. Raises OSError."""
    lock = hold_guard(place, exclusive=True, create=False)
    if lock >= 0:
        within.unlink(os.path.join(place, GUARD))
        os.close(lock)


def remove_staged(path: str) -> None:
    """Remove a staging directory, and unmount what is mounted in it.

    It is usually empty, and then needs no walk, and no import for one.

    Raises:
        SystemFailure: something is left.
    """
    try:
        within.rmdir(path)
    except FileNotFoundError:
        return
    except (errors.ForeignThing, OSError):
        from cstore.fs.tree.remove import remove_tree

        remove_tree(path, detach_mounts=True)


class StagingDirectory:
    """A directory that only its owner touches. Leaving the context, or `remove`, takes it away.

    A killed owner leaves it to the next sweep. The lock goes to forked workers too: they must close it.
    """

    def __init__(self, root: StagingRoot, number: str, lock: int, guard: int = -1) -> None:
        self._root, self._number, self._lock, self._guard = root, number, lock, guard
        self._count = 0
        self.path = os.path.join(root.path, _TREE + number)

    def next_name(self, basename: str) -> str:
        """Return a fresh path `<n>-<basename>` in here, to make something at."""
        name = f"{self._count}-{basename}"
        self._count += 1
        return os.path.join(self.path, name)

    def take(self, path: str) -> str:
        """Move `path` in here, out of sight, and return its new path; "" if it did not exist.

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
            if os.path.lexists(path):
                raise errors.SystemFailure(
                    "move", path, FileNotFoundError(2, ""), hint=f"{self.path} is gone"
                ) from None
            return ""
        except OSError as error:
            raise errors.SystemFailure("move", path, error) from None
        return staged

    def remove(self) -> list[str]:
        """Delete the directory with its contents. Call it without locks: it may take long. May be called twice.

        Returns:
            The paths that could not be deleted; they are hidden, and every sweep tries again.
        """
        if self._lock < 0:
            return []
        result, lock = SweepResult([], []), self._lock
        self._lock = -1
        try:
            self._root._clear(self._number, lock, result)  # noqa: SLF001  - the two classes are one room
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
