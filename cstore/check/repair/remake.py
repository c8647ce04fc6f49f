"""Rebuild a layer from its archive and exchange it for the damaged one, which is moved into quarantine as a whole.

The archive comes from a source, or is rebuilt from the layer's own tar-split and files; other layers with the same
files supply lost contents. In either case its digest must be the recorded one.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from cstore import presence
from cstore.archive.composefs import open_tree
from cstore.archive.names import clean_name, split_name
from cstore.archive.streams import FileSink
from cstore.archive.tarsplit import FileEntry, read_lines
from cstore.check.repair.lost_tar_split import find_archive
from cstore.check.repair.plan import Action, Step
from cstore.drivers.contract import TreeOptions
from cstore.errors import ContentDamaged, CstoreError, LayersMounted, LayerUnknown
from cstore.fs import within
from cstore.fs.scoped import open_beneath
from cstore.idmap import IDENTITY
from cstore.store.applied_layer import archive_fields, fill
from cstore.store.places import ItemKind
from cstore.store.quarantine.keeping import digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from cstore.archive.dialects.layout import Archive
    from cstore.archive.streams import Sink
    from cstore.check.findings import Finding
    from cstore.check.repair.repair_context import RepairContext
    from cstore.check.repair.repair_view import RepairView
    from cstore.records.model import Layer
    from cstore.store.applied_layer import AppliedLayer
    from cstore.store.context import Context

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 1 << 20

_NOT_SHOWN = "no known archive writer gives the recorded digest for its files; they may still be correct"

Donors = dict[bytes, str]
"""Names in an archive, each with a file that has the contents."""


def plan_remake(repair_view: RepairView, finding: Finding, expected: str) -> Step | str:
    """Plan to rebuild a layer whose DiffID is `expected`; or return why that is impossible."""
    layer = finding.subject.id
    what = f"rebuild layer {layer}, and move the damaged one into quarantine"
    if not expected:
        return "no digest is recorded to verify its archive"
    if repair_view.sources.has_layer(expected):
        evidence = f"a source has the archive {expected}"
        act = partial(remake, layer, expected, None)
        return Step(Action.REMAKE_LAYER, finding.subject, what, finding.sentence, evidence, act)
    facts = repair_view.survivors.facts(layer)
    record = repair_view.snapshot.layers.get(layer)
    if facts is None or facts.digest not in {"", expected} or (record and facts.size != record.diff_size >= 0):
        if packed_digest(repair_view.context, layer) == expected:
            evidence = "packing its files gives the recorded digest"
            act = partial(remake, layer, expected, None)
        elif (archive := find_archive(repair_view, layer, expected)) is not None:
            evidence = f"its files, written as {archive.dialect.name} does, have the recorded digest"
            act = partial(remake, layer, expected, archive)
        else:
            return f"{_NOT_SHOWN}; it needs the archive {expected}"
        return Step(Action.REMAKE_LAYER, finding.subject, what, finding.sentence, evidence, act)
    donors = find_donors(repair_view, layer, {problem.name for problem in facts.problems})
    lacking = [problem for problem in facts.problems if problem.name not in donors]
    if lacking:
        names = ", ".join(repr(os.fsdecode(problem.name)) for problem in lacking[:3])
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        return f"the contents of {names}{more} are not in this store; it needs the archive {expected}"
    evidence = "its tar-split and its files" + (f", and {len(donors)} that other layers have" if donors else "")
    act = partial(remake, layer, expected, donors)
    return Step(Action.REMAKE_LAYER, finding.subject, what, finding.sentence, evidence, act)


def packed_digest(context: Context, layer: str) -> str:
    """Pack a layer's files into a tar, as for a layer never imported, and return its digest; "" if that fails."""
    from cstore.archive.streams import HashingSink

    sink = HashingSink()
    try:
        _pack(context, layer, sink)
    except CstoreError:
        return ""
    return sink.digest


def _pack(context: Context, layer: str, sink: Sink) -> None:
    from cstore.store.reading import Reader

    layers = Reader(context).layers
    record = layers.get(layer)
    if record is None:
        raise LayerUnknown(layer)
    parent = layers.get(record.parent) if record.parent else None
    base_map = IDENTITY if parent is None else parent.id_map
    context.driver.write_diff(layer, record.parent or None, sink, record.id_map, base_map)


def find_donors(repair_view: RepairView, layer: str, names: Collection[bytes]) -> Donors:
    """Search all other layers for files with these names and the checksums in the layer's tar-split."""
    wanted: dict[bytes, FileEntry] = {}
    for line in read_lines(repair_view.snapshot.layout.tar_split(layer)):
        if isinstance(line, FileEntry) and line.name in names:
            wanted[line.name] = line
    found: Donors = {}
    for other in repair_view.snapshot.all_layers:
        if other == layer or len(found) == len(wanted):
            continue
        with suppress(CstoreError, OSError):
            root = repair_view.snapshot.inspector.own_roots(other)[0]
            for name, entry in wanted.items():
                if name not in found and _holds(root, entry):
                    found[name] = os.path.join(root, os.fsdecode(clean_name(name)))
    return found


def _holds(root: str, entry: FileEntry) -> bool:
    from fastcrc import crc64

    with ExitStack() as stack:
        try:
            root_fd = within.open_folder(root)
            stack.callback(os.close, root_fd)
            fd = open_beneath(root_fd, clean_name(entry.name), _READ)
            stack.callback(os.close, fd)
            if os.fstat(fd).st_size != entry.size:
                return False
            checksum: int | None = None
            while block := os.read(fd, _BLOCK):
                checksum = crc64.go_iso(block) if checksum is None else crc64.go_iso(block, checksum)
        except OSError:
            return False
    return checksum == entry.checksum


class Reassembly:
    """An archive rebuilt from a tar-split and the layer's own files, with `donors` in place of damaged ones."""

    def __init__(self, tar_split: str, roots: Sequence[str], donors: Mapping[bytes, str]) -> None:
        self._pieces = self._all(tar_split, roots, donors)
        self._left = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes; see `ReadInto`."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    @staticmethod
    def _all(tar_split: str, roots: Sequence[str], donors: Mapping[bytes, str]) -> Iterator[bytes]:
        for line in read_lines(tar_split):
            if not isinstance(line, FileEntry):
                yield line.payload
                continue
            left = line.size
            if not left:
                continue
            donor = donors.get(line.name, "")
            fd = within.open_path(donor, _READ) if donor else _find(line, roots)
            try:
                while left and (block := os.read(fd, min(left, _BLOCK))):
                    left -= len(block)
                    yield block
            finally:
                os.close(fd)


def _find(entry: FileEntry, roots: Sequence[str]) -> int:
    folder, base = split_name(clean_name(entry.name))
    for root in roots:
        with open_tree(root, os.O_PATH) as tree, suppress(OSError):
            return tree.open_file(folder, base)
    raise ContentDamaged("", os.fsdecode(entry.name), "is missing")


def remake(layer: str, expected: str, donors: Donors | Archive | None, repair: RepairContext) -> None:
    """Rebuild a layer whose DiffID is `expected`, and exchange it for the damaged one.

    The archive comes from a source, if one has it. Otherwise it is rebuilt from the tar-split, the layer's files and
    `donors`; or it is the `Archive` that was found for the files; or, with None, the files are packed.

    Raises:
        LayerUnknown: the layer has no record any more.
        LayersMounted: the layer is mounted, and the mount would continue to show the damaged one.
        ContentDamaged: the rebuilt archive is not the recorded one. Nothing was changed.
    """
    from cstore.store.reading import Reader

    context = repair.context
    record = Reader(context).layers.get(layer)
    if record is None:
        raise LayerUnknown(layer)
    parent = Reader(context).layers.get(record.parent) if record.parent else None
    options = TreeOptions(id_map=record.id_map, parent_map=IDENTITY if parent is None else parent.id_map)
    staged = context.driver.stage(record.parent or None, options)
    try:
        applied_layer = _filled(repair, record, expected, staged, donors)
        try:
            if applied_layer.applied.diff_digest != expected:
                found = applied_layer.applied.diff_digest
                raise ContentDamaged(layer, "the archive", f"has the digest {found} instead of {expected}")
            _exchange(repair, record, staged, applied_layer)
        finally:
            applied_layer.staging.remove()
    finally:
        staged.staging.remove()


def _filled(
    repair: RepairContext, record: Layer, expected: str, staged: Any, donors: Donors | Archive | None
) -> AppliedLayer:
    context = repair.context
    with repair.sources.layer(expected) as fd:
        if fd is not None:
            return fill(context, staged, fd, record.id_map, None)
    if not isinstance(donors, dict):
        with tempfile.TemporaryFile(dir=context.layout.graph_root) as file:
            if donors is None:
                _pack(context, record.id, FileSink(file.fileno()))
            else:
                donors.write(FileSink(file.fileno()))
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            return fill(context, staged, file.fileno(), record.id_map, None)
    roots = context.driver.content_roots(record.id)
    source = Reassembly(context.layout.tar_split(record.id), roots, donors)
    return fill(context, staged, source, record.id_map, None)


def _is_still(current: Layer, record: Layer) -> bool:
    """Return whether two records describe the same layer, and not one that replaced it."""
    return (current.parent, current.created, current.diff_digest) == (record.parent, record.created, record.diff_digest)


def _exchange(repair: RepairContext, record: Layer, staged: Any, applied_layer: AppliedLayer) -> None:
    why = "it was damaged and has been rebuilt"
    driver_repair = repair.driver_repair
    with repair.locked() as writer:
        current = writer.layers.get(record.id)
        if current is None or not _is_still(current, record):
            raise LayerUnknown(record.id)
        with writer.mounts() as mounts:
            entry = mounts.get(record.id)
            shown = writer.context.driver_facts.mounts_show_trees
            if entry is not None and not shown and writer.driver.is_mounted(record.id, entry.path):
                raise LayersMounted([record.id])
        target = writer.driver.path_of(record.id)
        driver_repair.take_identity(staged.tree, record.id)
        if presence.is_directory(target):
            repair.quarantine.exchange(target, driver_repair.whole_of(staged.tree), why)
        else:
            repair.quarantine.keep(target, why)
            writer.driver.adopt(staged, record.id, record.parent or None)
        tar_split = writer.layout.tar_split(record.id)
        repair.quarantine.keep_old(tar_split, why, digest_of(applied_layer.tar_split))
        applied_layer.publish(tar_split, sync=repair.context.sync)
        missing = {
            key: value for key, value in archive_fields(applied_layer.applied).items() if not getattr(current, key)
        }
        kept = {key: value for key, value in missing.items() if not key.startswith("compress")}
        if kept:
            repair.quarantine.changed(
                ItemKind.LAYERS, writer.layers.location(record.id), current, current.with_(**kept), why
            )
            writer.layers.replace(current.with_(**kept))
            writer.save(ItemKind.LAYERS)
