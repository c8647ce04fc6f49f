"""Layers (store-format 4.1)."""

from __future__ import annotations

from cstore.errors import LayerUnknown
from cstore.records.model import Layer
from cstore.records.table import Kind

LAYERS: Kind[Layer] = Kind("layer", Layer, LayerUnknown)
