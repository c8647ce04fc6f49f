"""An image of what a writable layer holds: its tar registered, and a config that is its parent's with a layer more.

(docker 10.4)
"""

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
    """Make an image of a writable layer; return its ID. One that changed nothing adds no layer.

    Args:
        store: where all of it is.
        images: Docker's image store over it.
        layers: Docker's layer store over it.
        source: the writable layer; it stays.
        parent: the image that it lies on; its run config is taken over if `child` has none.
        child: what is new, but for the DiffID, which is found out here.
        names: of the new image.

    Raises:
        ImageUnknown: there is no such parent.
        InvalidOption: the writable layer does not lie on the layers of that image.
        InvalidName: a name is none.
    """
    config = images.get(parent)
    below = source.parent.chain_id if source.parent else ""
    if below != config.rootfs.chain_id:
        raise InvalidOption(f"{source.name} is not based on the layers of image {parent}")
    for name in names:
        full_tag(name)
    with store.begin() as intent:  # a killed process leaves no layer without an image, no image without its notes
        made = _register(store, layers, source, below, intent)
        try:
            whole = _config(images, config, child, made)
            identifier = make_noted(store, images, whole, intent, names, parent=config.digest, built_locally=True)
        finally:
            if made is not None:
                layers.release(made)  # the image holds it now, or nothing does
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
    """Make an image with all that is said of it, or add that to the one there is; return its ID.

    Args:
        store: where it goes.
        images: Docker's image store over it.
        config: what names it.
        intent: of the work of which this is the end: when this returns, it is done.
        names: what it is called besides; the last one stands first.
        parent: the image that it was made from; "" says nothing of that.
        built_locally: whether to record that it was built here.

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


def _config(images: ImageStore, parent: ImageConfig, child: Child, made: ReadOnlyLayer | None) -> ImageConfig:
    whole = child.with_(
        diff_id=EMPTY_DIFF_ID if made is None else made.diff_id, config=child.config or parent.run_config
    )
    return images.new_child(parent, whole, parent.platform.os or "linux")
