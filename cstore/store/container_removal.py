"""Containers out: the record first, which decides, then the layer and what the container kept (semantics 12.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.errors import CstoreError, NotAContainer, SystemFailure
from cstore.store import container_journal as journal
from cstore.store.occupants import refuse_occupied
from cstore.store.places import Shelf
from cstore.store.removal import DISK_FULL, discard_container_data, remove_layer
from cstore.store.session import is_made, writing

if TYPE_CHECKING:
    from cstore.records.model import Container
    from cstore.store.context import Context
    from cstore.store.session import Writer


def delete_container(context: Context, word: str, *, force: bool = False) -> None:
    """Delete a container with its layer, its data and its directories. What is mounted is unmounted first.

    Raises:
        NotAContainer: there is no such container.
        ContainerOccupied: a process lives in it, or another mount namespace holds it, and `force` is not given.
        CstoreError: the layer could not be removed; the container is as it was.
    """
    if not is_made(context.layout):
        raise NotAContainer(word)
    with writing(context, Shelf.LAYERS, Shelf.CONTAINERS) as writer:
        container = writer.containers.resolve(word)
        if container is None:
            raise NotAContainer(word)
        if not force:
            refuse_occupied(context, container)
        remove_container(writer, container)


def remove_container(writer: Writer, container: Container) -> None:
    """Remove a container and all that is its own. A layer that is gone already is no error.

    Raises:
        CstoreError: the layer could not be removed; the container is as it was.
    """
    if container.layer not in writer.layers:
        _forget(writer, container)
        discard_container_data(writer, container.id)
        return
    try:
        journal.begin(writer, journal.Pair(container=container.id, layer=container.layer))
        _remove_both(writer, container)
    except SystemFailure as error:
        if error.errno not in DISK_FULL:
            raise
        remove_layer(writer, container.layer, lambda: _forget(writer, container))  # that makes room first
    discard_container_data(writer, container.id)
    journal.end(writer)


def _remove_both(writer: Writer, container: Container) -> None:
    location = writer.containers.location(container.id)
    _forget(writer, container)
    try:
        remove_layer(writer, container.layer)
    except CstoreError:
        writer.containers.add(container, location)
        writer.save(Shelf.CONTAINERS)
        journal.end(writer)
        raise


def _forget(writer: Writer, container: Container) -> None:
    """Save the records without the container's."""
    if container.id in writer.containers:
        writer.containers.remove(container.id)
    writer.save(Shelf.CONTAINERS)
