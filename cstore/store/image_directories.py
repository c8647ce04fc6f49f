"""A directory for each image, and one that a reboot forgets, for whoever asks for them (semantics 11)."""

from __future__ import annotations

import os

from cstore import presence
from cstore.errors import ImageUnknown
from cstore.fs import within
from cstore.fs.lockfile import make_directory
from cstore.fs.writable import on_read_only_media
from cstore.store.lookup import find_image, get_image
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from cstore.store.session import writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.store.context import Context


def image_directory(context: Context, ref: str) -> str:
    """Return the directory of an image, made if it is not there; it goes when the image goes.

    Where it cannot be made, on read-only media, it is the one that lasts until the next reboot.

    Raises:
        ImageUnknown: there is no such image.
    """
    image = get_image(Reader(context), ref).id
    path = context.layout.image_directory(image)
    if not presence.is_directory(path) and on_read_only_media(path):
        path = context.layout.image_run_directory(image)
    return _made(context, image, path)


def image_run_directory(context: Context, ref: str) -> str:
    """Return the directory of an image that lasts until the next reboot; see `image_directory`."""
    image = get_image(Reader(context), ref).id
    return _made(context, image, context.layout.image_run_directory(image))


def _made(context: Context, image: str, path: str) -> str:
    top, item = os.path.split(os.path.dirname(path))
    within.require_directory(top, item, missing=True)
    within.require_directory(top, f"{item}/userdata", missing=True)
    if presence.is_directory(path):
        return path
    if on_read_only_media(context.layout.images):  # no lock can be taken, and nobody can remove the image
        make_directory(path, sync=context.sync)
    else:
        with writing(context, ItemKind.IMAGES) as writer:
            if find_image(writer, image) is None:
                raise ImageUnknown(image)
            make_directory(path, sync=context.sync)
    return path
