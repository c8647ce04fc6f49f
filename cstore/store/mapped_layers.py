"""Find the layer below a container's: the image's top layer, or a mapped layer whose owners fit the ID map.

    image ──► layer            as it was imported
          └─► mapped_layers    the same contents with other owners; removed with the image

If the driver can show other owners at the mount, no mapped layers are needed. (semantics 7.4)
"""

from __future__ import annotations

from contextlib import ExitStack

from cstore.errors import ImageUnknown, LayerUnknown
from cstore.store.lookup import find_layer
from cstore.store.maps import map_on_disk
from cstore.store.places import ItemKind
from cstore.store.session import Trusted, writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.idmap import IDMap
    from cstore.records.model import Image, Layer
    from cstore.store.context import Context
    from cstore.store.lookup import Tables
    from cstore.store.session import Writer


def base_layer(context: Context, image: Image, id_map: IDMap, label: str = "") -> tuple[Layer, bool]:
    """Find the layer below the own layer of a container of `image` with `id_map`; create and record one if none fits.

    Takes the locks of layers and images; the caller must not hold them.

    Args:
        context: the store.
        image: an image with a top layer, of the store itself or of an additional one.
        id_map: the container's ID map.
        label: the mount label of a new mapped layer; "" for that of the top layer.

    Returns:
        The layer, and whether its owners still have to be changed in the container's own layer, because no mapped layer
        can be created for a read-only image.

    Raises:
        LayerUnknown: the image's top layer is missing.
        ImageUnknown: the image was removed while a mapped layer was created.
        InvalidIDMap: the map does not cover an owner in the layer.
    """
    tables = Trusted(context)
    wanted = map_on_disk(context.driver, id_map)
    image = tables.images.get(image.id) or image
    candidates = _candidates(tables, image)
    if not candidates:
        top = find_layer(tables, image.layer)
        error = LayerUnknown(top.parent if top is not None else image.layer)
        error.hint = (
            f"image {image.id} needs it; an additional image store that is not configured may have it: see check"
        )
        raise error
    fitting = _fitting(candidates, wanted)
    if fitting is not None:
        return fitting, False
    first = candidates[0]
    if image.id in tables.images and first.id in tables.layers:
        return _make_mapped_layer(context, image.id, first, wanted, label or first.mount_label), False
    return first, True


def _candidates(tables: Tables, image: Image) -> list[Layer]:
    """Return the image's top layer and mapped layers whose parents exist, the store's own first."""
    identifiers = [identifier for identifier in (image.layer, *image.mapped_layers) if identifier]
    found = []
    for table in (tables.layers, *(extra.layers for extra in tables.additional)):
        for identifier in identifiers:
            layer = table.get(identifier)
            if layer is None or layer.incomplete:
                continue
            if not layer.parent or find_layer(tables, layer.parent) is not None:
                found.append(layer)
    return found


def _fitting(candidates: list[Layer], wanted: IDMap) -> Layer | None:
    return next((layer for layer in candidates if layer.id_map == wanted), None)


def _make_mapped_layer(context: Context, image: str, original: Layer, wanted: IDMap, label: str) -> Layer:
    from cstore.store.creation import NewLayer, create_layer

    request = NewLayer(
        parent=original.parent,
        template=original.id,
        mount_label=label,
        id_map=wanted,
        host_uids=not wanted.uids,
        host_gids=not wanted.gids,
        read_only=True,
    )
    mapped_layer = create_layer(context, request)
    with writing(context, ItemKind.LAYERS, ItemKind.IMAGES) as writer, ExitStack() as stack:
        stack.callback(_withdraw, writer, mapped_layer)
        record = writer.images.get(image)
        if record is None:
            raise ImageUnknown(image)
        other = _fitting(_candidates(writer, record), wanted)
        if other is not None:
            return other  # another process has added an equal one
        writer.images.replace(record.with_(mapped_layers=(*record.mapped_layers, mapped_layer.id)))
        writer.save(ItemKind.IMAGES)
        stack.pop_all()
        return mapped_layer


def _withdraw(writer: Writer, mapped_layer: Layer) -> None:
    from cstore.store.removal import remove_layer

    if writer.layers.get(mapped_layer.id) is not None:
        remove_layer(writer, mapped_layer.id)
