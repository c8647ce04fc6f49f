"""The image methods of the library: each calls the function in its module."""

from __future__ import annotations

from cstore.records.images import valid_digests, with_digest
from cstore.store.lookup import find_image, get_image, get_layer
from cstore.store.places import ItemKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager
    from io import BufferedReader

    from cstore.records.model import Image
    from cstore.store.context import Context
    from cstore.store.ends import Source
    from cstore.store.image_creation import NewImage
    from cstore.store.image_measuring import Outline
    from cstore.store.reading import Reader


class Images:
    """Images by ID, name or unique ID prefix (`ref`). Reading takes no lock and leaves no trace."""

    def __init__(self, context: Context, reader: Reader) -> None:
        self._context = context
        self._reader = reader

    # ── lookup ──

    def list(self) -> Sequence[Image]:
        """Return all images in the order of their records, those of additional stores last."""
        extra = [image for store in self._reader.additional for image in store.images]
        return [with_digest(image) for image in (*self._reader.every_image(), *extra)]

    def find(self, ref: str) -> Image | None:
        """Return the image that matches `ref`, or None."""
        image = find_image(self._reader, ref)
        return None if image is None else with_digest(image)

    def get(self, ref: str) -> Image:
        """Return the image that matches `ref`.

        Raises:
            ImageUnknown: none matches, or more than one.
        """
        return with_digest(get_image(self._reader, ref))

    def read_only(self, image: str) -> bool:
        """Return whether an image belongs to an additional store, which is only read."""
        if image in self._reader.images:
            return False
        holder = next((extra for extra in self._reader.additional if image in extra.images), None)
        return holder is not None and not holder.images_only

    def by_digest(self, digest: str) -> Sequence[Image]:
        """Return the images with this digest, either their own or that of one of their manifests.

        Raises:
            InvalidDigest: the digest is invalid.
        """
        from cstore.digests import check_digest

        check_digest(digest)
        return [image for image in self.list() if digest in self.digests(image)]

    def by_top_layer(self, ref: str) -> Sequence[Image]:
        """Return the images whose top layer, or a mapped layer of it, is this layer.

        Raises:
            LayerUnknown: there is no such layer.
        """
        layer = get_layer(self._reader, ref).id
        return [image for image in self.list() if layer in (image.layer, *image.mapped_layers)]

    def digests(self, image: Image) -> tuple[str, ...]:
        """Return the digests that identify an image; see `records.images.valid_digests`."""
        return valid_digests(image)

    def size(self, ref: str) -> int:
        """Return the bytes of an image's layers and data items; see `image_measuring.image_size`.

        Raises ImageUnknown, LayerMissing, DriverError, SystemFailure.
        """
        from cstore.store import image_measuring

        return image_measuring.image_size(self._context, ref)

    def outlines(self, images: Iterable[Image]) -> Sequence[Outline]:
        """Return the recorded sizes of many images, from the records alone; see `image_measuring.image_outlines`."""
        from cstore.store import image_measuring

        return image_measuring.image_outlines(self._reader, images)

    # ── creation and removal ──

    def create(self, request: NewImage) -> Image:
        """Create an image; see `image_creation.create_image`.

        Raises LayerUnknown, IDTaken, NameTaken, InvalidID, InvalidName, InvalidDigest, InvalidTime,
        InvalidDataName.
        """
        from cstore.store import image_creation

        return image_creation.create_image(self._context, request)

    def delete(self, ref: str, *, commit: bool = True) -> tuple[str, ...]:
        """Delete an image that nothing uses; see `image_removal.delete_image`.

        Raises NotAnImage, ReadOnlyStore, ImageUsedByContainer, CstoreError.
        """
        from cstore.store import image_removal

        return image_removal.delete_image(self._context, ref, commit=commit)

    # ── mounts and directories ──

    def mount(self, ref: str, *, label: str = "", options: tuple[str, ...] = ()) -> str:
        """Mount an image read-only; see `image_mounting.mount_image`.

        Raises ImageUnknown, ImageWithoutLayers, LayerUnknown, InvalidOption, DriverError.
        """
        from cstore.store import image_mounting

        return image_mounting.mount_image(self._context, ref, label=label, options=options)

    def mounting(self, ref: str, *, label: str = "", options: tuple[str, ...] = ()) -> AbstractContextManager[str]:
        """Mount an image read-only during a `with` block, which gets the mount point; see `image_mounting`."""
        from cstore.store import image_mounting

        return image_mounting.mounting_of_image(self._context, ref, label=label, options=options)

    def unmount(self, ref: str, *, force: bool = False) -> bool:
        """Remove one mount; see `image_mounting.unmount_image`.

        Raises ImageUnknown, ImageWithoutLayers, LayerUnknown.
        """
        from cstore.store import image_mounting

        return image_mounting.unmount_image(self._context, ref, force=force)

    def directory(self, ref: str) -> str:
        """Return a directory that is removed with the image; see `image_directories.image_directory`.

        Raises ImageUnknown.
        """
        from cstore.store import image_directories

        return image_directories.image_directory(self._context, ref)

    def run_directory(self, ref: str) -> str:
        """Return a directory that a reboot removes; see `image_directories.image_run_directory`."""
        from cstore.store import image_directories

        return image_directories.image_run_directory(self._context, ref)

    # ── data items ──

    def data_names(self, ref: str) -> tuple[str, ...]:
        """Return the data items of an image, in the order in which they were first set."""
        from cstore.store import bigdata

        return bigdata.data_names(self._context, ItemKind.IMAGES, ref)

    def get_data(self, ref: str, key: str) -> bytes:
        """Return a data item of an image; see `bigdata.get_data`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.get_data(self._context, ItemKind.IMAGES, ref, key)

    def data_size(self, ref: str, key: str) -> int:
        """Return the size of a data item in bytes; see `bigdata.data_size`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.data_size(self._context, ItemKind.IMAGES, ref, key)

    def data_digest(self, ref: str, key: str) -> str:
        """Return the digest of a data item; see `bigdata.data_digest`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.data_digest(self._context, ItemKind.IMAGES, ref, key)

    def open_data(self, ref: str, key: str) -> BufferedReader:
        """Open a data item of an image for reading; see `bigdata.open_data`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.open_data(self._context, ItemKind.IMAGES, ref, key)

    def set_data(self, ref: str, key: str, data: Source, digest: str = "") -> None:
        """Set a data item of an image from bytes, a path, a descriptor or a file; see `bigdata.set_data`.

        Raises UnknownItem, ReadOnlyStore, InvalidDataName, InvalidDigest.
        """
        from cstore.store import bigdata

        bigdata.set_data(self._context, ItemKind.IMAGES, ref, key, data, digest)

    def delete_data(self, ref: str, key: str) -> None:
        """Delete a data item of an image; see `bigdata.delete_data`.

        Raises UnknownItem, ReadOnlyStore, DataItemUnknown, DataItemNeeded.
        """
        from cstore.store import bigdata

        bigdata.delete_data(self._context, ItemKind.IMAGES, ref, key)
