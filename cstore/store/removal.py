"""Layers out: with the checks that keep what is in use, and without them.

Under the lock the record is flagged incomplete, then tree, tar-split and data are renamed out of sight, then the record
goes; what is out of sight is deleted when the lock is free. A crash anywhere leaves either the layer or something
flagged that every program's next writer removes. (store-format 2.4, semantics 12)
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from cstore.drivers.removal import StagedRemoval
from cstore.errors import (
    CstoreError,
    LayerHasChildren,
    LayerUnknown,
    LayerUsedByContainer,
    LayerUsedByImage,
    NotALayer,
    SystemFailure,
    UnsafeID,
)
from cstore.fs.staging import StagingRoot
from cstore.records.section import make_directory
from cstore.store.lookup import (
    CONTAINER_FIRST,
    Item,
    children_of_layer,
    container_of_layer,
    find_own_item,
    find_own_layer,
    image_of_layer,
    nowhere,
)
from cstore.store.places import Shelf
from cstore.store.session import Trusted, Writer, is_made, writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.records.model import Layer
    from cstore.store.context import Context

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def delete_layer(context: Context, word: str) -> None:
    """Delete a layer that nothing uses.

    Raises:
        NotALayer: there is no such layer.
        LayerHasChildren, LayerUsedByImage, LayerUsedByContainer: it is in use.
    """
    if not is_made(context.layout):
        raise NotALayer(word)
    with writing(context, Shelf.LAYERS, Shelf.IMAGES) as writer:
        layer = find_own_layer(writer, word)
        if layer is None:
            raise nowhere(writer, word, NotALayer(word))
        check_unused(writer, layer.id)
        remove_layer(writer, layer.id)
        _forget_mapped(writer, layer.id)


def check_unused(writer: Writer, layer: str) -> None:
    """See that nothing needs a layer.

    Raises:
        LayerHasChildren, LayerUsedByImage, LayerUsedByContainer: something does.
    """
    children = children_of_layer(writer, layer)
    if children:
        raise LayerHasChildren(layer, children)
    image = image_of_layer(writer, layer)
    if image is not None:
        raise LayerUsedByImage(layer, image.id)
    container = container_of_layer(writer, layer)
    if container is not None:
        from cstore.store.makers import removal_command

        raise LayerUsedByContainer(layer, container.id, removal_command(writer.context, container))


def _forget_mapped(writer: Writer, layer: str) -> None:
    """Take the layer out of the images that had it as a mapped twin of their top layer."""
    for image in list(writer.images):
        if layer in image.mapped_layers:
            kept = tuple(other for other in image.mapped_layers if other != layer)
            writer.images.replace(image.with_(mapped_layers=kept))
    writer.save(Shelf.IMAGES)


def delete_item(context: Context, word: str) -> None:
    """Delete a container with its layer, an image's record and data, or a layer, whichever `word` names first.

    Nothing is checked: whoever calls this knows better. The layers of an image stay. (semantics 12.5) But as long as a
    record file is damaged nobody can tell whether `word` means something in there, and nothing is deleted.

    Raises:
        LayerUnknown: nothing answers to `word`.
        NotALayer: a container's layer is gone already.
        ContainerOccupied: a process lives in the container, or another mount namespace holds it.
    """
    tables = Trusted(context)
    item = find_own_item(tables, word, CONTAINER_FIRST)
    if item is None:
        raise nowhere(tables, word, LayerUnknown(word))
    shelves = {
        Shelf.LAYERS: (Shelf.LAYERS,),
        Shelf.IMAGES: (Shelf.IMAGES,),
        Shelf.CONTAINERS: (Shelf.LAYERS, Shelf.CONTAINERS),
    }[item.shelf]
    with writing(context, *shelves) as writer:
        if find_own_item(writer, item.id, (item.shelf,)) is None:
            raise LayerUnknown(word)
        _REMOVERS[item.shelf](writer, item)


def _remove_container(writer: Writer, item: Item) -> None:
    from cstore.store.container_removal import remove_container
    from cstore.store.occupants import refuse_occupied

    container = writer.containers.get(item.id)
    if container is None:
        raise LayerUnknown(item.id)
    if container.layer not in writer.layers:
        raise NotALayer(container.layer)
    refuse_occupied(writer.context, container)
    remove_container(writer, container)


def _remove_image(writer: Writer, item: Item) -> None:
    writer.images.remove(item.id)
    writer.save(Shelf.IMAGES)
    discard_image_data(writer, item.id)


def _remove_layer_item(writer: Writer, item: Item) -> None:
    remove_layer(writer, item.id)


_REMOVERS = {
    Shelf.LAYERS: _remove_layer_item,
    Shelf.IMAGES: _remove_image,
    Shelf.CONTAINERS: _remove_container,
}


def remove_layer(writer: Writer, layer: str, before_record: Callable[[], None] | None = None) -> None:
    """Unmount and remove a layer, whoever uses it; see `remove_layers`."""
    remove_layers(writer, (layer,), before_record)


def remove_layers(writer: Writer, layers: Sequence[str], before_record: Callable[[], None] | None = None) -> None:
    """Unmount and remove layers, children before parents, whoever uses them. Saves the layer records twice.

    What else shall go with them goes `before_record`: a crash leaves both the layers' records, flagged, and their
    user's, or only the first, and the next delete or the next writer concludes. A container without a layer could not
    be deleted.

    On a full disk even that needs space, so there the layers' files are deleted before their records are flagged: they
    are what shall go, and a second delete concludes what a crash in between leaves.

    Raises:
        LayerUnknown: there is no such layer; nothing was changed.
        CstoreError: a tree could not be moved; its layer, and all that come after it, are as they were.
    """
    records = [_record(writer, layer) for layer in layers]
    try:
        _unmount(writer, layers)
        for record in records:
            writer.layers.replace(record.with_(flags={**record.flags, "incomplete": True}))
        writer.save(Shelf.LAYERS)
    except SystemFailure as error:
        if error.errno not in DISK_FULL:
            raise
        for layer in layers:
            make_room(writer, layer)
        _unmount(writer, layers)
        writer.save(Shelf.LAYERS)
    gone, failure = _take_trees(writer, layers)
    for spared in records[len(gone) :]:  # nothing has happened to it, so nobody shall finish it off
        writer.layers.replace(spared)
    if failure is None and before_record is not None:
        before_record()
    for layer in gone:
        _take_rest(writer, layer)
    writer.save(Shelf.LAYERS)
    if failure is not None:
        raise failure


def _record(writer: Writer, layer: str) -> Layer:
    record = writer.layers.get(layer)
    if record is None:
        raise LayerUnknown(layer)
    return record


def _take_trees(writer: Writer, layers: Sequence[str]) -> tuple[list[str], CstoreError | None]:
    """Take trees out of sight, up to the first that cannot be moved; name those that are gone, and say why not all."""
    gone: list[str] = []
    for layer in layers:
        try:
            _take_tree(writer, layer)
        except CstoreError as error:
            return gone, error
        gone.append(layer)
    return gone, None


def _unmount(writer: Writer, layers: Sequence[str]) -> None:
    with writer.mounts() as mounts:
        for layer in layers:
            if mounts.get(layer) is not None:
                writer.driver.unmount(layer)
                mounts.drop(layer)


def make_room(writer: Writer, layer: str) -> None:
    """Delete a layer's files where they are: the last resort on a full disk."""
    from cstore.fs.tree import remove_tree

    layout = writer.layout
    with suppress(UnsafeID):
        for path in (writer.driver.path_of(layer), layout.layer_data(layer), layout.tar_split(layer)):
            remove_tree(path)


def take_out(writer: Writer, layer: str) -> None:
    """Rename all that a layer has out of sight and drop its record, unsaved. What is missing is no error.

    Of an ID that cannot be part of a path, only the record goes: nothing in the store is rightly its own.

    Raises:
        SystemFailure: something could not be moved; the record is still there.
    """
    _take_tree(writer, layer)
    _take_rest(writer, layer)


def _take_tree(writer: Writer, layer: str) -> None:
    with suppress(UnsafeID):
        writer.afterwards(writer.driver.remove(layer))


def _take_rest(writer: Writer, layer: str) -> None:
    with suppress(UnsafeID):
        for path in (writer.layout.tar_split(layer), writer.layout.layer_data(layer)):
            discard(writer, path)
    writer.layers.remove(layer)


def discard_image_data(writer: Writer, image: str) -> None:
    """Take what an image has besides its record out of sight."""
    with suppress(UnsafeID):
        discard(writer, writer.layout.image_data(image))
        discard(writer, writer.layout.image_run_data(image))


def discard_container_data(writer: Writer, container: str) -> None:
    """Take what a container has besides its record and its layer out of sight."""
    with suppress(UnsafeID):
        discard(writer, writer.layout.container_data(container))
        discard(writer, writer.layout.container_run_data(container))


def discard(writer: Writer, path: str) -> None:
    """Take `path` out of sight, to be deleted once the locks are free. Nothing there is no error.

    IDs recur, so the name must be free before the lock is: what cannot be renamed (another file system) is deleted at
    once.
    """
    from cstore.fs.tree import remove_tree

    if not os.path.lexists(path):
        return
    make_directory(writer.layout.layers)
    try:
        elsewhere = os.lstat(path).st_dev != os.stat(writer.layout.layers).st_dev
    except OSError as error:
        raise SystemFailure("examine", path, error) from None
    if elsewhere:
        remove_tree(path)
        return
    staging = StagingRoot(writer.layout.layers_staging).reserve()
    writer.afterwards(StagedRemoval(staging))
    staging.take(path)
