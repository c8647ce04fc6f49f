"""Record files that other programs wrote, and ways to write some for a test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cstore.records.containers import CONTAINERS
from cstore.records.images import IMAGES
from cstore.records.layers import LAYERS
from cstore.records.table import Kind, Location, Table

if TYPE_CHECKING:
    from cstore.records.model import Layer

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "records")
SAMPLES: dict[str, Kind[Any]] = {
    "layers.json": LAYERS,
    "volatile-layers.json": LAYERS,
    "overlay-layers.json": LAYERS,
    "odd-texts-layers.json": LAYERS,
    "images.json": IMAGES,
    "odd-keys-images.json": IMAGES,
    "containers.json": CONTAINERS,
    "volatile-containers.json": CONTAINERS,
}
"""File → the kind of its records."""


def sample(name: str) -> bytes:
    """The bytes of a sample."""
    with open(os.path.join(DATA, name), "rb") as file:
        return file.read()


def put(path: str, data: bytes) -> str:
    """Write a file in the way of every writer: a new one, renamed into place."""
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.rename(path + ".new", path)
    return path


def read(path: str) -> bytes:
    """The bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


def files_in(directory: str) -> dict[Location, str]:
    """Paths for a table of layers, of which none exists yet."""
    return {
        Location.STABLE: os.path.join(directory, "layers.json"),
        Location.IMAGE_STORE: os.path.join(directory, "read-only", "layers.json"),
        Location.VOLATILE: os.path.join(directory, "volatile-layers.json"),
    }


def layers_in(directory: str, stable: bytes, *, degraded: bool = False) -> Table[Layer]:
    """Load a table of layers from one file with these bytes."""
    path = put(os.path.join(directory, "layers.json"), stable)
    return Table.load(LAYERS, {Location.STABLE: path}, degraded=degraded)
