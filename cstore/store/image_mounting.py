"""Mount images read-only: their top layer, or a copy without an ID map (semantics 13)."""

from __future__ import annotations

from contextlib import contextmanager

from cstore.drivers.contract import MountOptions
from cstore.errors import ImageUnknown, ImageWithoutLayers, InvalidOption, LayerUnknown, Unsupported
from cstore.idmap import IDENTITY
from cstore.store.lookup import get_image, layer_by_id
from cstore.store.mapped_layers import base_layer
from cstore.store.mounting import count_down, count_up
from cstore.store.places import is_made
from cstore.store.reading import Reader
from cstore.store.session import mounting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.records.model import Image
    from cstore.store.context import Context


def mount_image(
    context: Context, ref: str, *, label: str = "", options: tuple[str, ...] = (), meanwhile: bool = False
) -> str:
    """Mount an image read-only, count the mount, and return the mount point; also for images of additional stores.

    If layers are plain directories, the mount point is a read-only view; or the directory itself if this process may
    not mount or, unless `meanwhile`, if its mounts are private. If the driver mounts a layer only once, and it is
    mounted writable already, that mount is used.

    Raises:
        ImageUnknown: there is no such image.
        ImageWithoutLayers: the image has no layers.
        LayerUnknown: the image's layers are missing.
        InvalidOption: one of `options` requests a writable mount.
        DriverError: the driver cannot mount the layer.
    """
    from cstore.store.rootless import alone

    if any("rw" in option.split(",") for option in options):
        raise InvalidOption("images are mounted read-only", hint="leave rw out", go_text=' "rw" option not supported')
    image = _with_layers(get_image(Reader(context), ref))
    layer, mapped = base_layer(context, image, IDENTITY, label)
    if mapped:
        raise Unsupported(
            f"the owners in image {image.id} are mapped, and no unmapped copy can go to its read-only store",
            hint="copy the image into this store",
            go_text="cannot create an image with canonical UID/GID mappings in a read-only store",
        )
    asked = MountOptions(
        label=label or layer.mount_label, options=options, read_only=True, lasting=meanwhile or not alone()
    )
    with mounting(context) as writer, writer.mounts() as mounts:
        if layer_by_id(writer, layer.id) is None:
            raise LayerUnknown(layer.id)
        return count_up(context, mounts, layer.id, lambda: asked)


@contextmanager
def mounting_of_image(context: Context, ref: str, *, label: str = "", options: tuple[str, ...] = ()) -> Iterator[str]:
    """Mount an image read-only during the context; yield its mount point.

    Raises:
        CstoreError: as `mount_image`.
    """
    image = get_image(Reader(context), ref).id  # its names may change in the meantime
    path = mount_image(context, image, label=label, options=options, meanwhile=True)
    try:
        yield path
    finally:
        unmount_image(context, image)


def unmount_image(context: Context, ref: str, *, force: bool = False) -> bool:
    """Remove one mount of an image, or with `force` all. Return whether it is still mounted.

    Raises:
        ImageUnknown: there is no such image.
        ImageWithoutLayers: the image has no layers.
        LayerUnknown: the image's layer is missing.
    """
    if not (is_made(context.layout) or context.additional):
        raise ImageUnknown(ref)
    with mounting(context, freeing=True) as writer, writer.mounts() as mounts:
        image = _with_layers(get_image(writer, ref))
        found = (layer_by_id(writer, each) for each in (image.layer, *image.mapped_layers))
        layers = [layer for layer in found if layer is not None]
        if not layers:
            raise LayerUnknown(image.layer)
        # `mount_image` mounts one without an ID map if there is one, else the top layer.
        layer = next((layer for layer in layers if not layer.id_map), layers[0])
        return count_down(context, mounts, layer.id, force=force)


def _with_layers(image: Image) -> Image:
    if not (image.layer or image.mapped_layers):
        raise ImageWithoutLayers(image.id)
    return image
