"""Trees that exist only in the driver, without record or name, until `gc` removes them (cli 4.3)."""

from __future__ import annotations

from cstore.drivers.contract import TreeOptions
from cstore.errors import IDTaken, LayerRecorded, LayerUnknown
from cstore.idmap import IDENTITY
from cstore.ids import check_id, new_id
from cstore.store.places import ItemKind
from cstore.store.removal import check_unused
from cstore.store.session import make_roots, writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cstore.store.context import Context
    from cstore.store.creation import NewLayer


def create_tree(context: Context, request: NewLayer) -> str:
    """Create a tree in the driver above the tree `request.parent`, an exact ID. Return the new ID.

    Raises:
        DriverError: the driver has no tree of the parent.
        IDTaken, InvalidID: the wanted ID is taken or invalid.
    """
    driver = context.driver
    layer = check_id(request.id) if request.id else new_id(driver.exists)
    parent = check_id(request.parent) if request.parent else None
    make_roots(context.layout)
    options = TreeOptions(
        id_map=request.id_map or IDENTITY, mount_label=request.mount_label, read_only=request.read_only
    )
    staged = driver.stage(parent, options)
    try:
        with writing(context, ItemKind.LAYERS) as writer:
            if driver.exists(layer) or writer.layers.get(layer) is not None:
                raise IDTaken("layer", layer)
            driver.adopt(staged, layer, parent)
    finally:
        staged.staging.remove()
    return layer


def open_tree(context: Context, layer: str) -> AbstractContextManager[str]:
    """Yield a whole tree as a directory for reading; no mount is counted.

    Raises:
        LayerUnknown: the driver has no such tree.
        InvalidID: the ID is invalid.
    """
    if not context.driver.exists(check_id(layer)):
        raise LayerUnknown(layer)
    return context.driver.tree_of(layer)


def delete_tree(context: Context, layer: str) -> None:
    """Delete a tree that has no record, and that no record refers to.

    Raises:
        LayerUnknown: the driver has no such tree.
        InvalidID: the ID is invalid.
        LayerRecorded: the tree has a record.
        LayerHasChildren, LayerUsedByImage, LayerUsedByContainer: a record refers to it, so its own may be lost.
        RecordsDamaged: damaged records do not show whether it is used.
    """
    if layer not in context.driver.layers():
        raise LayerUnknown(check_id(layer))
    with writing(context, ItemKind.LAYERS, ItemKind.IMAGES, freeing=True) as writer:
        if writer.layers.get(layer) is not None:
            raise LayerRecorded(layer)
        check_unused(writer, layer)
        context.driver.unmount(layer)
        removal = context.driver.remove(layer)
    removal.finish()
