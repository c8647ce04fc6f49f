"""The layers of a store in short."""

from __future__ import annotations

from cstore.records.outlines import LayerOutline, outlines
from cstore.store.context import context_of
from cstore.store.reading import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.store.context import Context
    from cstore.store.store import Store

__all__ = ["LayerOutline", "layer_outlines"]


def layer_outlines(store: Store | Context) -> list[LayerOutline]:
    """The layers of `Layers.list` in short: in a third of its time and memory.

    Raises:
        SystemFailure: the records cannot be read.
        RecordsDamaged: they are damaged, unless the store was opened degraded.
    """
    reader = Reader(context_of(store))
    own = (each for each in outlines(reader.layers) if not each.incomplete)
    return [*own, *(each for extra in reader.additional for each in outlines(extra.layers))]
