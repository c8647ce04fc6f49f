"""Move things from the store into quarantine, each noted in the journal before it is moved."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from cstore import presence
from cstore.errors import ForeignThing, SystemFailure
from cstore.fs import within
from cstore.fs.atomic import sync_directory, write_file
from cstore.fs.lockfile import LockFile, make_directories
from cstore.fs.rename import exchange_within, rename_within
from cstore.records.codec import encode, now
from cstore.store.quarantine.case import JOURNAL, Case, Kept, Recorded, line_of, line_of_successor
from cstore.store.session import leave_to_its_user
from cstore.store.way import require_way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.fs.lock_policy import LockPolicy
    from cstore.records.model import Record
    from cstore.records.table import Location
    from cstore.store.context import Context
    from cstore.store.places import ItemKind

_LONGEST = 200
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}
_BLOCK = 1 << 20
TREE = "tree "
"""The prefix of a tree's mark."""
FOLDER = "folder "
"""The prefix of the mark of a created directory that other files share, which is removed only if it is empty."""


@contextmanager
def quarantine_lock(context: Context, lock_policy: LockPolicy | None = None) -> Iterator[None]:
    """Hold the quarantine's lock, which comes before all other locks and excludes other repairs, undos and purges.

    Raises:
        LockTimeout: another process held it for longer than the store's lock policy allows.
        Unsupported: root is about to write into another user's store.
    """
    leave_to_its_user(context.layout)
    within.require_directory(*os.path.split(context.layout.quarantine), missing=True)
    with LockFile(os.path.join(context.layout.quarantine, "lock")).exclusive(lock_policy or context.lock_policy):
        yield


@contextmanager
def keeping(context: Context, by: str) -> Iterator[QuarantineWriter]:
    """Open a case, whose directory is created for its first entry. `by` is the command that caused it.

    Raises:
        LockTimeout: another repair is running.
    """
    with ExitStack() as stack:
        quarantine = QuarantineWriter(context, by, lambda: stack.enter_context(quarantine_lock(context)))
        if presence.is_directory(context.layout.graph_root) and not _in_the_way(context):  # what is not there stays so
            quarantine.take_lock()
        try:
            yield quarantine
        finally:
            quarantine.close()


def _in_the_way(context: Context) -> list[str]:
    """Return the path of the quarantine or its lock if it has the wrong type."""
    top = context.layout.quarantine
    if presence.is_there(top) and not within.is_directory(*os.path.split(top)):
        return [top]
    lock = os.path.join(top, "lock")
    return [lock] if presence.is_there(lock) and not within.is_file(top, "lock") else []


class QuarantineWriter:
    """The writer of one case, which moves things from the store into it."""

    def __init__(self, context: Context, by: str, take_lock: Callable[[], None]) -> None:
        """Use `keeping`. It takes the lock immediately or, if something is in its place, before the first step."""
        self._context = context
        self._take_lock = take_lock
        self._locked = False
        self._by = by
        self._case: Case | None = None
        self._entries: list[Kept | Recorded] = []
        self._without: dict[str, int] = {}
        self._journal = -1

    @property
    def case(self) -> Case | None:
        """The case with all its entries; None while it has none."""
        return self._case.with_(entries=tuple(self._entries)) if self._case else None

    def take_lock(self) -> None:
        """Take the lock of the quarantine, before any other; rename anything else in its place.

        Raises:
            SystemFailure: the lock cannot be taken.
            LockTimeout: another repair is running.
        """
        if self._locked:
            return
        for path in _in_the_way(self._context):
            try:
                within.rename(path, f"{self._context.layout.quarantine}.aside-{os.urandom(3).hex()}")
            except OSError as error:
                raise SystemFailure("move", path, error) from None
        self._take_lock()
        self._locked = True

    def close(self) -> None:
        """Close the journal."""
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1

    def keep(self, path: str, why: str, successor: str = "") -> bool:
        """Move a file or a tree into the case; the caller holds the lock that protects it.

        `successor` is the SHA-256 of a file that will replace it.

        Returns:
            Whether anything was at the path.

        Raises:
            SystemFailure: it could not be moved, and stays.
        """
        kept = self.promise(path, why, successor)
        if kept is not None:
            self.fulfil(kept)
        return kept is not None

    def promise(self, path: str, why: str, successor: str = "") -> Kept | None:
        """Note a path to move later, before its record is removed; None if nothing is there.

        If this process dies before `fulfil`, a garbage collection finds the path without a record and moves it into the
        case instead of deleting it.
        """
        self.take_lock()
        if not presence.is_there(path) or path == self._context.layout.quarantine:
            return None
        self._opened()
        kept = self._named(path, why).with_(successor=successor)
        self._note(kept)
        return kept

    def fulfil(self, kept: Kept) -> None:
        """Move a promised path into the case; do nothing if it is gone.

        Raises:
            SystemFailure: it could not be moved, and stays.
        """
        move_aside(self._context, self._opened(), kept)

    def keep_old(self, path: str, why: str, successor: str) -> None:
        """Keep a file that is about to be replaced by a rename, so that its path is never empty.

        It gets a second link in the case. A directory cannot have one, and is moved. `successor` is the SHA-256 of the
        file that will replace it.

        Raises:
            SystemFailure: it could not be kept, and stays.
        """
        mode = presence.mode_at(path)
        if not mode:
            self._note(Kept(os.path.abspath(path), "", why, successor))
            return
        if stat.S_ISDIR(mode):
            self.keep(path, why, successor)
            return
        case = self._opened()
        kept = self._named(path, why).with_(successor=successor)
        self._note(kept)
        try:
            within.link(path, case.path_of(kept))
            if self._context.sync:
                sync_directory(case.directory)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise SystemFailure("keep", path, error) from None
        else:
            return
        try:
            with open(within.open_file(*os.path.split(path)), "rb") as file:
                write_file(case.path_of(kept), iter(lambda: file.read(_BLOCK), b""), sync=self._context.sync)
        except OSError as error:
            raise SystemFailure("read", path, error) from None

    def exchange(self, path: str, new: str, why: str) -> None:
        """Replace the tree at `path` by `new`, in one step, and keep it in the case.

        Raises:
            SystemFailure: it failed; both are where they were, or `new` is in the case.
        """
        case = self._opened()
        root = self._context.layout.graph_root
        try:
            kept = self._named(path, why).with_(successor=tree_mark(new))
            self._note(kept)
            rename_within(root, new, case.path_of(kept))
            exchange_within(root, case.path_of(kept), path)
            if self._context.sync:
                sync_directory(os.path.dirname(path))
                sync_directory(case.directory)
        except OSError as error:
            hint = "it is on another file system than the graph root, or is mounted"
            raise SystemFailure("exchange", path, error, hint=hint) from None

    def succeed(self, path: str, why: str = "") -> None:
        """Note what was created at a path, whether or not something was moved from there.

        Raises:
            OSError: nothing is there.
        """
        self._succeed(os.path.abspath(path), mark_of(path), why)

    def made_folder(self, path: str, why: str = "") -> None:
        """Note a directory that was created for other files; other processes may also write into it.

        Raises:
            OSError: it does not exist.
        """
        self._succeed(os.path.abspath(path), folder_mark(path), why)

    def _succeed(self, where: str, mark: str, why: str) -> None:
        number = self._without.get(where, -1)
        if number < 0:
            self._note(Kept(where, "", why, mark))
            return
        self._append(line_of_successor(number, mark))
        self._entries[number] = self._entries[number].with_(successor=mark)
        del self._without[where]

    def changed(
        self, item_kind: ItemKind, location: Location, before: Record | None, after: Record | None, why: str
    ) -> None:
        """Note a record that is about to be removed (no `after`), created (no `before`) or changed."""
        self._note(Recorded(item_kind, location.value, _text(before), _text(after), why))

    def _named(self, path: str, why: str) -> Kept:
        """Give a thing a name in the case that every file system and terminal accepts.

        Raises:
            ForeignThing: a symbolic link in its path leads elsewhere.
        """
        require_way(self._context.layout, path)
        base = os.fsencode(os.path.basename(path.rstrip("/"))).decode("ascii", "ignore")
        name = "".join(filter(str.isprintable, f"{len(self._entries)}-{base}"))
        return Kept(os.path.abspath(path), name[:_LONGEST], why)

    def _note(self, entry: Kept | Recorded) -> None:
        self._append(line_of(entry))
        if isinstance(entry, Kept) and not entry.successor:
            self._without.setdefault(entry.path, len(self._entries))
        self._entries.append(entry)

    def _append(self, line: bytes) -> None:
        """Append a line to the journal and sync it before anything is moved; on failure, restore the journal.

        Raises:
            SystemFailure: it could not be written.
        """
        path = os.path.join(self._opened().directory, JOURNAL)
        try:
            if self._journal < 0:
                self._journal = within.open_file(*os.path.split(path), os.O_WRONLY | os.O_APPEND)
            length = os.fstat(self._journal).st_size
            try:
                rest = memoryview(line + b"\n")
                while rest:
                    rest = rest[os.write(self._journal, rest) :]
                if self._context.sync:
                    os.fdatasync(self._journal)
            except OSError:
                os.ftruncate(self._journal, length)
                raise
        except OSError as error:
            raise SystemFailure("write", path, error) from None

    def _opened(self) -> Case:
        if self._case is None:
            name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"
            directory = os.path.join(self._context.layout.quarantine, name)
            try:
                make_directories(directory, sync=self._context.sync)
            except OSError as error:
                raise SystemFailure("create the directory", directory, error) from None
            self._case = Case(name, directory, now(), self._by)
            self._case.write(sync=self._context.sync)
        return self._case


def move_aside(context: Context, case: Case, kept: Kept) -> None:
    """Move a thing to its path in a case.

    Raises:
        SystemFailure: it could not be moved, and stays.
    """
    try:
        with suppress(FileNotFoundError):
            rename_within(context.layout.graph_root, kept.path, case.path_of(kept))
        if context.sync:
            sync_directory(os.path.dirname(kept.path))
            sync_directory(case.directory)
    except OSError as error:
        hint = "it is on another file system than the graph root, or is mounted"
        raise SystemFailure("quarantine", kept.path, error, hint=hint) from None


def mark_of(path: str) -> str:
    """Return a mark that distinguishes a directory, link or file from one that replaces it later.

    Raises:
        OSError: it does not exist.
    """
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return tree_mark(path)
    return f"link {os.readlink(path)}" if stat.S_ISLNK(mode) else digest_of(path)


def tree_mark(path: str) -> str:
    """Return the mark of a directory.

    Raises:
        OSError: it does not exist.
    """
    from cstore.store.replacing import known_by

    inode, volume = known_by(path)
    return f"{TREE}{inode}-{volume}" if volume else f"{TREE}{inode}"


def folder_mark(path: str) -> str:
    """Return the mark of a directory that was created for other files.

    Raises:
        OSError: it does not exist.
    """
    return f"{FOLDER}{os.lstat(path).st_ino}"


def digest_of(path: str) -> str:
    """Return the SHA-256 of a file; "" if it cannot be read."""
    from hashlib import file_digest

    try:
        with open(within.open_file(*os.path.split(path)), "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except (OSError, ForeignThing):
        return ""


def _text(record: Record | None) -> str:
    return "" if record is None else encode(record).decode()
