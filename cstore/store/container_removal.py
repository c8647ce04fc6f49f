"""Remove containers: the record first, which decides, then the layer and the container's files (semantics 12.4)."""

from __future__ import annotations

from contextlib import suppress

from cstore.errors import CstoreError, NotAContainer
from cstore.store import container_journal as journal
from cstore.store.occupants import refuse_occupied
from cstore.store.places import ItemKind, is_made
from cstore.store.removal import discard_container_data, is_whole, remove_layer
from cstore.store.session import writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.records.model import Container
    from cstore.records.table import Location
    from cstore.store.context import Context
    from cstore.store.session import Writer


def delete_container(context: Context, ref: str, *, force: bool = False) -> None:
    """Delete a container with its layer, its data and its directories. A mounted layer is unmounted first.

    Raises:
        NotAContainer: there is no such container.
        ContainerOccupied: a process runs in it, or another mount namespace uses it, and `force` is not given.
        CstoreError: the layer could not be removed; the container is unchanged.
    """
    if not is_made(context.layout):
        raise NotAContainer(ref)
    with writing(context, ItemKind.LAYERS, ItemKind.CONTAINERS, freeing=True) as writer:
        container = writer.containers.resolve(ref)
        if container is None:
            raise NotAContainer(ref)
        if not force:
            refuse_occupied(context, container)
        remove_container(writer, container)


def remove_container(writer: Writer, container: Container) -> None:
    """Remove a container and everything that belongs to it. A missing layer is no error.

    Raises:
        CstoreError: the layer could not be removed; the container is unchanged.
    """
    if container.layer not in writer.layers:
        _forget(writer, container)
        discard_container_data(writer, container.id)
        return
    location = writer.containers.location(container.id)
    journal.begin(writer, journal.Pair(container=container.id, layer=container.layer))
    try:
        _forget(writer, container)
        remove_layer(writer, container.layer)
    except CstoreError:
        _restore(writer, container, location)
        raise
    discard_container_data(writer, container.id)
    journal.end(writer)


def _restore(writer: Writer, container: Container, location: Location) -> None:
    """Revert a removal if the layer is still complete. Otherwise, or on failure, the next writer uses the journal."""
    if not is_whole(writer, container.layer):
        return
    if container.id not in writer.containers:
        writer.containers.add(container, location)
    with suppress(CstoreError):  # report the first error
        writer.save(ItemKind.CONTAINERS)
        journal.end(writer)


def _forget(writer: Writer, container: Container) -> None:
    """Save the records without the container."""
    if container.id in writer.containers:
        writer.containers.remove(container.id)
    writer.save(ItemKind.CONTAINERS)
