"""Commands that list and show layers, the trees in the driver, and owners that an ID map lacks."""

from __future__ import annotations

from cstore import errors
from cstore.cli.command import command, json_option, switch, text, words
from cstore.cli.listing import in_columns, listing_options, picked, query_of
from cstore.cli.session import Intent, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from cstore import Layer, Store
    from cstore.insight import Query
    from cstore.store import LayerOutline

    Listed = Layer | LayerOutline

_FEW = 1000
"""Maximum number of layers whose records are read one by one; for more layers, all records are read once."""


@command(
    "layers",
    example="cstore layers --tree\ncstore layers --json | jq -r '.[].id'\ncstore layers --filter used=false --quiet\n"
    "cstore layers --sort -size --columns id,size,used-by",
)
@switch("-t", "--tree", help="Show layers as a tree.")
@switch("-q", "--quick", "--quiet", help="Print IDs only.")
@text("--digest", metavar="DIGEST", help="List only layers whose archive has DIGEST, compressed or uncompressed.")
@listing_options
@json_option
def layers(session: Session, *, tree: bool, quick: bool, digest: str, **wanted: Any) -> None:
    """List layers.

    Lists each layer with its names and the images and containers that use it.

    --sort and --columns take names, id, parent, size, created, used-by, digest and state. With --columns, a pipe gets
    lines with tabs between the columns, `-` for a size that is not known, and --json an object for each layer. --filter
    takes name=REGEX, id=PREFIX, parent=LAYER, and used=true|false: whether an image or a container needs it. Values of
    one key are alternatives; every key must match.

    Exit status: 2 if there is no such column or filter.
    """
    query = query_of("layer", wanted, "--quiet" if quick else "")
    if tree and (digest or query is not None):
        from cstore.errors import UsageMistake

        other = "--digest" if digest else "--filter, --sort or --columns"
        raise UsageMistake(f"--tree shows all layers; it cannot be combined with {other}", hint="omit one of them")
    store = session.open(Intent.RECORDS)
    if digest or query is not None:
        _some(session, store, picked(session, store, query, _of_digest(store, digest)), query, quick=quick, **wanted)
        return

    def lines() -> Iterable[str]:
        if quick and not tree:
            return store.layers.ids()
        from cstore.cli.output import plain

        if tree:
            from cstore.cli.output import trees

            return plain.tree(trees.branches(trees.layer_rows(store)))
        from cstore.cli.output import views

        return plain.layers(store.layers.heads(), views.holders(store))

    def table() -> None:
        from cstore.cli.output import styled, trees

        styled.tree(trees.branches(trees.layer_rows(store)))

    listed = View(lambda: _documents(store.layers.documents()), lines, table if tree else None)
    whole, plainly = wanted["no_trunc"], quick or tree
    session.show(
        in_columns(session, listed, store, "layer", lambda: _of_digest(store, ""), None, whole=whole, quiet=plainly)
    )
    if tree and not session.json:
        from cstore.insight import Listing

        session.warn_of_damage(Listing(store.context, "layer").needs.problems)


def _documents(records: Iterable[Layer | bytes]) -> object:
    from cstore.cli.output.structured import Listed

    return Listed(records)


def _of_digest(store: Store, digest: str) -> Sequence[Listed]:
    """Return the outlines of all layers, or the records of those with a digest."""
    from cstore.store import layer_outlines

    return store.layers.by_digest(digest) if digest else layer_outlines(store)


def _some(
    session: Session, store: Store, found: Sequence[Listed], query: Query | None, *, quick: bool, **wanted: Any
) -> None:
    """Print the given layers."""

    def lines() -> Iterable[str]:
        if quick:
            return (layer.id for layer in found)
        from cstore.cli.output import plain, views

        return plain.layers([(layer.id, layer.names) for layer in found], views.holders(store))

    def documents() -> object:
        """Return the full records, because `found` may contain only outlines."""
        if len(found) <= _FEW:
            return _documents([store.layers.get(each.id) for each in found])
        records = {layer.id: layer for layer in reversed(store.layers.list())}
        return _documents([records[each.id] for each in found])

    listed = View(documents, lines)
    plainly = quick or query is None
    session.show(
        in_columns(session, listed, store, "layer", lambda: found, query, whole=wanted["no_trunc"], quiet=plainly)
    )


@command("layer", example="cstore layer base")
@words("layers", "LAYER")
@json_option
def layer(session: Session, layers: tuple[str, ...]) -> None:
    """Show layer records.

    A terminal also shows the layer's directory, its mounts, the sizes of its data items, and what uses it. Scripts get
    these from `cstore inspect`.
    """
    from cstore.cli.output import plain

    store = session.open(Intent.RECORDS)
    found = []
    for name in layers:
        try:
            found.append(store.layers.get(name))
        except errors.CstoreError as error:
            session.complain(error, name)

    def lines() -> Iterator[str]:
        for record in found:
            yield from plain.layer(record, read_only=store.layers.read_only(record.id))

    def table() -> None:
        from cstore.cli.output import styled
        from cstore.insight import inspect

        looked = [inspect(store.context, store.resolve(record.id, "layer")) for record in found]
        styled.layer_details(looked)
        session.warn(problem for each in looked for problem in each.problems)

    session.show(View(lambda: [record.document() for record in found], lines, table))


@command("storage-layers", example="cstore storage-layers")
@json_option
def storage_layers(session: Session) -> None:
    """List the trees in the storage driver.

    Includes the trees of recorded layers and those without a record.
    """
    trees = session.open(Intent.RECORDS).layers.trees()
    session.show(View(lambda: trees, lambda: trees))


@command("layer-parent-owners", example="cstore layer-parent-owners app")
@words("layers", "LAYER")
@json_option
def layer_parent_owners(session: Session, layers: tuple[str, ...]) -> None:
    """List owners of parent directories that a layer's ID map lacks.

    These users and groups own a directory above the mount point, and the layer's ID map does not contain them. A layer
    with an ID map must be mounted.
    """
    from cstore.cli.output import plain

    store = session.open(Intent.RECORDS)
    for name in layers:
        try:
            layer = store.layers.get(name)
            uids, gids = store.layers.parent_owners(layer.id)
        except errors.CstoreError as error:
            session.complain(error, name)
            continue
        session.show(owners(layer.id, uids, gids, plain.owners))


def owners(
    item: str,
    uids: Sequence[int],
    gids: Sequence[int],
    lines: Callable[[str, Sequence[int], Sequence[int]], Iterable[str]],
) -> View:
    """Return the view of the owners that an item's ID map lacks."""
    from cstore.cli.output import structured

    return View(lambda: structured.owners(item, uids, gids), lambda: lines(item, uids, gids))
