"""Remove layers, with checks that keep layers in use, or without.

Under the lock, the record is flagged incomplete, then tree, tar-split and data are renamed into staging, then the
record is removed; staging is deleted after the lock is released. A crash leaves either the layer or an incomplete one
that the next writer of any program removes. (store-format 2.4, semantics 12)
"""

from __future__ import annotations

import errno
import os

from cstore import errors, presence
from cstore.contexts import suppress
from cstore.drivers.contract import StagedRemoval
from cstore.fs.lockfile import make_directory
from cstore.fs.staging import StagingRoot
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
from cstore.store.places import ItemKind, is_made
from cstore.store.reading import Reader
from cstore.store.reserve import given_up
from cstore.store.session import Trusted, Writer, writing
from cstore.traces import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.records.model import Layer
    from cstore.store.context import Context


def delete_layer(context: Context, ref: str) -> None:
    """Delete a layer that nothing uses.

    Raises:
        NotALayer: there is no such layer.
        ReadOnlyStore: the layer is in an additional store.
        LayerHasChildren, LayerUsedByImage, LayerUsedByContainer: the layer is in use.
    """
    if not is_made(context.layout):
        raise nowhere(Reader(context), ref, errors.NotALayer(ref))
    with writing(context, ItemKind.LAYERS, ItemKind.IMAGES, freeing=True) as writer:
        layer = find_own_layer(writer, ref)
        if layer is None:
            raise nowhere(writer, ref, errors.NotALayer(ref))
        check_unused(writer, layer.id)
        remove_layer(writer, layer.id)
        _forget_mapped(writer, layer.id)


def check_unused(writer: Writer, layer: str) -> None:
    """Check that nothing needs a layer.

    Raises:
        LayerHasChildren, LayerUsedByImage, LayerUsedByContainer: the layer is in use.
    """
    children = children_of_layer(writer, layer)
    if children:
        raise errors.LayerHasChildren(layer, children)
    image = image_of_layer(writer, layer)
    if image is not None:
        raise errors.LayerUsedByImage(layer, image.id)
    container = container_of_layer(writer, layer)
    if container is not None:
        from cstore.store.makers import removal_command

        raise errors.LayerUsedByContainer(layer, container.id, removal_command(writer.context, container))


def _forget_mapped(writer: Writer, layer: str) -> None:
    """Remove the layer from the mapped layers in image records."""
    for image in list(writer.images.mentioning(layer)):
        if layer in image.mapped_layers:
            kept = tuple(other for other in image.mapped_layers if other != layer)
            writer.images.replace(image.with_(mapped_layers=kept))
    writer.save(ItemKind.IMAGES)


def delete_item(context: Context, ref: str) -> None:
    """Delete the first match of `ref`: a container with its layer, an image's record and data, or a layer.

    References to it are not checked, and the layers of an image stay. (semantics 12.5) If a record file is damaged,
    `ref` may match an unknown item, so nothing is deleted.

    Raises:
        LayerUnknown: nothing matches `ref`.
        NotALayer: the container's layer is missing.
        ContainerOccupied: a process runs in the container, or another mount namespace uses it.
    """
    tables = Trusted(context)
    item = find_own_item(tables, ref, CONTAINER_FIRST)
    if item is None:
        raise nowhere(tables, ref, errors.LayerUnknown(ref))
    item_kinds = {
        ItemKind.LAYERS: (ItemKind.LAYERS,),
        ItemKind.IMAGES: (ItemKind.IMAGES,),
        ItemKind.CONTAINERS: (ItemKind.LAYERS, ItemKind.CONTAINERS),
    }[item.item_kind]
    with writing(context, *item_kinds, freeing=True) as writer:
        if find_own_item(writer, item.id, (item.item_kind,)) is None:
            raise errors.LayerUnknown(ref)
        _REMOVERS[item.item_kind](writer, item)


def _remove_container(writer: Writer, item: Item) -> None:
    from cstore.store.container_removal import remove_container
    from cstore.store.occupants import refuse_occupied

    container = writer.containers.get(item.id)
    if container is None:
        raise errors.LayerUnknown(item.id)
    if container.layer not in writer.layers:
        raise errors.NotALayer(container.layer)
    refuse_occupied(writer.context, container)
    remove_container(writer, container)


def _remove_image(writer: Writer, item: Item) -> None:
    writer.images.remove(item.id)
    writer.save(ItemKind.IMAGES)
    discard_image_data(writer, item.id)


def _remove_layer_item(writer: Writer, item: Item) -> None:
    remove_layer(writer, item.id)


_REMOVERS = {
    ItemKind.LAYERS: _remove_layer_item,
    ItemKind.IMAGES: _remove_image,
    ItemKind.CONTAINERS: _remove_container,
}


def remove_layer(writer: Writer, layer: str) -> None:
    """Unmount and remove a layer, even if it is in use; see `remove_layers`."""
    remove_layers(writer, (layer,))


def remove_layers(writer: Writer, layers: Sequence[str]) -> None:
    """Unmount and remove layers, children before parents, even if they are in use. Saves the layer records twice.

    Once the records are flagged on disk, the removal is decided: the next writer completes what fails after that.

    Raises:
        LayerUnknown: there is no such layer; nothing was changed.
        CstoreError: a record could not be flagged, or a tree not moved. Its layer and all later ones are unchanged,
            unless their records cannot be restored.
    """
    records = [_record(writer, layer) for layer in layers]
    try:
        for record in records:
            writer.layers.replace(record.with_(flags={**record.flags, "incomplete": True}))
        writer.save(ItemKind.LAYERS)
        _unmount(writer, layers)
    except BaseException:
        for record in records:
            writer.layers.replace(record)
        with suppress(errors.CstoreError):  # report the first error; the next writer removes layers that stay flagged
            writer.save(ItemKind.LAYERS)
        raise
    gone, failure = _take_trees(writer, layers)
    for spared in records[len(gone) :]:  # it is intact, so the next writer must not remove it
        writer.layers.replace(spared)
    for layer in gone:
        trace("removed layer %s", layer)
        _take_rest(writer, layer)
    with suppress(errors.SystemFailure):
        writer.save(ItemKind.LAYERS)
    if failure is not None:
        raise failure


def is_whole(writer: Writer, layer: str) -> bool:
    """Return whether a layer's record on disk is complete, which decides after a failed save.

    True if the disk cannot be read.
    """
    from cstore.store.reading import load_table

    try:
        record = load_table(writer.context, ItemKind.LAYERS, degraded=False).get(layer)
    except errors.CstoreError:
        return True
    return record is not None and not record.incomplete


def _record(writer: Writer, layer: str) -> Layer:
    record = writer.layers.get(layer)
    if record is None:
        raise errors.LayerUnknown(layer)
    return record


def _take_trees(writer: Writer, layers: Sequence[str]) -> tuple[list[str], errors.CstoreError | None]:
    """Move trees into staging, up to the first failure; return the layers whose trees were moved, and the error."""
    gone: list[str] = []
    for layer in layers:
        try:
            _take_tree(writer, layer)
        except errors.CstoreError as error:
            return gone, error
        gone.append(layer)
    return gone, None


def _unmount(writer: Writer, layers: Sequence[str]) -> None:
    with writer.mounts() as mounts:
        for layer in layers:
            if mounts.get(layer) is not None:
                writer.driver.unmount(layer)
                mounts.drop(layer)


def withdraw(writer: Writer, layer: str) -> None:
    """Remove a layer that could not be completed: its record first, then everything else.

    Raises:
        SystemFailure: the record cannot be removed. Then the tree stays, unless the record on disk is flagged.
    """
    if layer in writer.layers:
        writer.layers.remove(layer)
    try:
        with given_up(writer.layout):
            writer.save(ItemKind.LAYERS)
    except errors.SystemFailure:
        if is_whole(writer, layer) or not _is_recorded(writer, layer):
            raise  # a renamed but unsynced file may be complete after a power cut
    _take_tree(writer, layer)
    _take_files(writer, layer)


def _is_recorded(writer: Writer, layer: str) -> bool:
    from cstore.store.reading import load_table

    return layer in load_table(writer.context, ItemKind.LAYERS, degraded=False)


def take_out(writer: Writer, layer: str) -> None:
    """Move everything of a layer into staging and drop its record, without saving. Missing parts are no error.

    The record on disk must be flagged. If the ID is unsafe, only the record is dropped, because such a layer owns no
    path.

    Raises:
        SystemFailure: something could not be moved; the record is still there.
    """
    _take_tree(writer, layer)
    _take_rest(writer, layer)


def _take_tree(writer: Writer, layer: str) -> None:
    with suppress(errors.UnsafeID):
        writer.afterwards(writer.driver.remove(layer))


def _take_rest(writer: Writer, layer: str) -> None:
    _take_files(writer, layer)
    writer.layers.remove(layer)


def _take_files(writer: Writer, layer: str) -> None:
    with suppress(errors.UnsafeID):
        for path in (writer.layout.tar_split(layer), writer.layout.layer_data(layer)):
            discard(writer, path)


def discard_image_data(writer: Writer, image: str) -> None:
    """Move everything of an image except its record into staging."""
    with suppress(errors.UnsafeID):
        discard(writer, writer.layout.image_data(image))
        discard(writer, writer.layout.image_run_data(image))


def discard_container_data(writer: Writer, container: str) -> None:
    """Move everything of a container except its record and its layer into staging."""
    with suppress(errors.UnsafeID):
        discard(writer, writer.layout.container_data(container))
        discard(writer, writer.layout.container_run_data(container))


def discard(writer: Writer, path: str) -> None:
    """Move `path` into staging, and delete it after the locks are released. A missing path is no error.

    IDs may be reused, so the name must be free before the lock is. If a rename is impossible, because the path is on
    another file system, delete it immediately.
    """
    from cstore.fs.tree import remove_tree

    if not presence.is_there(path):
        return
    make_directory(writer.layout.layers)
    try:
        elsewhere = os.lstat(path).st_dev != os.stat(writer.layout.layers).st_dev
    except OSError as error:
        raise errors.SystemFailure("examine", path, error) from None
    if elsewhere:
        remove_tree(path)
        return
    try:
        staging = StagingRoot(writer.layout.layers_staging).put_aside(path)
    except errors.SystemFailure as error:
        if error.errno != errno.EXDEV:
            raise
        remove_tree(path)  # the driver's home may be mounted onto itself
        return
    if staging is not None:
        writer.afterwards(StagedRemoval(staging))
