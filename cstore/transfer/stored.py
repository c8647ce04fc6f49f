"""An image of the store, taken apart to be written out: its config, its manifest, its layers from the bottom up."""

from __future__ import annotations

from contextlib import suppress

from cstore.digests import is_digest_of
from cstore.errors import (
    CstoreError,
    DataItemUnknown,
    ImageInvalid,
    InvalidName,
    Unsupported,
)
from cstore.oci.config import parse_config
from cstore.oci.names import DOCKER, LOCAL, parse_name
from cstore.transfer.manifests import Manifest, parse_document
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.oci.config import ImageConfig
    from cstore.oci.names import ImageName
    from cstore.records.model import Image, Layer
    from cstore.store import Store


class StoredImage(Value):
    """An image that can be written out.

    Attributes:
        id: its ID.
        config: its config; the digest of its bytes need not be the ID.
        manifest: the original manifest, if the store has it and it can be read.
        layers: bottom first, one for each DiffID of the config.
        names: the names to write.
    """

    id: str
    config: ImageConfig
    manifest: Manifest | None
    layers: tuple[Layer, ...]
    names: tuple[ImageName, ...]


def take_apart(store: Store, ref: str) -> StoredImage:
    """Find an image by name, ID or unique ID prefix, and check that its parts belong together.

    An image found by name is written with that name; one found by ID, without a name.

    Raises:
        ImageUnknown: there is no such image.
        ImageInvalid: it has no config, or its layers are not those of its config.
    """
    image, name = _find(store, ref)
    manifest = None
    with suppress(CstoreError):  # without one, or with one of an older kind, the config suffices
        document = parse_document(store.images.get_data(image.id, "manifest"), "manifest")
        manifest = document if isinstance(document, Manifest) else None
    digest = manifest.config.digest if manifest else f"sha256:{image.id}"
    try:
        raw = store.images.get_data(image.id, digest)
    except DataItemUnknown:
        raise ImageInvalid(f"{image.id} has no config in the store, so no program can run it") from None
    if not is_digest_of(digest, raw):
        raise ImageInvalid(f"the config of {image.id} in the store does not have the digest {digest}")
    config = parse_config(raw)
    layers = _chain(store, image)
    found = tuple(layer.diff_digest for layer in layers)
    if found != config.rootfs.diff_ids:
        raise ImageInvalid(
            f"the layers of {image.id} in the store are not those of its config: "
            f"{len(found)} of {len(config.rootfs.diff_ids)}"
        )
    return StoredImage(image.id, config, manifest, layers, () if name is None else (name,))


def _find(store: Store, ref: str) -> tuple[Image, ImageName | None]:
    """Find an image, and the name that it was asked for by."""
    image = store.images.find(ref)
    if image is not None:
        name = parse_name(ref, home=LOCAL) if ref in image.names else None
        return image, None if name is None or name.digest else name
    image = store.images.get(store.resolve(ref, "image").id)
    try:
        short, full = parse_name(ref, home=LOCAL), str(parse_name(ref, home=DOCKER))
    except InvalidName:
        return image, None
    ending = str(short).removeprefix(f"{LOCAL}/")
    meant = (name for name in image.names if name == full or f"/{name}".endswith(f"/{ending}"))
    called = "" if short.digest else next(meant, "")
    return image, parse_name(called, home=LOCAL) if called else None


def _chain(store: Store, image: Image) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    below = image.layer
    while below:
        layer = store.layers.get(below)
        if layer in layers:
            raise ImageInvalid(f"layer {layer.id} of {image.id} is its own ancestor")
        if not layer.diff_digest:
            raise Unsupported(f"layer {layer.id} of {image.id} was not imported from an archive, so it has no digest")
        layers.insert(0, layer)
        below = layer.parent
    return tuple(layers)


def distinct(images: Sequence[StoredImage]) -> list[StoredImage]:
    """Make one of images that were asked for more than once; the names come together."""
    found: dict[str, StoredImage] = {}
    for image in images:
        known = found.get(image.id)
        names = image.names if known is None else tuple(dict.fromkeys((*known.names, *image.names)))
        found[image.id] = (known or image).with_(names=names)
    return list(found.values())
