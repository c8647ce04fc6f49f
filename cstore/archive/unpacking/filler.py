"""The process that fills a tree: confined first, then carrying out orders until there are no more."""

from __future__ import annotations

import errno
import gc
import marshal
import os
import sys

from cstore import errors
from cstore.archive.names import join_name, show_name
from cstore.archive.unpacking import orders as codes
from cstore.archive.unpacking.below import Below
from cstore.archive.unpacking.beneath import CopyUp
from cstore.archive.unpacking.entries import Entries
from cstore.archive.unpacking.ground import Ground
from cstore.archive.unpacking.implied import Likeness
from cstore.archive.unpacking.paths import Paths
from cstore.archive.unpacking.removal import Removal
from cstore.contexts import suppress
from cstore.kernel.process import close_all_but, die_with_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, BinaryIO, NoReturn

    from cstore.archive.unpacking.orders import Order, Terms
else:
    import _signal as signal  # `signal` puts enumerations around it, whose import takes longer

ANSWER = 0xFF
"""The byte before the final answer; smaller ones name slots of the ring that are free again."""

DONE, REFUSED, SYSTEM, BROKEN = range(4)

_SYSTEM_TROUBLE = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE,
}  # fmt: skip
"""What is wrong with the file system or the process, whichever entry it happened at."""

HELD_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
"""Signals for which the caller may have handlers; held back while the process is forked."""

_RECURSION = 10_000  # a directory may be some thousand levels deep, and removing takes a few calls for each


def fill_tree(parent: int, incoming: int, outgoing: int, root_fd: int, ring: memoryview, terms: Terms) -> NoReturn:
    """Be the filling process. Everything it needs must have been imported: it may see no library any more."""
    message: tuple[int, Any] = (BROKEN, "it did not begin")
    try:
        _confine(parent, {incoming, outgoing, root_fd, *(lower.hold() for lower in terms.lowers)}, root_fd)
        message = _serve(incoming, outgoing, root_fd, ring, terms)
    except OSError as error:
        message = (SYSTEM, error.errno or 0)
    except MemoryError:
        message = (SYSTEM, errno.ENOMEM)
    except BaseException:  # noqa: BLE001  - whatever it was, it must not unwind into the parent's frames
        message = (BROKEN, _describe_failure())
    finally:
        try:
            _write(outgoing, bytes((ANSWER,)) + marshal.dumps(message))
        finally:
            os._exit(0 if message[0] == DONE else 1)


def _confine(parent: int, keep: set[int], root_fd: int) -> None:
    # Ctrl-C reaches the whole process group, and the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in HELD_SIGNALS - {signal.SIGINT}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    die_with_parent(parent)
    close_all_but(keep)
    os.fchdir(root_fd)
    with suppress(PermissionError):  # no step leaves the tree anyhow: this is the door's second lock
        os.chroot(".")
    os.umask(0)
    gc.disable()
    sys.setrecursionlimit(_RECURSION)


def _serve(incoming: int, outgoing: int, root_fd: int, ring: memoryview, terms: Terms) -> tuple[int, Any]:
    """Carry out orders; return the final answer."""
    below = Below(root_fd, terms)
    paths = Paths(root_fd, terms, below)
    ground = Ground(root_fd, terms, paths)
    likeness = Likeness(terms, paths, ground, below)
    entries = Entries(terms, paths, ground, ring, CopyUp(paths, below))
    removal = Removal(terms, paths, ground.displaced, below)
    handlers = _handlers(entries, removal, outgoing)
    order: Order = (codes.FINISH,)
    try:
        with os.fdopen(incoming, "rb", 1 << 16) as stream:
            while (batch := _read_batch(stream))[0][0] != codes.FINISH:
                for order in batch:
                    handlers[order[0]](order)
        entries.times.set_found(paths)
        likeness.give(root_listed=entries.root_listed)
        removal.settle()
        entries.times.set_listed(paths, displaced=bool(ground.displaced.report))
    except errors.CstoreError as error:
        return REFUSED, (type(error).__name__, error.args, vars(error))
    except OSError as error:
        return _judge(error, entries.unfinished or order)
    except OverflowError as error:
        return _refuse(order, str(error))
    return DONE, ground.displaced.report.pack()


def _handlers(entries: Entries, removal: Removal, outgoing: int) -> list[Callable[[Order], None]]:
    """What carries out an order, by its code."""
    table: dict[int, Callable[[Order], None]] = {
        codes.FILE: entries.file,
        codes.BEGIN: entries.begin,
        codes.DATA: entries.data,
        codes.SEEK: entries.seek,
        codes.END: entries.end,
        codes.DIRECTORY: entries.directory,
        codes.SYMLINK: entries.symlink,
        codes.HARD_LINK: entries.hard_link,
        codes.NODE: entries.node,
        codes.WHITEOUT: removal.whiteout,
        codes.OPAQUE: removal.opaque,
        codes.RELEASE: lambda order: _write(outgoing, bytes((order[1],))),
    }
    return [table[code] for code in range(codes.FINISH)]


def _read_batch(stream: BinaryIO) -> list[Order]:
    head = stream.read(4)
    if len(head) < 4:
        os._exit(1)  # the parent has given up
    batch: list[Order] = marshal.loads(stream.read(int.from_bytes(head, "little")))  # noqa: S302  - our parent's
    return batch


def _judge(error: OSError, order: Order) -> tuple[int, Any]:
    """Tell the trouble of the file system from that of an entry."""
    if error.errno in _SYSTEM_TROUBLE:
        return SYSTEM, error.errno
    return _refuse(order, os.strerror(error.errno).lower() if error.errno else str(error))


def _refuse(order: Order, reason: str) -> tuple[int, Any]:
    name = join_name(order[1], order[2]) if codes.FIRST_CREATING <= order[0] <= codes.LAST_CREATING else b""
    if order[0] in {codes.WHITEOUT, codes.OPAQUE}:
        name = order[1]
    error = errors.EntryFailed(show_name(name or b"/"), reason)
    return REFUSED, (type(error).__name__, error.args, vars(error))


def _describe_failure() -> str:
    """A traceback in one line; the library that writes better ones cannot be loaded here."""
    kind, error, trace = sys.exc_info()
    places = []
    step: TracebackType | None = trace
    while step is not None:
        places.append(f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}")
        step = step.tb_next
    return f"{kind.__name__ if kind else ''}: {error} ({' → '.join(places)})"


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
