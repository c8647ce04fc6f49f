"""The store: operations on layers, images and containers, and the order in which locks are taken.

Owns: what an operation means, its safety rules, and what a crash may leave behind.
Must not know: how a result is shown, or how a driver keeps its trees.
"""

from cstore.store.creation import NewLayer
from cstore.store.garbage import Leftover
from cstore.store.lookup import Item
from cstore.store.store import Store, open_store

__all__ = ["Item", "Leftover", "NewLayer", "Store", "open_store"]
