"""The tree of layers, independent of its output form."""

from __future__ import annotations

from cstore.cli.output.views import holders
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cstore import Layer, Store
    from cstore.cli.output.views import Holder
    from cstore.store import LayerOutline


class LayerRow(NamedTuple):
    """A layer, its mount point ("" if it is not mounted), and the images and containers to which it belongs."""

    layer: Layer | LayerOutline
    mount: str
    images: Sequence[Holder]
    containers: Sequence[Holder]


def layer_rows(store: Store) -> list[LayerRow]:
    """Return the layers of a store, with their mount points, images and containers."""
    from cstore.store import layer_outlines

    mounts, held = store.layers.mount_points(), holders(store)
    return [
        LayerRow(layer, mounts.get(layer.id, ""), held.images.get(layer.id, ()), held.containers.get(layer.id, ()))
        for layer in layer_outlines(store)
    ]


class Branch(NamedTuple):
    """One line of a tree of layers: a layer, and for each column to its left whether a vertical line continues there.

    `row` is None for a root that is not a listed layer: "(base)", or a missing parent.
    """

    name: str
    row: LayerRow | None
    columns: tuple[bool, ...]


BASE = "(base)"


def branches(rows: Iterable[LayerRow]) -> list[Branch]:
    """Return the lines of a tree of layers, with the children of each parent in the order of `rows`.

    A parent that is not among the rows becomes a root of its own. Layers that are their own ancestors have no root; one
    layer of each such cycle becomes the root, so that every layer is shown.
    """
    children: dict[str, list[LayerRow]] = {}
    for row in rows:
        children.setdefault(row.layer.parent or BASE, []).append(row)
    known = {row.layer.id for family in children.values() for row in family}
    roots = sorted((name for name in children if name not in known), key=lambda name: len(children[name]))
    shown: list[Branch] = []
    for root in [*roots, *children]:
        if root in children:
            shown.append(Branch(root, None, ()))
            waiting = _family(root, (), children)
            while waiting:  # no recursion, because chains may be long
                branch = waiting.pop()
                shown.append(branch)
                waiting += _family(branch.name, branch.columns, children)
    return shown


def _family(parent: str, columns: tuple[bool, ...], children: dict[str, list[LayerRow]]) -> list[Branch]:
    """Pop the children of a parent from `children`, and return them with the last first, each marked if one follows."""
    rows = children.pop(parent, [])
    last = len(rows) - 1
    return [Branch(row.layer.id, row, (*columns, place < last)) for place, row in reversed(list(enumerate(rows)))]
