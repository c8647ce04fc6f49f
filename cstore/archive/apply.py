"""An archive into a tree, with everything there is to know about it, in one pass over the stream.

Two processes share the work. This one reads, decompresses and hashes (two threads), takes the tar apart, checks names
and owners, and writes the tar-split (a third thread compresses it). The other one, confined to the tree, creates what
it is told to; the contents of files reach it through shared memory and are never copied on the way. The safe design is
the fast one: the file system's work and Python's own run side by side.
"""

from __future__ import annotations

import gc
import os

from cstore.archive.whiteout import WhiteoutForm
from cstore.contexts import ExitStack, contextmanager
from cstore.errors import CstoreError, SystemFailure
from cstore.fs import within
from cstore.idmap import IDENTITY, IDMap
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.archive.compression import Compression
    from cstore.archive.streams import ReadInto
    from cstore.archive.unpacking.dispatch import Dispatcher
    from cstore.archive.unpacking.displaced import DisplacedReport
    from cstore.archive.unpacking.intake import Intake
    from cstore.archive.unpacking.orders import Terms
    from cstore.archive.unpacking.owners import Owners
    from cstore.archive.unpacking.sharing import Donor

__all__ = ["Applied", "ApplyOptions", "WhiteoutForm", "apply_archive"]


class ApplyOptions(Value, kw_only=True):
    """How an archive is unpacked.

    Attributes:
        form: how a removal is written into the tree.
        has_lower: the tree holds, or lies above, what other layers made; else a removal has nothing to remove.
        id_map: owners in the archive → owners in the tree.
        in_user_namespace: devices are left out, and attributes that only real privileges can set.
        ignore_chown_errors: an owner that cannot be set is left as it is.
        sync: everything is on disk when the call returns.
        known_compressed: digest and size of the stream as it comes, if somebody has verified them already.
        lowers: the directories beneath a tree that is a part of a union, nearest first. What a removal leaves, what a
            directory without an entry is like, and what a hard link may link to depends on what is seen there.
        unseen: what is beneath the last of those and cannot be read, in words; "" for nothing.
        force_mask: the mode of all that is made, what it should have being in an attribute; -1 for its own.
        again: an archive was unpacked into the tree before: its root is as it shall be, though nothing is in it.
        donor: a directory, perhaps with the same files, whose blocks are shared where the file system can; "" for none.
    """

    form: WhiteoutForm = WhiteoutForm.PLAIN
    has_lower: bool = False
    id_map: IDMap = IDENTITY
    in_user_namespace: bool = False
    ignore_chown_errors: bool = False
    sync: bool = True
    known_compressed: tuple[str, int] | None = None
    lowers: tuple[str, ...] = ()
    unseen: str = ""
    force_mask: int = -1
    again: bool = False
    donor: str = ""


class Applied(Value, kw_only=True):
    """What an archive was.

    Attributes:
        compression: of the stream.
        compressed_digest: of the stream as it came; the same as `diff_digest` if it was not compressed.
        compressed_size: in bytes.
        diff_digest: of the uncompressed stream.
        diff_size: in bytes.
        uids: users that own entries, before mapping, sorted; whiteouts do not count.
        gids: groups, likewise.
        content_size: sum of the sizes in all headers, in bytes.
        entries: how many there were.
        repeated: the plain name of an entry whose name came twice, or gave way to another; b"" if there is none. Such
            archives come out again as they went in, but the Go tool takes none of them.
    """

    compression: Compression
    compressed_digest: str
    compressed_size: int
    diff_digest: str
    diff_size: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    content_size: int
    entries: int
    repeated: bytes = b""


def apply_archive(
    source: int | ReadInto,
    tree: str,
    tar_split: str,
    options: ApplyOptions,
    progress: Callable[[int], None] | None = None,
) -> Applied:
    """Unpack an archive, compressed or not, and take down what gives it back byte for byte.

    Args:
        source: the archive, read to its end: a descriptor of a file or pipe, or a reader, which another thread calls.
        tree: the directory to fill.
        tar_split: path of the tar-split file, which must not exist yet.
        options: see there.
        progress: called now and then with the bytes read from `source` so far.

    Raises:
        ArchiveError: the archive is broken, hostile, or holds what this system cannot create.
        SystemFailure: the archive cannot be read, the tree or the tar-split not be written.

    After an error, `tree` and `tar_split` hold garbage; no process and no thread is left in any case.
    """
    from cstore.archive.unpacking.owners import Owners

    owners = Owners(options.id_map)
    root_fd = _open_tree(tree)
    try:
        with _paused_collector():
            applied, report = _unpack(source, tree, root_fd, tar_split, options, owners, progress)
        if report or report.name:
            from cstore.archive.unpacking.amend import amend

            amend(tar_split, tree, report, sync=options.sync)
        if options.sync:
            _sync(root_fd, tree, options, applied)
    finally:
        os.close(root_fd)
    return applied


def _unpack(
    source: int | ReadInto,
    tree: str,
    root_fd: int,
    tar_split: str,
    options: ApplyOptions,
    owners: Owners,
    progress: Callable[[int], None] | None,
) -> tuple[Applied, DisplacedReport]:
    """Start everything, go through the archive, and end everything, whatever happens."""
    from cstore.archive.tar.reader import TarReader
    from cstore.archive.tarsplit import Packer, SplitFile
    from cstore.archive.unpacking.dispatch import Dispatcher
    from cstore.archive.unpacking.intake import Intake, RingWindows, make_ring
    from cstore.archive.unpacking.worker import Worker, held_signals
    from cstore.fs.room import RoomWatch

    ring = make_ring()
    with ExitStack() as cleanup:
        terms = _terms(options, owners, cleanup)
        with held_signals():
            # Forked before any thread of ours runs, so that it inherits no lock that one of them holds.
            worker = Worker(tree, root_fd, ring, terms)
            cleanup.callback(worker.end)
            intake = Intake(source, ring, options.known_compressed[0] if options.known_compressed else "")
            cleanup.callback(intake.close)
        windows = RingWindows(ring, intake, worker, progress, RoomWatch(root_fd, "unpack into", tree))
        with SplitFile(tar_split, sync=options.sync) as file:
            worker.listen(intake.release, windows.worker_gone)
            intake.start()
            packer = Packer(file.write)
            dispatcher = Dispatcher(TarReader(windows, packer.segment), windows, packer, owners, terms)
            dispatcher.run()
            packer.flush()
        intake.finish()
        report = worker.finish()
        applied = _summarise(intake, owners, dispatcher, options.known_compressed)
        repeated = report.displaced[0][1] if report.displaced else b""
        return applied.with_(repeated=repeated), report


def _terms(options: ApplyOptions, owners: Owners, cleanup: ExitStack) -> Terms:
    from cstore.archive.composefs import opened
    from cstore.archive.unpacking.orders import Terms

    lowers = cleanup.enter_context(opened(options.lowers, os.O_RDONLY))
    for lower in lowers:
        lower.hold()  # an image that makes no sense shall be told of here
    return Terms(
        form=options.form,
        has_lower=options.has_lower,
        missing_owner=owners.for_missing(),
        in_user_namespace=options.in_user_namespace,
        ignore_chown_errors=options.ignore_chown_errors,
        lowers=tuple(lowers),
        unseen=options.unseen,
        force_mask=options.force_mask,
        again=options.again,
        donor=_donor(options.donor, cleanup) if options.donor else None,
    )


def _donor(path: str, cleanup: ExitStack) -> Donor | None:
    """Open the tree with which blocks may be shared; it is only a hint."""
    from cstore.archive.unpacking.sharing import Donor

    try:
        fd = within.open_folder(path, os.O_RDONLY)
    except (OSError, CstoreError):
        return None
    cleanup.callback(os.close, fd)
    return Donor(fd)


def _summarise(intake: Intake, owners: Owners, dispatcher: Dispatcher, known: tuple[str, int] | None) -> Applied:
    return Applied(
        compression=intake.compression,
        compressed_digest=intake.compressed_digest,
        compressed_size=known[1] if known else intake.compressed_size,
        diff_digest=intake.digest,
        diff_size=intake.size,
        uids=owners.uids,
        gids=owners.gids,
        content_size=dispatcher.content_size,
        entries=dispatcher.entries,
    )


def _open_tree(tree: str) -> int:
    try:
        return within.open_folder(tree, os.O_RDONLY)
    except OSError as error:
        raise SystemFailure("unpack into", tree, error) from error


def _sync(root_fd: int, tree: str, options: ApplyOptions, applied: Applied) -> None:
    """Bring the tree to the disk; what was in it before, copied from a parent, may be in memory only as well."""
    from cstore.fs.tree.sync import FEW, sync_tree

    alone = not options.again and (not options.has_lower or bool(options.lowers))
    try:
        sync_tree(root_fd, applied.entries + 1 if alone else FEW + 1, applied.content_size)
    except OSError as error:
        raise SystemFailure("write", tree, error) from error


@contextmanager
def _paused_collector() -> Iterator[None]:
    """Hundreds of thousands of small objects come and go, none of them in a cycle: looking for cycles is lost time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
