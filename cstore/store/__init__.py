"""The store: operations on layers, images and containers, and the order in which locks are taken.

Owns: what an operation means, its safety rules, and what a crash may leave behind.
Must not know: how a result is shown, or how a driver keeps its trees.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.store.container_creation import NewContainer
    from cstore.store.copying import Spot
    from cstore.store.creation import NewLayer, StagedLayer
    from cstore.store.creation_together import PreparedLayer
    from cstore.store.dedup import Sharing
    from cstore.store.garbage import Leftover
    from cstore.store.image_creation import NewImage
    from cstore.store.lookup import Item
    from cstore.store.naming import ItemPath
    from cstore.store.store import Store, open_store

__all__ = [
    "Item",
    "ItemPath",
    "Leftover",
    "NewContainer",
    "NewImage",
    "NewLayer",
    "PreparedLayer",
    "Sharing",
    "Spot",
    "StagedLayer",
    "Store",
    "open_store",
]

_HOMES = {
    "Item": "lookup",
    "ItemPath": "naming",
    "Leftover": "garbage",
    "NewContainer": "container_creation",
    "NewImage": "image_creation",
    "NewLayer": "creation",
    "PreparedLayer": "creation_together",
    "Sharing": "dedup",
    "Spot": "copying",
    "StagedLayer": "creation",
    "Store": "store",
    "open_store": "store",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for (PEP 562)."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.store' has no attribute {name!r}")
    return getattr(import_module(f"cstore.store.{_HOMES[name]}"), name)
