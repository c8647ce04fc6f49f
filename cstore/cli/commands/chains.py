"""Commands for layers by ChainID, as in Docker: register, list, export and release."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, word, words
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError, UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cstore.docker import ChainOutline, ReadOnlyLayer


@command(
    "register",
    example="cstore register -f base.tar\ncstore register -f app.tar.gz "
    "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
)
@word("parent", "PARENT", required=False)
@text("-f", "--file", metavar="FILE", help="Read the archive from FILE instead of standard input.")
@text("--max-depth", metavar="N", help="Fail for chains of more than N layers (default: 125, as Docker).")
@switch("-q", "--quiet", help="Show no progress.")
@json_option
def register(session: Session, parent: str, file: str, max_depth: str, quiet: bool) -> None:
    """Register a tar archive as a layer by ChainID.

    The ChainID identifies the archive together with the layers below it. Uses the layer with that ChainID if there is
    one; otherwise creates a layer on top of PARENT, with the ID that Podman and skopeo would give it. PARENT is a
    ChainID, or the ID or name of a layer.
    """
    from cstore.cli.files import archive_source, size_of
    from cstore.cli.output import docker as output
    from cstore.cli.output.progress import progress_bar
    from cstore.docker import LayerStore

    with archive_source(file) as source:
        store = session.open(Intent.WRITE)
        if max_depth and not (max_depth.isascii() and max_depth.isdecimal() and int(max_depth)):
            raise UsageMistake(f"--max-depth takes a number of layers from 1 upward, not {max_depth!r}")
        layers = LayerStore(store, max_depth=int(max_depth)) if max_depth else LayerStore(store)
        below = layers.chain_of(parent) if parent else ""
        with progress_bar("registering", size_of(source), quiet=quiet) as progress:
            layer = layers.register(source, below, progress)
    session.show(View(lambda: output.chain_document(layer), lambda: output.chain_lines([layer])))


@command("chains", example="cstore chains")
@words("named", "LAYER", required=False)
@switch("--size", help="Print sizes too, in bytes: of the layer's files and of the whole chain.")
@json_option
def chains(session: Session, named: tuple[str, ...], size: bool) -> None:
    """List layers by ChainID.

    Prints each ChainID, then a line with the DiffID and one with the layer's ID. LAYER is a ChainID, or the ID or name
    of a layer; without LAYER, lists all layers with a ChainID. Writable layers, and layers on top of them, have no
    ChainID.
    """
    from cstore.cli.output import docker as output
    from cstore.docker import LayerStore

    layers = LayerStore(session.open(Intent.CONTENT if size else Intent.RECORDS))
    if named:
        found: Sequence[ReadOnlyLayer | ChainOutline] = [layers.look(layers.chain_of(name)) for name in named]
    else:
        found = list(layers.map().values()) if size else layers.outlines()
    session.show(
        View(
            lambda: output.chain_documents(found, size=size),
            lambda: output.chain_lines(found, size=size),
            lambda: output.chain_table(found, size=size),
        )
    )


@command(
    "export-chain",
    example="cstore export-chain -f base.tar base\ncstore export-chain --whole base | tar t\n"
    "cstore export-chain --from base -f changes.tar app",
)
@word("named", "LAYER")
@text("--from", metavar="ANCESTOR", help="Write the changes since ANCESTOR, a layer below LAYER.")
@switch("--whole", help="Write the whole tree.")
@text("-f", "--file", metavar="FILE", help="Write to FILE instead of standard output.")
@switch("-q", "--quiet", help="Show no progress.")
def export_chain(session: Session, /, named: str, file: str, quiet: bool, **since: Any) -> None:
    """Write a layer, or a chain of layers, as a tar archive.

    LAYER is a ChainID, or the ID or name of a layer that has one. Without options, writes the layer byte for byte as it
    was registered, verified against its DiffID. With --from or --whole, generates the archive from the files.
    """
    from cstore.cli.files import result_file
    from cstore.cli.output.progress import progress_bar
    from cstore.docker import LayerStore

    if since["from"] and since["whole"]:
        raise UsageMistake("--from and --whole exclude each other", hint="omit --from or --whole")
    layers = LayerStore(session.open(Intent.CONTENT))
    layer = layers.look(layers.chain_of(named))
    made_up = since["whole"] or since["from"]
    ancestor = layers.chain_of(since["from"]) if since["from"] else ""
    total = None if made_up else layer.records[-1].diff_size
    with (
        result_file(file, sync=session.config.sync) as sink,
        progress_bar("exporting", total, quiet=quiet or not file) as sink.progress,
    ):
        if made_up:
            layer.write_tar_from(ancestor, sink)
        else:
            layer.write_tar(sink)


@command("release", example="cstore release sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")
@words("named", "LAYER")
@switch("-y", "--yes", help="Do not ask for confirmation on a terminal.")
@json_option
def release(session: Session, named: tuple[str, ...], yes: bool) -> None:
    """Delete layers that nothing uses.

    Also deletes layers below that become unused. LAYER is a ChainID, or the ID or name of a layer. A layer on top, an
    image, a container, a mount or a name keeps a layer in use. Prints the ChainIDs of the deleted layers, uppermost
    first.
    """
    from cstore.cli.output import docker as output
    from cstore.cli.output.asking import may_delete
    from cstore.docker import LayerStore

    layers = LayerStore(session.open(Intent.WRITE))
    if not may_delete("layer", named, yes=yes):
        return
    freed = []
    for name in named:
        try:
            chain = layers.chain_of(name)
            freed += layers.release_chain(chain)
        except CstoreError as error:
            session.complain(error, name)
            continue
        if layers.find(chain) is not None:
            session.warn([f"layer {name} is still held; it stays"])
    session.show(View(lambda: [output.freed_document(one) for one in freed], lambda: (one.chain_id for one in freed)))
