"""Find the parent of a layer without a record. The most reliable evidence comes first.

The last evidence is the trees, if the driver stores whole ones: the tree of a child is that of its parent with the
changes of its own archive. So paths that the archive does not touch have the same type, owner, size and time in both.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from cstore import presence
from cstore.archive.names import clean_name
from cstore.archive.tar.reader import TarReader
from cstore.archive.whiteout import METADATA_PREFIX, OPAQUE_NAME, is_whiteout_name, victim_of
from cstore.check.expected import is_within
from cstore.check.layer_stream import LayerStream
from cstore.errors import CstoreError
from cstore.idmap import IDENTITY
from cstore.oci.chain import next_layer_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cstore.check.repair.survivors import Survivors
    from cstore.records.model import Container


def find_parent(survivors: Survivors, layer: str, containers: Mapping[str, Container | None]) -> str | None:
    """Find the parent of a layer: "" for a base layer, None if it cannot be determined.

    The evidence, in this order: a config that names the layer by its usual ID; the template of a mapped layer; the
    driver's own files; the ID, which may be computed from the parent's; a config that names the layer's digest; the
    container that owns the layer; the trees.
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
    found = _by_digest(survivors, layer, others)
    container = containers.get(layer)
    if found is None and container is not None:
        image, _ = survivors.snapshot.all_images.get(container.image, (None, False))
        if image is not None:
            mapped = container.id_map != IDENTITY and len(image.mapped_layers) == 1
            found = image.mapped_layers[0] if mapped else image.layer
    if found is None:
        imported = [other for other in others if survivors.has_tar_split(other)]
        found = _by_tree(survivors, layer, imported)
    return found


def _by_digest(survivors: Survivors, layer: str, others: Sequence[str]) -> str | None:
    """Find the parent from whose ID the layer's was computed, or the only one with the digest that a config names."""
    digest = survivors.digest_of(layer)
    if not digest:
        return None
    for parent in ("", *others):
        if next_layer_id(parent, digest) == layer:
            return parent
    below = {
        files.diff_ids[place - 1] if place else ""
        for files in survivors.image_files.values()
        for place, diff_id in enumerate(files.diff_ids)
        if diff_id == digest
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
    """Find the only layer whose tree, changed by the layer's archive, equals the layer's tree; None if not exactly one.

    Without a tar-split, the changes are unknown, so only an equal tree fits.
    """
    if not survivors.snapshot.inspector.whole:
        return None
    touched, removed = _archive(survivors.snapshot.layout.tar_split(layer))
    tree = _listing(survivors, layer)
    rest = {path: facts for path, facts in tree.items() if path not in touched}
    if touched and not rest:
        return ""  # all of its files came with its own archive
    fitting = [other for other in candidates if _fits(rest, _listing(survivors, other), touched, removed)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(rest: _Tree, parent: _Tree, touched: set[bytes], removed: set[bytes]) -> bool:
    kept = {path: facts for path, facts in parent.items() if path not in touched and not is_within(path, removed)}
    return bool(kept) and kept == rest


def _archive(tar_split: str) -> tuple[set[bytes], set[bytes]]:
    """Return the paths that an archive writes, including their parent directories, and the paths that it removes."""
    touched: set[bytes] = set()
    removed: set[bytes] = set()
    if not presence.exists(tar_split):
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
    while folder:  # changing a directory's entries changes its time
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
            owner = (status.st_uid, status.st_gid)  # these differ in a mapped layer
            found[path[len(root) + 1 :]] = (status.st_mode, *owner, size, 0 if size == 0 else status.st_mtime_ns)
    return found
