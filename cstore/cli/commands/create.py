"""Commands that create layers, empty or from a tar archive, and bare trees in the driver."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, word
from cstore.cli.options import layer_options, new_layer, tree_options
from cstore.cli.session import Intent, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore import Layer


@command("create-layer", example="cstore create-layer --name base\ncstore create-layer --name app base")
@word("parent", "PARENT", required=False)
@layer_options
@json_option
def create_layer(session: Session, /, parent: str, **wanted: Any) -> None:
    """Create a layer.

    The new layer has the contents of PARENT, or is empty. Prints its ID, then a line for each name.
    """
    request = new_layer(parent, wanted)
    _show(session, session.open(Intent.WRITE).layers.create(request))


@command(
    "import-layer",
    example="cstore import-layer --name base -f rootfs.tar.zst\nzcat rootfs.tar.gz | cstore import-layer --name base",
)
@word("parent", "PARENT", required=False)
@layer_options
@text("-f", "--file", metavar="FILE", help="Read the archive from FILE instead of standard input.")
@text("--expect", metavar="DIGEST", help="Fail unless the archive, compressed or uncompressed, has DIGEST.")
@switch("--reuse", help="Use an existing layer with the same DiffID and parent, if there is one.")
@switch("--id-only", help="Print only the ID.")
@switch("-q", "--quiet", help="Show no progress.")
@json_option
def import_layer(session: Session, /, parent: str, file: str, *, quiet: bool, id_only: bool, **wanted: Any) -> None:
    """Create a layer from a tar archive.

    Applies the archive, plain or compressed with gzip, zstd, bzip2 or xz, on top of PARENT. A failed import leaves no
    layer. Prints the layer's ID, then a line for each name.
    """
    from cstore.cli.files import archive_source, size_of
    from cstore.cli.output.progress import progress_bar

    def show(layer: Layer) -> None:
        if id_only and not session.json:
            session.lines([layer.id])
        else:
            _show(session, layer)

    request = new_layer(parent, wanted).with_(expect=wanted["expect"], reuse=wanted["reuse"])
    with archive_source(file) as source:
        store = session.open(Intent.WRITE)
        with progress_bar("importing", size_of(source), quiet=quiet) as progress:
            if session.later is not None:
                session.later(store.layers.prepare(request, source, progress), show)
                return
            layer = store.layers.put(request, source, progress)
    show(layer)


@command("create-storage-layer", example="cstore create-storage-layer --id scratch")
@word("parent", "PARENT", required=False)
@tree_options
@json_option
def create_storage_layer(session: Session, /, parent: str, **wanted: Any) -> None:
    """Create a tree in the storage driver only.

    PARENT is an ID that the driver knows. Writes no record: only storage-layers lists the tree, and gc and wipe remove
    it.
    """
    tree = session.open(Intent.WRITE).layers.create_tree(new_layer(parent, wanted))
    session.show(View(lambda: tree, lambda: [tree]))


def _show(session: Session, layer: Layer) -> None:
    from cstore.cli.output import plain

    session.show(View(layer.document, lambda: plain.created(layer.id, layer.names)))
