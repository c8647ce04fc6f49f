"""Taking things out of the store, each noted in the journal before it is moved."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cstore.errors import SystemFailure
from cstore.fs.atomic import sync_directory, write_file
from cstore.fs.lockfile import LockFile, make_directories
from cstore.fs.rename import exchange_within, rename_within
from cstore.records.codec import encode, now
from cstore.store.quarantine.case import Case, Kept, Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.records.model import Record
    from cstore.records.table import Location
    from cstore.store.context import Context
    from cstore.store.places import Shelf

_LONGEST = 200
_BLOCK = 1 << 20


@contextmanager
def quarantine_lock(context: Context) -> Iterator[None]:
    """Keep others from taking out, bringing back or throwing away at the same time. Comes before all other locks.

    Raises:
        LockTimeout: somebody else held it for longer than the store's patience.
    """
    with LockFile(os.path.join(context.layout.quarantine, "lock")).exclusive(context.patience):
        yield


@contextmanager
def keeping(context: Context, by: str) -> Iterator[Keeper]:
    """Open a case, which is made when the first thing goes into it. `by` is the command that asked.

    Raises:
        LockTimeout: another repair is at work.
    """
    with quarantine_lock(context):
        yield Keeper(context, by)


class Keeper:
    """Takes things out of the store into one case."""

    def __init__(self, context: Context, by: str) -> None:
        """Use `keeping`."""
        self._context = context
        self._by = by
        self.case: Case | None = None

    def keep(self, path: str, why: str) -> bool:
        """Take a file or a tree out of the store; call it with the lock held that protects it.

        Returns:
            Whether there was anything.

        Raises:
            SystemFailure: it could not be moved, and is where it was.
        """
        if not os.path.lexists(path):
            return False
        case = self._opened()
        name = f"{len(case.entries)}-{os.path.basename(path.rstrip('/'))}"[:_LONGEST]
        kept = Kept(os.path.abspath(path), name, why)
        self._note(kept)
        try:
            rename_within(self._context.layout.graph_root, path, case.path_of(kept))
            if self._context.sync:
                sync_directory(os.path.dirname(path))
                sync_directory(case.directory)
        except OSError as error:
            hint = "it lies on another file system than the graph root, or is mounted"
            raise SystemFailure("take out", path, error, hint=hint) from None
        return True

    def copy(self, path: str, why: str) -> None:
        """Keep a copy of a file that is about to be written anew; `succeed` it with what was written.

        Raises:
            SystemFailure: it cannot be read or copied.
        """
        case = self._opened()
        name = f"{len(case.entries)}-{os.path.basename(path)}"[:_LONGEST]
        kept = Kept(os.path.abspath(path), name, why)
        try:
            with open(path, "rb") as file:
                write_file(case.path_of(kept), iter(lambda: file.read(_BLOCK), b""), sync=self._context.sync)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SystemFailure("read", path, error) from None
        self._note(kept)

    def exchange(self, path: str, new: str, why: str) -> None:
        """Put the tree `new` in the place of `path`, whose tree goes into the case, in one step.

        Raises:
            SystemFailure: it could not be done, and both are where they were, or `new` is in the case.
        """
        case = self._opened()
        name = f"{len(case.entries)}-{os.path.basename(path.rstrip('/'))}"[:_LONGEST]
        root = self._context.layout.graph_root
        try:
            kept = Kept(os.path.abspath(path), name, why, tree_mark(new))
            self._note(kept)
            rename_within(root, new, case.path_of(kept))
            exchange_within(root, case.path_of(kept), path)
            if self._context.sync:
                sync_directory(os.path.dirname(path))
                sync_directory(case.directory)
        except OSError as error:
            hint = "it lies on another file system than the graph root, or is mounted"
            raise SystemFailure("exchange", path, error, hint=hint) from None

    def succeed(self, path: str) -> None:
        """Note what was put in the place of a file that was taken out, so that it can be told from later changes."""
        if self.case is None:
            return
        entries = list(self.case.entries)
        for number, entry in reversed(list(enumerate(entries))):
            if isinstance(entry, Kept) and entry.path == os.path.abspath(path):
                entries[number] = entry.with_(successor=digest_of(path))
                self._write(tuple(entries))
                return

    def changed(self, shelf: Shelf, location: Location, before: Record | None, after: Record | None, why: str) -> None:
        """Note a record that is about to be removed (no `after`), made (no `before`) or changed."""
        self._note(Recorded(shelf, location.value, _text(before), _text(after), why))

    def _note(self, entry: Kept | Recorded) -> None:
        self._write((*self._opened().entries, entry))

    def _write(self, entries: tuple[Kept | Recorded, ...]) -> None:
        self.case = self._opened().with_(entries=entries)
        self.case.write(sync=self._context.sync)

    def _opened(self) -> Case:
        if self.case is None:
            name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"
            directory = os.path.join(self._context.layout.quarantine, name)
            try:
                make_directories(directory)
            except OSError as error:
                raise SystemFailure("make the directory", directory, error) from None
            self.case = Case(name, directory, now(), self._by)
            self.case.write(sync=self._context.sync)
            if self._context.sync:
                sync_directory(self._context.layout.quarantine)
        return self.case


def tree_mark(path: str) -> str:
    """Tell a tree from another one that is put in its place later.

    Raises:
        OSError: there is none.
    """
    status = os.lstat(path)
    return f"tree {status.st_dev}:{status.st_ino}"


def digest_of(path: str) -> str:
    """Hash a file; "" if there is none that can be read."""
    from hashlib import file_digest

    try:
        with open(path, "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _text(record: Record | None) -> str:
    return "" if record is None else encode(record).decode()
