"""The directory of an image, and one that a reboot removes, for programs that request them (semantics 11)."""

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
    """Return the directory of an image, which is removed with it; create it if necessary.

    On read-only media, return the directory that a reboot removes instead.

    Raises:
        ImageUnknown: there is no such image.
    """
    image = get_image(Reader(context), ref).id
    path = context.layout.image_directory(image)
    if not presence.is_directory(path) and on_read_only_media(path):
        path = context.layout.image_run_directory(image)
    return _made(context, image, path)


def image_run_directory(context: Context, ref: str) -> str:
    """Return the directory of an image that a reboot removes; see `image_directory`."""
    image = get_image(Reader(context), ref).id
    return _made(context, image, context.layout.image_run_directory(image))


def _made(context: Context, image: str, path: str) -> str:
    top, item = os.path.split(os.path.dirname(path))
    within.require_directory(top, item, missing=True)
    within.require_directory(top, f"{item}/userdata", missing=True)
    if presence.is_directory(path):
        return path
    if on_read_only_media(context.layout.images):  # no lock can be taken there, and nobody can remove the image
        make_directory(path, sync=context.sync)
    else:
        with writing(context, ItemKind.IMAGES) as writer:
            if find_image(writer, image) is None:
                raise ImageUnknown(image)
            make_directory(path, sync=context.sync)
    return path
