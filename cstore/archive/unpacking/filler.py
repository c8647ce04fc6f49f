"""The process that fills a tree: it confines itself, then executes orders until the last one."""

from __future__ import annotations

import errno
import gc
import marshal
import os
import stat
import sys

from cstore import errors
from cstore.archive.names import join_name, show_name, split_name
from cstore.archive.override import ATTRIBUTE, Override, override_in
from cstore.archive.unpacking import orders as codes
from cstore.archive.unpacking.clearing import Clearing
from cstore.archive.unpacking.entries import Entries, set_times
from cstore.archive.unpacking.lowers import Below, CopyUp
from cstore.archive.unpacking.paths import GONE, Missing, Paths
from cstore.archive.unpacking.removal import Removal
from cstore.archive.xattrs import to_set
from cstore.contexts import suppress
from cstore.kernel.process import close_all_but, die_with_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any, BinaryIO, NoReturn

    from cstore.archive.composefs import Tree
    from cstore.archive.unpacking.orders import Order, Terms
else:
    import _signal as signal  # `signal` also imports enumerations, which takes longer

ANSWER = 0xFF
"""The byte before the final answer; smaller ones are the numbers of released slots of the ring."""

DONE, REFUSED, SYSTEM, BROKEN = range(4)

_SYSTEM_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE,
}  # fmt: skip
"""Errors of the file system or the process, which do not depend on the entry."""

HELD_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
"""Signals for which the caller may have handlers; they are blocked while the process is forked."""

_RECURSION = 10_000  # a directory may be some thousand levels deep, and removing takes a few calls for each


def fill_tree(parent: int, incoming: int, outgoing: int, root_fd: int, ring: memoryview, terms: Terms) -> NoReturn:
    """Run the filling process. All modules must be imported before: after the chroot, libraries are unreachable."""
    message: tuple[int, Any] = (BROKEN, "it did not start")
    try:
        others = {lower.hold() for lower in terms.lowers} | ({terms.donor.fd} if terms.donor else set())
        _confine(parent, {incoming, outgoing, root_fd, *others}, root_fd)
        message = _serve(incoming, outgoing, root_fd, ring, terms)
    except OSError as error:
        message = (SYSTEM, error.errno or 0)
    except MemoryError:
        message = (SYSTEM, errno.ENOMEM)
    except BaseException as error:  # noqa: BLE001  - an exception must not unwind into the parent's frames
        places, step = [], error.__traceback__
        while step is not None:  # the traceback module cannot be imported here
            places.append(f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}")
            step = step.tb_next
        message = (BROKEN, f"{type(error).__name__}: {error} ({' → '.join(places)})")
    finally:
        try:
            _write(outgoing, bytes((ANSWER,)) + marshal.dumps(message))
        finally:
            os._exit(0 if message[0] == DONE else 1)


def _confine(parent: int, keep: set[int], root_fd: int) -> None:
    # Ctrl-C reaches the whole process group, but the parent must handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in HELD_SIGNALS - {signal.SIGINT}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    die_with_parent(parent)
    close_all_but(keep)
    os.fchdir(root_fd)
    with suppress(PermissionError):  # a second line of defense: paths are confined to the tree without it
        os.chroot(".")
    os.umask(0)
    gc.disable()
    sys.setrecursionlimit(_RECURSION)


def _serve(incoming: int, outgoing: int, root_fd: int, ring: memoryview, terms: Terms) -> tuple[int, Any]:
    """Execute orders; return the final answer."""
    below = Below(root_fd, terms)
    paths = Paths(root_fd, terms, below)
    clearing = Clearing(root_fd, terms, paths)
    metadata = MetadataCopier(terms, paths, clearing, below)
    entries = Entries(terms, paths, clearing, ring, CopyUp(paths, below))
    removal = Removal(terms, paths, clearing.displaced, below)
    handlers: dict[int, Callable[[Order], None]] = {
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
    order: Order = (codes.FINISH,)
    try:
        with os.fdopen(incoming, "rb", 1 << 16) as stream:
            while (batch := _read_batch(stream))[0][0] != codes.FINISH:
                for order in batch:
                    handlers[order[0]](order)
        # Unlisted directories that existed before get back their times.
        set_times(paths, ((path, times) for path, times in paths.found if not paths.is_new(path)), sure=False)
        metadata.copy_all(root_listed=entries.root_listed)
        removal.settle()
        set_times(paths, entries.times, sure=not clearing.displaced.report)
    except errors.CstoreError as error:
        return REFUSED, errors.taken_apart(error)
    except OSError as error:
        if error.errno in _SYSTEM_ERRORS:
            return SYSTEM, error.errno
        return _refuse(entries.unfinished or order, os.strerror(error.errno).lower() if error.errno else str(error))
    except OverflowError as error:
        return _refuse(order, str(error))
    return DONE, clearing.displaced.report.pack()


def _read_batch(stream: BinaryIO) -> list[Order]:
    head = stream.read(4)
    if len(head) < 4:
        os._exit(1)  # the parent closed the pipe
    batch: list[Order] = marshal.loads(stream.read(int.from_bytes(head, "little")))  # noqa: S302  - our parent's
    return batch


def _refuse(order: Order, reason: str) -> tuple[int, Any]:
    name = join_name(order[1], order[2]) if codes.FIRST_CREATING <= order[0] <= codes.LAST_CREATING else b""
    if order[0] in {codes.WHITEOUT, codes.OPAQUE}:
        name = order[1]
    error = errors.EntryFailed(show_name(name or b"/"), reason)
    return REFUSED, errors.taken_apart(error)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


# ── directories without an entry ──
#
# Directories that an archive needs but does not list, in a tree that is one layer of a union.
#
# A directory in the upper layer of a union covers owner, mode, attributes and times of the one below. Metadata that an
# archive does not list must not change, so it is copied once all removals of the archive are known.

_NO_SUCH_OWNER = frozenset({errno.EINVAL, errno.EPERM})


class MetadataCopier:
    """Copies the metadata of lower directories to unlisted directories of the tree."""

    def __init__(self, terms: Terms, paths: Paths, clearing: Clearing, below: Below) -> None:
        self._terms, self._paths, self._clearing, self._below = terms, paths, clearing, below
        self._root_is_new = bool(terms.lowers) and not terms.again and not os.listdir(paths.root.fd)

    def copy_all(self, *, root_listed: bool) -> None:
        """Give all unlisted directories the metadata of those below.

        Raises:
            EntryFailed: the metadata depends on a layer that is not read, or cannot be set here.
        """
        for path, _ in reversed(self._paths.implied):
            if self._paths.takes_after(path):
                self._copy_to(path)
        if self._root_is_new and not root_listed:
            root = self._paths.root.fd
            tree, folder = self._below.directory(b"")
            self._clearing.set_xattrs(root, b"/", _attributes(tree, folder))  # the driver set owner and mode
            _set_times(root, _status(tree, folder))

    def _copy_to(self, path: bytes) -> None:
        below = self._below.look(path)
        if below is None or not stat.S_ISDIR(below.st_mode):
            return
        try:
            target = self._paths.folder(path, Missing.REFUSED)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return
        if target.path != path:
            return
        tree, folder = self._below.directory(path)
        status = _status(tree, folder)
        meant = override_in(tree.attributes(folder))
        meant = meant or Override(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        if self._terms.force_mask >= 0:
            os.setxattr(target.fd, ATTRIBUTE, Override(meant.uid, meant.gid, meant.mode, stat.S_IFDIR).text())
        else:
            try:
                os.fchown(target.fd, meant.uid, meant.gid)
            except OSError as error:
                if error.errno not in _NO_SUCH_OWNER:  # another user's store, in a user namespace
                    raise
            os.fchmod(target.fd, meant.mode)
        self._clearing.set_xattrs(target.fd, path, _attributes(tree, folder))
        _set_times(target.fd, status)


def _attributes(tree: Tree, folder: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return to_set(tuple(tree.attributes(folder).items()))


def _status(tree: Tree, folder: bytes) -> os.stat_result:
    return tree.status(*split_name(folder)) if folder else tree.root_status()


def _set_times(target: int, status: os.stat_result) -> None:
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
