"""Which layers are looked into, and all that a worker must know of each."""

from __future__ import annotations

import os
import stat

from cstore.archive.override import is_masked
from cstore.check.contents import LayerJob
from cstore.check.findings import Finding, of_layer
from cstore.check.tolerance import Tolerance
from cstore.digests import check_digest
from cstore.errors import CstoreError, InvalidDigest
from cstore.idmap import IDENTITY
from cstore.ids import flaw_of_part
from cstore.kernel.namespaces import in_user_namespace, own_ranges
from cstore.layout import is_blob
from cstore.records.snapshot import identity_of
from cstore.store.maps import namespace_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.check.snapshot import StoreSnapshot
    from cstore.config import StoreConfig
    from cstore.records.model import Layer


def imported_layers(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[tuple[Layer, bool]]:
    """The layers whose archive can be put together again, if all is well, and whether each can only be read."""
    for layer, read_only in snapshot.all_layers.values():
        if not wanted("layer", layer.id) or layer.incomplete or flaw_of_part(layer.id):
            continue
        try:
            check_digest(layer.diff_digest or layer.toc_digest)  # of a partial pull, there may be the latter only
        except InvalidDigest:
            continue  # a finding of its own, or a layer that nobody imported
        if snapshot.has_tree(layer.id) and not snapshot.inspector.not_read(layer.id):
            yield layer, read_only


def not_read(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[str]:
    """Say which layers are of a form that is not read: they are sound for all that is known."""
    for layer, _ in snapshot.all_layers.values():
        if not wanted("layer", layer.id) or flaw_of_part(layer.id) or layer.incomplete:
            continue
        form = snapshot.inspector.not_read(layer.id)
        if form:
            yield f"layer {layer.id} was not read, because it is {form}"


def tar_split_findings(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[Finding]:
    """Imported layers without a usable tar-split file."""
    for layer, read_only in imported_layers(snapshot, wanted):
        who = f"{'read-only ' if read_only else ''}layer {layer.id}"
        path = tar_split_of(snapshot, layer.id)
        try:
            regular = stat.S_ISREG(os.lstat(path).st_mode)
        except OSError:
            if layer.toc_digest:
                continue  # a partial pull: not every such blob comes with one
            sentence = f"its tar-split {path} is missing: the layer cannot be exported byte for byte"
            go_text = f"{who}: layer content incorrect digest"
            yield of_layer("tar-split-missing", layer.id, sentence, path=path, read_only=read_only, go_text=go_text)
            continue
        if not regular:
            reason = "it is not a regular file"
            sentence = f"its tar-split {path} is damaged: {reason}"
            yield of_layer("tar-split-damaged", layer.id, sentence, path=path, reason=reason, read_only=read_only)


def tar_split_of(snapshot: StoreSnapshot, layer: str) -> str:
    """The tar-split file of a layer; "" if there can be none."""
    try:
        return snapshot.layout_of(layer).tar_split(layer)
    except CstoreError:
        return ""


def layer_jobs(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool], *, compare: bool) -> dict[str, LayerJob]:
    """What to look into, by ID, in the order of the records."""
    jobs = {}
    for layer, _ in imported_layers(snapshot, wanted):
        job = layer_job(snapshot, layer, compare=compare)
        if job is not None:
            jobs[layer.id] = job
    return jobs


def layer_job(snapshot: StoreSnapshot, layer: Layer, *, compare: bool) -> LayerJob | None:
    """What to look into in one layer; None if too little of it is there."""
    path, inspector = tar_split_of(snapshot, layer.id), snapshot.inspector
    try:
        roots, own = snapshot.context.driver.content_roots(layer.id), inspector.own_roots(layer.id)
        root = os.stat(own[0])
        path = path if os.path.lexists(path) or not is_blob(own[0]) else ""
        status = os.lstat(path or own[0])
        id_map = layer.id_map.within(namespace_of(path or own[0]))
    except (OSError, CstoreError):
        return None  # a finding of its own
    if not stat.S_ISREG(status.st_mode):
        return None
    below = _below(snapshot, layer.id) if inspector.whole else ()
    record = tuple(map(str, layer.as_dict().values()))
    return LayerJob(
        layer=layer.id,
        digest=layer.diff_digest,
        size=layer.diff_size if layer.diff_digest else -1,
        tar_split=path,
        roots=tuple(roots),
        own_roots=tuple(own),
        below=below,
        whole=inspector.whole,
        rewritten=not inspector.whole and len(own) > 1,
        id_map=id_map,
        compare=compare,
        tolerance=tolerance_of(snapshot.context.config, layer, path or own[0], own[0]),
        identity=(identity_of(status), root.st_dev, root.st_ino, record),
    )


def _below(snapshot: StoreSnapshot, layer: str) -> tuple[str, ...] | None:
    """The tar-split files of all ancestors, bottom first; None if one of them was not made of an archive alone."""
    paths = []
    for ancestor in reversed(snapshot.chain(layer)[1:]):
        record, _ = snapshot.all_layers.get(ancestor, (None, False))
        path = tar_split_of(snapshot, ancestor)
        if record is None or not record.diff_digest or not os.path.isfile(path):
            return None
        paths.append(path)
    return tuple(paths)


def tolerance_of(config: StoreConfig, layer: Layer, tar_split: str, root: str) -> Tolerance:
    """What may differ in a layer, because of who wrote it, and how (semantics 18.3).

    That is told by the layer's record, its tar-split file and its own directory, `root`.
    """
    in_namespace = in_user_namespace()
    try:
        users = in_namespace or os.stat(os.path.dirname(tar_split)).st_uid != 0
    except OSError:
        users = in_namespace
    return Tolerance(
        owners="ignore_chown_errors=true" in " ".join(config.driver_options),
        masked=is_masked(root),
        times=config.pulling.use_hard_links,
        partial=bool(layer.toc_digest),
        users=users,
        reach=own_ranges() if in_namespace else IDENTITY,
    )
