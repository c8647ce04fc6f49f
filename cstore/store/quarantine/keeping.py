"""Taking things out of the store, each noted in the journal before it is moved."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

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
"""How the mark of a tree begins."""
FOLDER = "folder "
"""How the mark of a directory begins that was made for other things to be put into, and goes only when it is empty."""


@contextmanager
def quarantine_lock(context: Context, lock_policy: LockPolicy | None = None) -> Iterator[None]:
    """Hold the lock that prevents concurrent quarantine operations. Take it before all other locks.

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
    """Open a case, which is made when the first thing goes into it. `by` is the command that asked.

    Raises:
        LockTimeout: another repair is at work.
    """
    with ExitStack() as stack:
        quarantine = QuarantineWriter(context, by, lambda: stack.enter_context(quarantine_lock(context)))
        if not _in_the_way(context):
            quarantine.take_lock()
        try:
            yield quarantine
        finally:
            quarantine.close()


def _in_the_way(context: Context) -> list[str]:
    """A file of the wrong type in the place of the quarantine or of its lock."""
    top = context.layout.quarantine
    if os.path.lexists(top) and not within.is_directory(*os.path.split(top)):
        return [top]
    lock = os.path.join(top, "lock")
    return [lock] if os.path.lexists(lock) and not within.is_file(top, "lock") else []


class QuarantineWriter:
    """Takes things out of the store into one case."""

    def __init__(self, context: Context, by: str, take_lock: Callable[[], None]) -> None:
        """Use `keeping`. The lock is taken at once; where something is in its place, when the first step is made."""
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
        """The case with all its entries; None as long as nothing was taken out."""
        return self._case.with_(entries=tuple(self._entries)) if self._case else None

    def take_lock(self) -> None:
        """Take the lock of the quarantine, before any other; renames another file in its place.

        Raises:
            SystemFailure: it cannot be.
            LockTimeout: another repair is at work.
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
        """Let go of the journal."""
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1

    def keep(self, path: str, why: str, successor: str = "") -> bool:
        """Take a file or a tree out of the store; call it with the lock held that protects it.

        `successor` is the SHA-256 of a file that is going to be in its place.

        Returns:
            Whether there was anything.

        Raises:
            SystemFailure: it could not be moved, and is where it was.
        """
        kept = self.promise(path, why, successor)
        if kept is not None:
            self.fulfil(kept)
        return kept is not None

    def promise(self, path: str, why: str, successor: str = "") -> Kept | None:
        """Note what is going to be taken out, before the record that it belongs to goes; None if it is not there.

        If we die before `fulfil`, a collection finds it without a record, and does that instead of deleting it.
        """
        self.take_lock()
        if not os.path.lexists(path) or path == self._context.layout.quarantine:
            return None
        self._opened()
        kept = self._named(path, why).with_(successor=successor)
        self._note(kept)
        return kept

    def fulfil(self, kept: Kept) -> None:
        """Take out what was promised; nothing, if it is not there any more.

        Raises:
            SystemFailure: it could not be moved, and is where it was.
        """
        move_aside(self._context, self._opened(), kept)

    def keep_old(self, path: str, why: str, successor: str) -> None:
        """Keep what is about to be replaced by a rename, which leaves no moment without it.

        It gets a second name in the case. A directory cannot have one, and is taken out. `successor` is the SHA-256 of
        the file that is going to be there.

        Raises:
            SystemFailure: it could not be kept, and is where it was.
        """
        try:
            is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
        except OSError:
            self._note(Kept(os.path.abspath(path), "", why, successor))
            return
        if is_directory:
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
            self._copy(path, case.path_of(kept))

    def _copy(self, path: str, target: str) -> None:
        try:
            with open(within.open_file(*os.path.split(path)), "rb") as file:
                write_file(target, iter(lambda: file.read(_BLOCK), b""), sync=self._context.sync)
        except OSError as error:
            raise SystemFailure("read", path, error) from None

    def exchange(self, path: str, new: str, why: str) -> None:
        """Put the tree `new` in the place of `path`, whose tree goes into the case, in one step.

        Raises:
            SystemFailure: it could not be done, and both are where they were, or `new` is in the case.
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
        """Note what was made at a path, where something was taken out or nothing was.

        Raises:
            OSError: there is nothing.
        """
        self._succeed(os.path.abspath(path), mark_of(path), why)

    def made_folder(self, path: str, why: str = "") -> None:
        """Note a directory that was made for other things to be put into; others may put theirs there, too.

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
        """Note a record that is about to be removed (no `after`), made (no `before`) or changed."""
        self._note(Recorded(item_kind, location.value, _text(before), _text(after), why))

    def _named(self, path: str, why: str) -> Kept:
        """Return a name for an item in the case that is valid on every file system and terminal.

        Raises:
            ForeignThing: a link on the way to it would lead elsewhere.
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
        """Add a line to the journal, on the disk before anything is moved; or leave the journal as it was.

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
                raise SystemFailure("make the directory", directory, error) from None
            self._case = Case(name, directory, now(), self._by)
            self._case.write(sync=self._context.sync)
        return self._case


def move_aside(context: Context, case: Case, kept: Kept) -> None:
    """Move a thing to where an entry of a case says that it is.

    Raises:
        SystemFailure: it could not be moved, and is where it was.
    """
    try:
        with suppress(FileNotFoundError):
            rename_within(context.layout.graph_root, kept.path, case.path_of(kept))
        if context.sync:
            sync_directory(os.path.dirname(kept.path))
            sync_directory(case.directory)
    except OSError as error:
        hint = "it is on another file system than the graph root, or is mounted"
        raise SystemFailure("take out", kept.path, error, hint=hint) from None


def mark_of(path: str) -> str:
    """Return a mark that distinguishes a directory, link or file from a later one with the same path.

    Raises:
        OSError: it does not exist.
    """
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return tree_mark(path)
    return f"link {os.readlink(path)}" if stat.S_ISLNK(mode) else digest_of(path)


def tree_mark(path: str) -> str:
    """Return the identity of a directory.

    Raises:
        OSError: it does not exist.
    """
    from cstore.store.replacing import known_by

    inode, volume = known_by(path)
    return f"{TREE}{inode}-{volume}" if volume else f"{TREE}{inode}"


def folder_mark(path: str) -> str:
    """Return the identity of a directory that was made for other items.

    Raises:
        OSError: it does not exist.
    """
    return f"{FOLDER}{os.lstat(path).st_ino}"


def digest_of(path: str) -> str:
    """Hash a file; "" if it cannot be read."""
    from hashlib import file_digest

    try:
        with open(within.open_file(*os.path.split(path)), "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except (OSError, ForeignThing):
        return ""


def _text(record: Record | None) -> str:
    return "" if record is None else encode(record).decode()
