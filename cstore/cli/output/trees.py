"""The tree of layers, before anybody decides how it is shown."""

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
    """A layer, where it is mounted ("" if nowhere), and whose it is."""

    layer: Layer | LayerOutline
    mount: str
    images: Sequence[Holder]
    containers: Sequence[Holder]


def layer_rows(store: Store) -> list[LayerRow]:
    """Gather all that is to be said of layers."""
    from cstore.store import layer_outlines

    mounts, held = store.layers.mount_points(), holders(store)
    return [
        LayerRow(layer, mounts.get(layer.id, ""), held.images.get(layer.id, ()), held.containers.get(layer.id, ()))
        for layer in layer_outlines(store)
    ]


class Branch(NamedTuple):
    """One line of a tree of layers: a layer, and for each column to its left whether a line runs down there.

    `row` is None for a root that stands for no listed layer: "(base)", or a parent that is missing.
    """

    name: str
    row: LayerRow | None
    columns: tuple[bool, ...]


BASE = "(base)"


def branches(rows: Iterable[LayerRow]) -> list[Branch]:
    """Put layers below their parents, each parent's children in the order of the list.

    A parent that is not in the list becomes a root of its own. Layers that are their own ancestors hang from no root;
    one of each such ring is taken for it, so that every layer is shown.
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
            while waiting:  # without recursion: chains may be long
                branch = waiting.pop()
                shown.append(branch)
                waiting += _family(branch.name, branch.columns, children)
    return shown


def _family(parent: str, columns: tuple[bool, ...], children: dict[str, list[LayerRow]]) -> list[Branch]:
    """Take the children of one parent out of `children`, last one first; each notes whether a sibling follows it."""
    rows = children.pop(parent, [])
    last = len(rows) - 1
    return [Branch(row.layer.id, row, (*columns, place < last)) for place, row in reversed(list(enumerate(rows)))]
