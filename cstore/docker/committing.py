"""Commit a writable layer to an image: register its changes, and add a layer to its parent's config (docker 10.4)."""

from __future__ import annotations

import os

from cstore.docker.tagging import full_tag
from cstore.errors import InvalidOption
from cstore.fs.nameless import nameless
from cstore.oci.chain import EMPTY_DIFF_ID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.docker.imagestore import ImageStore
    from cstore.docker.layer import ReadOnlyLayer, WritableLayer
    from cstore.docker.layerstore import LayerStore
    from cstore.oci.child import Child
    from cstore.oci.config import ImageConfig
    from cstore.store import Store
    from cstore.store.intents import Intent


def commit(
    store: Store,
    images: ImageStore,
    layers: LayerStore,
    source: WritableLayer,
    parent: str,
    child: Child,
    names: Sequence[str] = (),
) -> str:
    """Create an image from a writable layer; return its ID. A writable layer without changes adds no layer.

    Args:
        store: the store.
        images: Docker's image store on it.
        layers: Docker's layer store on it.
        source: the writable layer, which is kept.
        parent: the image below it; the new image gets its run config if `child` has none.
        child: the new parts of the config, except the DiffID, which is computed here.
        names: the names of the new image.

    Raises:
        ImageUnknown: there is no such parent.
        InvalidOption: the writable layer is not based on the layers of that image.
        InvalidName: a name is invalid.
    """
    config = images.get(parent)
    below = source.parent.chain_id if source.parent else ""
    if below != config.rootfs.chain_id:
        raise InvalidOption(f"{source.name} is not based on the layers of image {parent}")
    for name in names:
        full_tag(name)
    with store.begin() as intent:  # if the process is killed, no layer without an image stays, no image without facts
        made = _register(store, layers, source, below, intent)
        try:
            diff_id = EMPTY_DIFF_ID if made is None else made.diff_id
            added = child.with_(diff_id=diff_id, config=child.config or config.run_config)
            whole = images.new_child(config, added, config.platform.os or "linux")
            identifier = make_noted(store, images, whole, intent, names, parent=config.digest, built_locally=True)
        finally:
            if made is not None:
                layers.release(made)  # now the image keeps it, or nothing does
    return identifier


def make_noted(
    store: Store,
    images: ImageStore,
    config: ImageConfig,
    intent: Intent,
    names: Sequence[str],
    *,
    parent: str = "",
    built_locally: bool = False,
) -> str:
    """Create an image with names and facts, or add those to an existing image; return its ID.

    Args:
        store: the store.
        images: Docker's image store on it.
        config: the config; its digest is the ID.
        intent: the journal of the operation, which is complete when this function returns.
        names: additional names; the last one becomes the first of the image's names.
        parent: the image that it was made from; "" to record none.
        built_locally: whether to record that it was built on this host.

    Raises:
        CstoreError: as `ImageStore.create`, and as `ImageStore.tag`.
    """
    full = [str(full_tag(name)) for name in names]
    if store.images.find(config.id) is None:
        intent.note(image=config.id)
    identifier = images.create(config.raw)
    if built_locally:
        images.set_built_locally(identifier)
    if parent:
        images.set_parent(identifier, parent)
    if full:
        images.set_last_updated(identifier)
    intent.note(of=config.id, names=full[::-1])
    intent.note(complete=True)
    for name in full:
        images.tag(identifier, name)
    return identifier


def _register(
    store: Store, layers: LayerStore, source: WritableLayer, below: str, intent: Intent
) -> ReadOnlyLayer | None:
    from cstore.archive.streams import FileSink, HashingSink

    with nameless(store.config.graph_root) as copy:
        hashed = HashingSink(FileSink(copy, "the copy of a layer"))
        source.write_tar(hashed)
        if hashed.digest == EMPTY_DIFF_ID:
            return None
        os.lseek(copy, 0, os.SEEK_SET)
        return layers.register(copy, below, intent=intent)
