"""The files of a container besides its record: directories for its engine, and the space it takes."""

from __future__ import annotations

import os

from cstore import presence
from cstore.errors import ContainerUnknown, InvalidDataName, LayerUnknown, SystemFailure
from cstore.fs import within
from cstore.fs.lockfile import make_directories
from cstore.fs.writable import on_read_only_media
from cstore.ids import flaw_of_part
from cstore.store.lookup import container_of_layer, get_container, get_layer
from cstore.store.reading import Reader
from cstore.store.session import leave_to_its_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.streams import ReadInto, Sink
    from cstore.records.model import Container
    from cstore.store.context import Context
    from cstore.store.ends import Source


def directory(context: Context, ref: str) -> str:
    """Return the directory that the engine keeps for a container; create it if necessary.

    On read-only media, return the directory that a reboot may remove instead.

    Raises:
        ContainerUnknown: there is no such container.
    """
    container = get_container(Reader(context), ref).id
    path = context.layout.container_directory(container)
    if not presence.is_directory(path) and on_read_only_media(path):
        path = context.layout.container_run_directory(container)
    return _made(context, path)


def write_directory(context: Context, ref: str, sink: Sink) -> bool:
    """Write the engine's directory of a container as an uncompressed tar. If it is empty, write nothing, return False.

    Sockets and mounted file systems are left out.

    Raises:
        ContainerUnknown: there is no such container.
        SystemFailure: something cannot be read, or changed while it was.
        Unsupported: a file's name begins with `.wh.`: unpacked, it would be a whiteout.
    """
    from cstore.archive.pack import pack_tree

    path = context.layout.container_directory(get_container(Reader(context), ref).id)
    try:
        if not os.listdir(path):
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise SystemFailure("read", path, error) from error
    pack_tree(path, sink, one_device=True, no_layer=True)
    return True


def run_directory(context: Context, ref: str) -> str:
    """Return the container's directory that a reboot may remove.

    Raises:
        ContainerUnknown: there is no such container.
    """
    return _made(context, context.layout.container_run_directory(get_container(Reader(context), ref).id))


def write_file(context: Context, ref: str, name: str, source: Source, *, run: bool = False) -> None:
    """Write a file into a container's directory, or with `run` into that which a reboot may remove.

    The file replaces one with the same name, completely or not at all; parent directories are created. Links are never
    followed.

    Args:
        context: the store.
        ref: the container.
        name: the path, relative to the directory.
        source: the contents: a path, bytes, a descriptor, or a file.
        run: which directory.

    Raises:
        ContainerUnknown: there is no such container.
        InvalidDataName: the name is empty, or leads out of the directory.
        SystemFailure: the file cannot be written, or something else is in the way; the old file is unchanged.
    """
    from cstore.archive.streams import BUFFER_SIZE, FileReader, fill
    from cstore.fs.atomic import write_file as replace
    from cstore.store.ends import opened_source

    parts = _parts(name)
    top = (run_directory if run else directory)(context, ref)
    path = os.path.join(top, *parts)

    def pieces(reader: ReadInto) -> Iterator[bytes]:
        with memoryview(bytearray(BUFFER_SIZE)) as buffer:
            while count := fill(reader, buffer):
                yield bytes(buffer[:count])

    with opened_source(source, "the data") as opened:
        reader = FileReader(opened, "the data") if isinstance(opened, int) else opened
        try:
            if parts[:-1]:
                within.make_directories(top, "/".join(parts[:-1]))
        except OSError as error:
            raise SystemFailure("create the directory", os.path.dirname(path), error) from error
        replace(path, pieces(reader), sync=context.sync)


def read_file(context: Context, ref: str, name: str, *, run: bool = False) -> bytes:
    """Return a file in a container's directory, or with `run` in that which a reboot may remove.

    Raises:
        ContainerUnknown: there is no such container.
        InvalidDataName: the name is empty, or leads out of the directory.
        SystemFailure: the file cannot be read, is not a regular file, or a link is in its path.
    """
    parts, layout = _parts(name), context.layout
    container = get_container(Reader(context), ref).id
    top = layout.container_run_directory(container) if run else layout.container_directory(container)
    try:
        with open(within.open_file(os.path.dirname(top), "/".join((os.path.basename(top), *parts))), "rb") as file:
            return file.read()
    except OSError as error:
        raise SystemFailure("read", os.path.join(top, *parts), error) from None


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    for part in parts:
        flaw = flaw_of_part(part)
        if flaw:
            raise InvalidDataName("container", name, f"it is not a path below its directory: {part!r}: {flaw}")
    return parts


def _made(context: Context, path: str) -> str:
    data = os.path.dirname(path)
    if not presence.is_there(path) and not on_read_only_media(context.layout.graph_root):
        leave_to_its_user(context.layout)
    try:
        within.require_directory(*os.path.split(data), missing=True)
        make_directories(path)
        within.require_directory(os.path.dirname(data), f"{os.path.basename(data)}/userdata")
    except OSError as error:
        raise SystemFailure("create the directory", path, error) from error
    return path


def by_layer(context: Context, ref: str) -> Container:
    """Return the container whose own layer matches `ref`.

    Raises:
        LayerUnknown: there is no such layer.
        ContainerUnknown: the layer belongs to no container.
    """
    tables = Reader(context)
    found = container_of_layer(tables, get_layer(tables, ref).id)
    if found is None:
        raise ContainerUnknown(ref)
    return found


def size(context: Context, ref: str) -> int:
    """Return the bytes that only the container takes: its layer's changes, data items, and files in its directories.

    The image's layers are not counted. Nothing is created (semantics 15).

    Raises:
        ContainerUnknown: there is no such container.
        LayerUnknown: its layer is missing.
    """
    from cstore.fs.tree import usage
    from cstore.store.content import diff_size

    tables, layout = Reader(context), context.layout
    container = get_container(tables, ref)
    layer = tables.layers.get(container.layer)
    if layer is None or layer.incomplete:
        missing = LayerUnknown(container.layer)
        missing.go_text = f'locating layer with ID "{container.layer}": {missing.go_text}'
        raise missing
    kept = (layout.container_directory(container.id), layout.container_run_directory(container.id))
    own = diff_size(context, layer.id) + sum(container.data_sizes.values())
    return own + sum(usage(path).bytes for path in kept if presence.is_directory(path))
