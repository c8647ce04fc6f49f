"""Which ID map a new layer gets, and how a record spells a map."""

from __future__ import annotations

import os

from cstore.errors import ConfigError, CstoreError
from cstore.idmap import IDENTITY, IDMap, IDRange, check_possible
from cstore.records.model import to_entries
from cstore.store.lookup import container_of_layer, layout_of_layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.drivers.contract import Driver
    from cstore.records.model import Layer
    from cstore.store.container_creation import NewContainer
    from cstore.store.context import Context
    from cstore.store.creation import NewLayer
    from cstore.store.lookup import Tables


def layer_map(context: Context, request: NewLayer, parent: Layer | None) -> IDMap:
    """Choose the maps of a new layer, each kind by itself: the given one, none if a host flag says so, or the parent's.

    Without a parent, it is the store's. (semantics 5.2)

    Raises:
        InvalidIDMap: the kernel would not take the given one.
    """
    inherited = default_map(context) if parent is None else parent.id_map
    check_possible(request.id_map or IDENTITY)
    chosen = wanted_map(request, inherited)
    return chosen if request.owners_on_disk else map_on_disk(context.driver, chosen)


def wanted_map(request: NewLayer | NewContainer, inherited: IDMap) -> IDMap:
    """The maps that a request asks for, each kind by itself: the given one, none for a host flag, or the inherited."""
    given = request.id_map or IDENTITY
    return IDMap(
        uids=() if request.host_uids else given.uids or inherited.uids,
        gids=() if request.host_gids else given.gids or inherited.gids,
    )


def default_map(context: Context) -> IDMap:
    """What is mapped how in this store, if nobody says otherwise."""
    return context.config.id_map or IDENTITY


def map_on_disk(driver: Driver, wanted: IDMap) -> IDMap:
    """The map that a layer gets for containers with the map `wanted`.

    Where the driver can show other owners at the mount, layers keep the owners that their archives name, and no map.
    Maps with holes are not shown so, though they could be: Go tools up to containers/storage 1.43 would not mount that.
    """
    return IDENTITY if not wanted or (wanted.is_contiguous and driver.can_shift(wanted)) else wanted


def map_fields(id_map: IDMap) -> dict[str, Any]:
    """Write a map as record fields."""
    return {"uid_map": to_entries(id_map.uids), "gid_map": to_entries(id_map.gids)}


def map_of_owners(context: Context, tables: Tables, layer: Layer) -> IDMap:
    """Which owners inside its containers the owners of a layer's files on disk are.

    That is the layer's own map, or that of the container which writes into the layer: where lower directories are shown
    with other owners, what is written has those of the host. Root sees in an ordinary user's store what that user's
    namespace makes of the IDs.
    """
    id_map = layer.id_map or _written_with(context, tables, layer)
    try:
        return id_map.within(namespace_of(layout_of_layer(tables, context.layout, layer.id).stable_layers))
    except (OSError, CstoreError):
        return id_map


def _written_with(context: Context, tables: Tables, layer: Layer) -> IDMap:
    """The map of a layer's container, if that wrote with the owners of the host: then the top belongs to its root.

    A mount program writes with the owners inside.
    """
    container = container_of_layer(tables, layer.id)
    if container is None or not container.id_map:
        return IDENTITY
    try:
        root = os.stat(context.driver.content_roots(layer.id)[0])
        return container.id_map if (root.st_uid, root.st_gid) == container.id_map.to_host(0, 0) else IDENTITY
    except (OSError, CstoreError):
        return container.id_map


def namespace_of(path: str) -> IDMap:
    """The ID map of the user who wrote a file of a store: whoever owns it, and the directory that it is in.

    Raises:
        OSError: the file or directory cannot be looked at.
    """
    written = os.lstat(path)
    if os.geteuid() != 0 or written.st_uid == 0 or os.stat(os.path.dirname(path)).st_uid != written.st_uid:
        return IDENTITY
    from cstore.store.rootless import granted_ids

    try:
        return granted_ids(written.st_uid, written.st_gid)
    except ConfigError:  # nobody can say what else the user may have
        return IDMap((IDRange(0, written.st_uid, 1),), (IDRange(0, written.st_gid, 1),))
