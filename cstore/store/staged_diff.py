"""Use a directory of the host as a layer's contents: pack it, unpack it beside the layer, and replace the layer's tree.

The record describes the intermediate archive, and its tar-split is stored, as after an import. So the layer can be
exported byte for byte. (semantics 14.6)
"""

from __future__ import annotations

import errno
import os

from cstore import presence
from cstore.errors import SystemFailure, Unsupported
from cstore.fs import within
from cstore.fs.staging import StagingRoot
from cstore.ids import check_id
from cstore.store.lookup import find_own_layer, get_own_layer
from cstore.store.reading import Reader
from cstore.store.session import make_roots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.records.model import Layer
    from cstore.store.context import Context


def put_directory(context: Context, ref: str, directory: str) -> Layer:
    """Replace a layer's own contents with those of `directory`; create the layer if it does not exist.

    Raises:
        Unsupported: the configuration or the driver does not allow it, as with the Go tool.
        InvalidID: there is no such layer, and the ID is invalid.
        LayerChanged: another process changed the layer in the meantime; it is left as it is.
        SystemFailure: the directory cannot be read; the layer is unchanged.
    """
    _check_allowed(context)
    known = find_own_layer(Reader(context), ref)
    layer = check_id(ref) if known is None else known.id
    if not presence.is_directory(directory):
        number = errno.ENOTDIR if presence.is_there(directory) else errno.ENOENT
        raise SystemFailure("read", directory, OSError(number, os.strerror(number)), hint="name a directory")
    make_roots(context.layout)
    with StagingRoot(context.layout.layers_staging).reserve() as staging:
        archive = _packed(directory, staging.next_name("directory.tar"))
        try:
            if known is None:
                from cstore.store.creation import NewLayer, put_layer

                put_layer(context, NewLayer(id=layer), archive)
            else:
                from cstore.store.content import apply_diff

                apply_diff(context, layer, archive, keep=False)
        finally:
            os.close(archive)
    return get_own_layer(Reader(context), layer)


def _check_allowed(context: Context) -> None:
    if not context.config.pulling.enable_partial_images:
        raise Unsupported(
            "layers from directories are not enabled",
            hint='set enable_partial_images = "true" among the pull_options in storage.conf',
            go_text="partial images are disabled",
        )
    name = context.driver.name
    if not context.driver_facts.takes_directories:
        raise Unsupported(
            f"the storage driver {name} cannot use a directory as a layer",
            hint="pack it with tar, and use import-layer or applydiff",
            go_text=f"graph driver {name} does not support partial pull",
        )


def _packed(directory: str, path: str) -> int:
    """Pack the directory into an unnamed file, and return its descriptor at the beginning."""
    from cstore.archive.pack import pack_tree
    from cstore.archive.streams import FileSink

    try:
        archive = within.open_path(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    except OSError as error:
        raise SystemFailure("create", path, error) from error
    try:
        within.unlink(path)
        pack_tree(directory, FileSink(archive))
        os.lseek(archive, 0, os.SEEK_SET)
    except BaseException:
        os.close(archive)
        raise
    return archive
