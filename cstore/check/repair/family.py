"""Find the parent of a layer whose record does not tell it; the most reliable evidence comes first.

The last evidence is the trees, where a driver stores whole ones: the tree of a child is that of its parent with the
changes of its own archive. So what the archive does not touch has the same path, type, owner, size and time in both.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from cstore.archive.names import clean_name
from cstore.archive.tar.reader import TarReader
from cstore.archive.whiteout import METADATA_PREFIX, OPAQUE_NAME, is_whiteout_name, victim_of
from cstore.check.layer_stream import LayerStream
from cstore.errors import CstoreError
from cstore.idmap import IDENTITY
from cstore.oci.chain import next_layer_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cstore.check.repair.survivors import Survivors
    from cstore.records.model import Container, Image


def find_parent(survivors: Survivors, layer: str, containers: Mapping[str, Container | None]) -> str | None:
    """Find the parent of a layer: "" for a base layer, None if nothing tells.

    Asked are: a config that names the layer by its usual ID; the one it is a copy of with other owners;
    the driver's own files; the ID, which may be computed from the parent's; a config that names the layer's digest; the
    container whose own layer it is; the trees.
    """
    expected_layer = survivors.expected_layers.get(layer)
    if expected_layer is not None:
        return expected_layer.parent
    template = survivors.template_of(layer)
    if template and template != layer:
        record, _ = survivors.snapshot.all_layers.get(template, (None, False))
        return record.parent if record else find_parent(survivors, template, containers)
    told = survivors.driver_repair.parent_of(layer)
    if told is not None:
        return told
    others = [other for other in (*survivors.snapshot.all_layers, *survivors.lost_layers) if other != layer]
    found = _by_name(survivors, layer, others)
    if found is None:
        found = _by_digest(survivors, layer, others)
    container = containers.get(layer)
    if found is None and container is not None:
        image, _ = survivors.snapshot.all_images.get(container.image, (None, False))
        found = _base_of(container, image) if image else None
    if found is None:
        imported = [other for other in others if survivors.has_tar_split(other)]
        found = _by_tree(survivors, layer, imported)
    return found


def _base_of(container: Container, image: Image) -> str:
    """The layer that a container was built on: the image's, or of several with other owners the only one that fits."""
    if container.id_map != IDENTITY and len(image.mapped_layers) == 1:
        return image.mapped_layers[0]
    return image.layer


def _by_name(survivors: Survivors, layer: str, others: Sequence[str]) -> str | None:
    """Find the parent from which the layer's ID was computed; None if it was not computed."""
    digest = survivors.digest_of(layer)
    return next((parent for parent in ("", *others) if digest and next_layer_id(parent, digest) == layer), None)


def _by_digest(survivors: Survivors, layer: str, others: Sequence[str]) -> str | None:
    """Find the one layer of the digest that a config names below this one's."""
    digest = survivors.digest_of(layer)
    below = {
        files.diff_ids[place - 1] if place else ""
        for files in survivors.image_files.values()
        for place, diff_id in enumerate(files.diff_ids)
        if digest and diff_id == digest
    }
    if len(below) != 1:
        return None
    wanted = below.pop()
    if not wanted:
        return ""
    found = [other for other in others if survivors.digest_of(other) == wanted]
    return found[0] if len(found) == 1 else None


_Tree = dict[bytes, tuple[int, ...]]


def _by_tree(survivors: Survivors, layer: str, candidates: Iterable[str]) -> str | None:
    """Find the layer whose tree becomes this layer's tree with its archive; None if it cannot be determined.

    A layer without a tar-split changed nothing, or its changes are unknown; then only an equal tree counts.
    """
    if not survivors.snapshot.inspector.whole:
        return None
    touched, removed = _archive(survivors.snapshot.layout.tar_split(layer))
    tree = _listing(survivors, layer)
    rest = {path: facts for path, facts in tree.items() if path not in touched}
    if touched and not rest:
        return ""  # all there is came with the layer itself
    fitting = [other for other in candidates if _fits(rest, _listing(survivors, other), touched, removed)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(rest: _Tree, parent: _Tree, touched: set[bytes], removed: set[bytes]) -> bool:
    kept = {path: facts for path, facts in parent.items() if path not in touched and not _is_below(path, removed)}
    return bool(kept) and kept == rest


def _is_below(path: bytes, removed: set[bytes]) -> bool:
    while path:
        if path in removed:
            return True
        path = path.rpartition(b"/")[0]
    return False


def _archive(tar_split: str) -> tuple[set[bytes], set[bytes]]:
    """The paths that an archive writes, the directories above them included; and those that it removes."""
    touched: set[bytes] = set()
    removed: set[bytes] = set()
    if not os.path.exists(tar_split):
        return touched, removed
    try:
        with LayerStream(tar_split, ()) as stream:
            reader = TarReader(stream, lambda _raw: None)
            while (entry := reader.next()) is not None:
                _note(clean_name(entry.name), touched, removed)
    except CstoreError:
        return set(), set()
    return touched, removed


def _note(path: bytes, touched: set[bytes], removed: set[bytes]) -> None:
    folder, _, base = path.rpartition(b"/")
    if not is_whiteout_name(base):
        touched.add(path)
    elif not base.startswith(METADATA_PREFIX) and (victim := victim_of(base)) is not None:
        removed.add(folder + b"/" + victim if folder else victim)
    elif base == OPAQUE_NAME:
        removed.add(folder)
    while folder:  # a directory's time changes with what is in it
        touched.add(folder)
        folder = folder.rpartition(b"/")[0]


def _listing(survivors: Survivors, layer: str) -> _Tree:
    try:
        root = os.fsencode(survivors.snapshot.inspector.own_roots(layer)[0])
    except (CstoreError, LookupError):
        return {}
    found: _Tree = {}
    for folder, folders, names in os.walk(root):
        for name in folders + names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            owner = (status.st_uid, status.st_gid)  # which are other ones in a mapped layer
            found[path[len(root) + 1 :]] = (status.st_mode, *owner, size, 0 if size == 0 else status.st_mtime_ns)
    return found
