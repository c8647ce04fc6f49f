"""The kind of containers, which can also be found by the IDs of their layers (store-format 4.3, semantics 4)."""

from __future__ import annotations

from cstore.records.model import Container
from cstore.records.table import Kind


def _layer(container: Container) -> str:
    return container.layer


CONTAINERS: Kind[Container] = Kind("container", Container, alias=_layer)
