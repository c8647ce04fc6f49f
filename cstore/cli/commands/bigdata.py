"""Commands for the data items of a layer, which are named files."""

from __future__ import annotations

from cstore.cli.command import command, json_option, text, word
from cstore.cli.session import Intent, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedReader

_PIECE = 1 << 20


@command("list-layer-data", example="cstore list-layer-data base")
@word("layer", "LAYER")
@json_option
def list_layer_data(session: Session, layer: str) -> None:
    """List the data items of a layer."""
    show_items(session, session.open(Intent.RECORDS).layers.data_names(layer))


@command("get-layer-data", example="cstore get-layer-data -f sbom.json base sbom")
@word("layer", "LAYER")
@word("item", "NAME")
@text("-f", "--file", metavar="FILE", help="Write to FILE instead of standard output.")
def get_layer_data(session: Session, layer: str, item: str, file: str) -> None:
    """Write a data item of a layer.

    FILE is written only if the item exists.
    """
    write_out(session, session.open(Intent.RECORDS).layers.open_data(layer, item), file)


@command("set-layer-data", example="cstore set-layer-data -f sbom.json base sbom")
@word("layer", "LAYER")
@word("item", "NAME")
@text("-f", "--file", metavar="FILE", help="Read from FILE instead of standard input.")
def set_layer_data(session: Session, layer: str, item: str, file: str) -> None:
    """Store a data item with a layer.

    Atomically replaces an item of the same name.
    """
    from cstore.cli.files import standard_input

    session.open(Intent.WRITE).layers.set_data(layer, item, file or standard_input())


@command("delete-layer-data", example="cstore delete-layer-data base sbom")
@word("layer", "LAYER")
@word("item", "NAME")
def delete_layer_data(session: Session, layer: str, item: str) -> None:
    """Delete a data item of a layer."""
    session.open(Intent.WRITE).layers.delete_data(layer, item)


def show_items(session: Session, items: Sequence[str]) -> None:
    """Print the names of data items."""
    from cstore.cli.output import structured

    session.show(View(lambda: structured.nothing_is_null(items), lambda: items))


def write_out(session: Session, data: BufferedReader, file: str) -> None:
    """Write a data item to a file, or to standard output if `file` is ""."""
    from cstore.cli.files import result_file

    with data, result_file(file, sync=session.config.sync, binary=False) as sink:
        while piece := data.read(_PIECE):
            sink.write(piece)
