"""Unpack an archive into a tree and collect its facts (digests, sizes, owners, tar-split) in one pass.

Two processes share the work. This one reads, decompresses and hashes (two threads), parses the tar, checks names and
owners, and writes the tar-split (a third thread compresses it). The other process is confined to the tree and creates
the files; it receives their contents through shared memory, without a copy. Confinement also makes unpacking faster,
because file system calls and Python code run in parallel.
"""

from __future__ import annotations

import gc
import os

from cstore import errors
from cstore.archive.whiteout import WhiteoutForm
from cstore.contexts import ExitStack
from cstore.fs import within
from cstore.idmap import IDENTITY, IDMap
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.archive.compression import Compression
    from cstore.archive.streams import ReadInto
    from cstore.archive.unpacking.displaced import DisplacedReport
    from cstore.archive.unpacking.orders import Terms

__all__ = ["Applied", "ApplyOptions", "WhiteoutForm", "apply_archive"]


class ApplyOptions(Value, kw_only=True):
    """The options of `apply_archive`.

    Attributes:
        form: how the tree represents whiteouts.
        has_lower: the tree contains, or is stacked on, the files of other layers; if false, whiteouts have no effect.
        id_map: maps owners in the archive to owners in the tree.
        in_user_namespace: skip devices, and extended attributes that only the host's root can set.
        ignore_chown_errors: keep the owner of a file if the recorded one cannot be set.
        sync: flush everything to disk before the call returns.
        known_compressed: digest and size (bytes) of the compressed stream, if they were verified before.
        lowers: the directories below a tree that is one layer of a union, nearest first. Whiteouts, directories
            without an entry, and hard links to files of other layers depend on them.
        unseen: describes the unreadable layer below the last of `lowers`; "" if there is none.
        force_mask: the mode of all files, while an attribute holds the mode that each should have; -1 to set the modes
            themselves.
        again: another archive was unpacked into this tree before, so its root keeps its attributes even if it is empty.
        window: bytes of memory that the decoder's window may take; 0 for what this system can give.
        donor: a directory that may have the same files, to share blocks with if the file system can; "" for none.
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
    window: int = 0
    donor: str = ""


class Applied(Value, kw_only=True):
    """The facts of an archive that was unpacked.

    Attributes:
        compression: the compression of the stream.
        compressed_digest: the digest of the stream as received; equal to `diff_digest` if it was not compressed.
        compressed_size: the size of the stream as received, in bytes.
        diff_digest: the digest of the uncompressed stream: the DiffID.
        diff_size: the size of the uncompressed stream, in bytes.
        uids: the user IDs in the headers, before mapping, sorted; whiteouts are excluded.
        gids: the group IDs, in the same form.
        content_size: the sum of the sizes in all headers, in bytes.
        entries: the number of entries.
        repeated: the cleaned name of an entry that occurs twice or replaces another; b"" if there is none. cstore
            exports such an archive byte for byte, but the Go tool refuses to import it.
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
    """Unpack an archive, compressed or not, and write the tar-split that rebuilds it byte for byte.

    Args:
        source: the archive: a descriptor of a file or pipe, or a reader, which is called from another thread. It is
            read to its end.
        tree: the directory to fill.
        tar_split: the path of the tar-split file, which must not exist yet.
        options: the options.
        progress: called periodically with the number of bytes read from `source` so far.

    Raises:
        ArchiveError: the archive is damaged or hostile, or has an entry that this system cannot create.
        SystemFailure: the archive cannot be read, or the tree or the tar-split cannot be written.

    After an error, the caller must delete `tree` and `tar_split`. No process and no thread outlives the call.
    """
    try:
        root_fd = within.open_folder(tree, os.O_RDONLY)
    except OSError as error:
        raise errors.SystemFailure("unpack into", tree, error) from error
    try:
        # The garbage collector wastes time here: unpacking makes many small objects, but no cycles.
        collects = gc.isenabled()
        gc.disable()
        try:
            applied, report = _unpack(source, tree, root_fd, tar_split, options, progress)
        finally:
            if collects:
                gc.enable()
        if report or report.name:
            from cstore.archive.unpacking.amend import amend

            amend(tar_split, tree, report, sync=options.sync)
        if options.sync:
            from cstore.fs.tree.sync import FEW, sync_tree

            # Files that were copied from a parent before may be in memory only.
            alone = not options.again and (not options.has_lower or bool(options.lowers))
            try:
                sync_tree(root_fd, applied.entries + 1 if alone else FEW + 1, applied.content_size)
            except OSError as error:
                raise errors.SystemFailure("write", tree, error) from error
    finally:
        os.close(root_fd)
    return applied


def _unpack(
    source: int | ReadInto,
    tree: str,
    root_fd: int,
    tar_split: str,
    options: ApplyOptions,
    progress: Callable[[int], None] | None,
) -> tuple[Applied, DisplacedReport]:
    """Start the threads and the worker, process the archive, and stop them even after an error."""
    from cstore.archive.tar.reader import TarReader
    from cstore.archive.tarsplit import Packer, SplitFile
    from cstore.archive.unpacking.dispatch import Dispatcher
    from cstore.archive.unpacking.intake import Intake, RingWindows, make_ring
    from cstore.archive.unpacking.owners import Owners
    from cstore.archive.unpacking.worker import Worker, held_signals
    from cstore.fs.room import RoomWatch

    ring, owners = make_ring(), Owners(options.id_map)
    with ExitStack() as cleanup:
        terms = _terms(options, cleanup)
        with held_signals():
            # Fork before starting any thread: the child must not inherit a lock that a thread holds.
            worker = Worker(tree, root_fd, ring, terms)
            cleanup.callback(worker.end)
            known = options.known_compressed[0] if options.known_compressed else ""
            intake = Intake(source, ring, known, options.window)
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
        applied = Applied(
            compression=intake.compression,
            compressed_digest=intake.compressed_digest,
            compressed_size=options.known_compressed[1] if options.known_compressed else intake.compressed_size,
            diff_digest=intake.digest,
            diff_size=intake.size,
            uids=tuple(sorted({uid for uid, _ in owners.known})),
            gids=tuple(sorted({gid for _, gid in owners.known})),
            content_size=dispatcher.content_size,
            entries=dispatcher.entries,
            repeated=report.displaced[0][1] if report.displaced else b"",
        )
        return applied, report


def _terms(options: ApplyOptions, cleanup: ExitStack) -> Terms:
    from cstore.archive.composefs import opened
    from cstore.archive.unpacking.orders import Terms

    lowers = cleanup.enter_context(opened(options.lowers, os.O_RDONLY))
    for lower in lowers:
        lower.hold()  # report an invalid image now, before the fork
    try:
        missing_owner = options.id_map.to_host(0, 0)
    except errors.InvalidIDMap:
        missing_owner = None
    donor = None
    if options.donor:
        from cstore.archive.unpacking.sharing import Donor

        try:
            fd = within.open_folder(options.donor, os.O_RDONLY)
        except (OSError, errors.CstoreError):
            pass  # the tree is only a hint
        else:
            cleanup.callback(os.close, fd)
            donor = Donor(fd)
    return Terms(
        form=options.form,
        has_lower=options.has_lower,
        missing_owner=missing_owner,
        in_user_namespace=options.in_user_namespace,
        ignore_chown_errors=options.ignore_chown_errors,
        lowers=tuple(lowers),
        unseen=options.unseen,
        force_mask=options.force_mask,
        again=options.again,
        donor=donor,
    )
