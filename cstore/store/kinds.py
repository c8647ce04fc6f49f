"""What a table must know about each kind of record."""

from __future__ import annotations

from cstore.records.containers import CONTAINERS
from cstore.records.images import IMAGES
from cstore.records.layers import LAYERS
from cstore.store.places import Shelf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KINDS: dict[Shelf, Any] = {Shelf.LAYERS: LAYERS, Shelf.IMAGES: IMAGES, Shelf.CONTAINERS: CONTAINERS}
