"""The evidence that remains of lost records: directories, data items, tar-splits, the driver's files.

Nothing here changes the store. Expensive facts are computed on demand, once.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cstore import presence
from cstore.archive.tar.reader import TarReader
from cstore.archive.whiteout import is_whiteout_name
from cstore.check.layer_stream import FileProblem, LayerStream
from cstore.check.repair.hints import Hints, gather_hints, rows_in_files
from cstore.check.repair.image_files import ImageFiles
from cstore.drivers.repairing import open_driver_repair
from cstore.errors import CstoreError, ForeignThing
from cstore.fs import within
from cstore.gojson import object_in
from cstore.ids import flaw_of_id
from cstore.oci.chain import layer_ids, next_layer_id
from cstore.store.lookup import tree_names
from cstore.store.lost_records import transient_containers, transient_layers
from cstore.store.places import ItemKind
from cstore.values import Value, cached_property

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cstore.check.snapshot import StoreSnapshot
    from cstore.drivers.repairing import DriverRepair

_ID = re.compile(r"[0-9a-f]{64}")
_LARGEST_TEXT = 4 << 20


class ExpectedLayer(Value):
    """The place of a layer in an image's config: image, parent and DiffID, with the descriptor of its blob."""

    image: str
    parent: str
    diff_id: str
    blob: Mapping[str, Any] = {}


class ArchiveFacts(Value):
    """The facts of an archive that was rebuilt from its tar-split and the layer's files.

    Attributes:
        digest: its digest; "" if the files no longer match the archive.
        size: its length in bytes.
        uids, gids: the owners in it, except those of whiteouts (store-format 4.1).
        problems: the damaged files.
    """

    digest: str
    size: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    problems: tuple[FileProblem, ...] = ()


class Survivors:
    """The evidence that remains in one store."""

    def __init__(self, snapshot: StoreSnapshot) -> None:
        self.snapshot = snapshot
        self._facts: dict[str, ArchiveFacts | None] = {}
        self._hints: dict[ItemKind, Hints] = {}

    @cached_property
    def driver_repair(self) -> DriverRepair:
        """The repair of the driver's own files."""
        return open_driver_repair(self.snapshot.context.driver, self.snapshot.context.driver_place)

    def hint(self, item_kind: ItemKind, identifier: str) -> dict[str, Any]:
        """Return the readable fields of a lost record; usually none."""
        if item_kind not in self._hints:
            self._hints[item_kind] = gather_hints(self.snapshot, item_kind)
        return self._hints[item_kind].get(identifier, {})

    # ── layers ──

    @cached_property
    def lost_layers(self) -> list[str]:
        """The store's own trees that no record describes, sorted."""
        elsewhere = transient_layers(self.snapshot.layout) | tree_names(self.snapshot.layers)
        known = set(self.snapshot.layers.ids()) | elsewhere
        return sorted(layer for layer in self.snapshot.trees if layer not in known and not flaw_of_id(layer))

    def facts(self, layer: str) -> ArchiveFacts | None:
        """Return the facts of a layer's archive from its tar-split and files; None without a readable tar-split."""
        if layer in self._facts:
            return self._facts[layer]
        self._facts[layer] = None
        path = self.snapshot.layout.tar_split(layer)
        if not presence.exists(path):
            return None
        roots: Sequence[str] = ()
        try:
            roots = self.snapshot.context.driver.content_roots(layer)
        except CstoreError:
            with suppress(CstoreError):  # its ancestors cannot be found
                roots = self.snapshot.inspector.own_roots(layer)
        if roots:
            self._facts[layer] = archive_facts(path, roots)
        return self._facts[layer]

    def template_of(self, layer: str) -> str:
        """Return the layer of which a layer is a mapped copy; "" if it is no copy.

        An image names both. Without one, overlay's files show it: there, a mapped layer is above its original and has
        the same archive, but is not its child.
        """
        for image, _ in self.snapshot.all_images.values():
            if layer in image.mapped_layers:
                return image.layer
        below = self.driver_repair.parent_of(layer)
        if not below or layer in self.expected_layers or not (self.has_tar_split(layer) and self.has_tar_split(below)):
            return ""
        digest = self.digest_of(layer)
        shared = bool(digest) and digest == self.digest_of(below)
        return below if shared and next_layer_id(below, digest) != layer else ""

    def driver_chain(self, layer: str) -> list[str]:
        """Return a layer and all layers below it in the driver, topmost first: ancestors, originals of copies."""
        found: dict[str, None] = {}
        pending = [layer]
        while pending and (each := pending.pop(0)):
            if each in found:
                break
            found[each] = None
            template = "" if self.snapshot.inspector.whole else self.template_of(each)
            record, _ = self.snapshot.all_layers.get(each, (None, False))
            pending = [template or ("" if record is None else record.parent)]
        return list(found)

    def digest_of(self, layer: str) -> str:
        """Return a layer's DiffID: as recorded, else as computed from its files; "" if it is unknown."""
        record, _ = self.snapshot.all_layers.get(layer, (None, False))
        if record is not None and record.diff_digest:
            return record.diff_digest
        facts = self.facts(layer)
        return facts.digest if facts else ""

    def names_digest(self, diff_id: str) -> bool:
        """Return whether an image's config names a layer with this DiffID."""
        return any(diff_id in files.diff_ids for files in self.image_files.values())

    def has_tar_split(self, layer: str) -> bool:
        """Return whether a layer has a tar-split, that is, was imported."""
        return presence.is_file(self.snapshot.layout.tar_split(layer))

    @cached_property
    def expected_layers(self) -> dict[str, ExpectedLayer]:
        """The layers that the configs of all images name, by their usual IDs."""
        found: dict[str, ExpectedLayer] = {}
        for files in self.image_files.values():
            parent = ""
            blobs = files.blobs or ({},) * len(files.diff_ids)
            for layer, diff_id, blob in zip(layer_ids(files.diff_ids), files.diff_ids, blobs, strict=True):
                found.setdefault(layer, ExpectedLayer(files.id, parent, diff_id, blob))
                parent = layer
        return found

    def blob_of(self, diff_digest: str) -> Mapping[str, Any]:
        """Return the descriptor of the blob that delivered a layer of this DiffID; empty if no manifest has one."""
        return next((place.blob for place in self.expected_layers.values() if place.diff_id == diff_digest), {})

    # ── images ──

    @cached_property
    def image_files(self) -> dict[str, ImageFiles]:
        """The data directories of images, recorded or not, by ID."""
        found = {}
        for directory, name in _directories(self.snapshot.layout.images):
            if not flaw_of_id(name):
                files = ImageFiles(directory, name)
                if files.keys:
                    found[name] = files
        return found

    @cached_property
    def lost_images(self) -> list[str]:
        """Images without a record that have data, or a row in a damaged record file."""
        known = set(self.snapshot.images.ids())
        return [image for image in (*self.image_files, *self._in_rows(ItemKind.IMAGES)) if image not in known]

    # ── containers ──

    @cached_property
    def container_directories(self) -> dict[str, str]:
        """The directories of containers, recorded or not, by ID."""
        found = _directories(self.snapshot.layout.containers)
        return {name: directory for directory, name in found if not flaw_of_id(name)}

    @cached_property
    def lost_containers(self) -> list[str]:
        """Containers without a record that have a directory with files, or a row in a damaged record file."""
        known = set(self.snapshot.containers.ids()) | transient_containers(self.snapshot.layout)
        filled = [name for name, path in self.container_directories.items() if next(_files(path), None)]
        rows = [name for name in self._in_rows(ItemKind.CONTAINERS) if name not in filled]
        return [name for name in (*filled, *rows) if name not in known]

    def _in_rows(self, item_kind: ItemKind) -> list[str]:
        """Return the IDs in damaged record files whose row has a name or a layer; the item may have no files."""
        if item_kind not in self.snapshot.suspect:
            return []
        rows = rows_in_files(self.snapshot, item_kind)
        named = [n for n, row in rows.items() if (row.get("layer") or row.get("names")) and not flaw_of_id(n)]
        return [name for name in named if item_kind is not ItemKind.IMAGES or name not in self.image_files]

    def ids_in_files_of(self, container: str) -> list[str]:
        """Return all IDs in the engine's files of a container, most frequent first."""
        counts: dict[str, int] = {}
        for path in _files(self.container_directories.get(container, "")):
            for found in _ID.findall(_text(path)):
                counts[found] = counts.get(found, 0) + 1
        return sorted(counts, key=lambda identifier: -counts[identifier])

    def settings_of(self, container: str) -> Iterator[dict[str, Any]]:
        """Yield every JSON object among the engine's files of a container."""
        found = map(object_in, map(_text, _files(self.container_directories.get(container, ""))))
        yield from (each for each in found if each is not None)


def archive_facts(tar_split: str, roots: Sequence[str]) -> ArchiveFacts | None:
    """Read a tar-split with the layer's files; None if the tar-split is missing or cannot be read."""
    uids: set[int] = set()
    gids: set[int] = set()
    try:
        with LayerStream(tar_split, roots) as stream:
            reader = TarReader(stream, lambda _: None)  # no data is kept
            while (entry := reader.next()) is not None:
                if not is_whiteout_name(entry.name.rstrip(b"/").rpartition(b"/")[2]):
                    uids.add(entry.uid)
                    gids.add(entry.gid)
            for _ in reader.rest():
                pass
    except CstoreError:
        return None
    digest = "" if stream.problems else stream.digest
    return ArchiveFacts(digest, stream.size, tuple(sorted(uids)), tuple(sorted(gids)), tuple(stream.problems))


def _directories(folder: str) -> list[tuple[str, str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.path, entry.name) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _files(folder: str) -> Iterator[str]:
    """Yield every file below a directory, without following links or entering mounts (an engine's shm)."""
    if not folder:
        return
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not presence.is_mount_point(os.path.join(path, name))]
        yield from (os.path.join(path, name) for name in sorted(names))


def _text(path: str) -> str:
    """Return the text of a file; "" if it is not a regular file of moderate size."""
    try:
        fd = within.open_file(*os.path.split(path), limit=_LARGEST_TEXT)
    except (OSError, ForeignThing):
        return ""
    with open(fd, "rb") as file:
        try:
            return file.read(_LARGEST_TEXT).decode(errors="replace")
        except OSError:
            return ""
