"""What a container keeps besides its record: directories for whoever runs it, and how much it all takes."""

from __future__ import annotations

import os

from cstore.errors import ContainerUnknown, LayerUnknown, SystemFailure
from cstore.fs import within
from cstore.fs.lockfile import make_directories
from cstore.fs.writable import on_read_only_media
from cstore.store.lookup import container_of_layer, get_container, get_layer
from cstore.store.ownership import leave_to_its_user
from cstore.store.reading import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.records.model import Container
    from cstore.store.context import Context


def directory(context: Context, word: str) -> str:
    """Return the directory that belongs to whoever runs the container; it is made if it is not there.

    Where it cannot be made, on read-only media, it is the one that a reboot may take.

    Raises:
        ContainerUnknown: there is no such container.
    """
    container = get_container(Reader(context), word).id
    path = context.layout.container_directory(container)
    if not os.path.isdir(path) and on_read_only_media(path):
        path = context.layout.container_run_directory(container)
    return _made(context, path)


def run_directory(context: Context, word: str) -> str:
    """Return the same for what a reboot may take.

    Raises:
        ContainerUnknown: there is no such container.
    """
    return _made(context, context.layout.container_run_directory(get_container(Reader(context), word).id))


def _made(context: Context, path: str) -> str:
    data = os.path.dirname(path)
    if not os.path.lexists(path) and not on_read_only_media(context.layout.graph_root):
        leave_to_its_user(context.layout)
    try:
        within.require_directory(*os.path.split(data), missing=True)
        make_directories(path)
        within.require_directory(os.path.dirname(data), f"{os.path.basename(data)}/userdata")
    except OSError as error:
        raise SystemFailure("make the directory", path, error) from error
    return path


def by_layer(context: Context, word: str) -> Container:
    """Find the container whose own layer answers to `word`.

    Raises:
        LayerUnknown: there is no such layer.
        ContainerUnknown: it belongs to no container.
    """
    tables = Reader(context)
    found = container_of_layer(tables, get_layer(tables, word).id)
    if found is None:
        raise ContainerUnknown(word)
    return found


def size(context: Context, word: str) -> int:
    """Add up what only the container has: its layer's changes, its data, and the files in its directories, in bytes.

    What the image's layers hold is not counted. Nothing is made for the answer (semantics 15).

    Raises:
        ContainerUnknown: there is no such container.
        LayerUnknown: its layer is missing.
    """
    from cstore.store.content import diff_size

    tables, layout = Reader(context), context.layout
    container = get_container(tables, word)
    layer = tables.layers.get(container.layer)
    if layer is None or layer.incomplete:
        missing = LayerUnknown(container.layer)
        missing.peer = f'locating layer with ID "{container.layer}": {missing.peer}'
        raise missing
    kept = (layout.container_directory(container.id), layout.container_run_directory(container.id))
    return diff_size(context, layer.id) + sum(container.data_sizes.values()) + sum(map(_bytes_in, kept))


def _bytes_in(path: str) -> int:
    from cstore.fs.tree import usage

    return usage(path).bytes if os.path.isdir(path) else 0
