"""Choose the ID map of a new layer, and convert maps to record fields."""

from __future__ import annotations

import os

from cstore import errors
from cstore.contexts import contextmanager, suppress
from cstore.idmap import IDENTITY, IDMap, IDRange, check_possible, format_ranges
from cstore.records.model import to_entries
from cstore.store.lookup import container_of_layer, layout_of_layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from cstore.drivers.contract import Driver
    from cstore.records.model import Layer
    from cstore.store.container_creation import NewContainer
    from cstore.store.context import Context
    from cstore.store.creation import NewLayer
    from cstore.store.lookup import Tables


def layer_map(context: Context, request: NewLayer, parent: Layer | None) -> IDMap:
    """Choose the ID map of a new layer, separately for users and groups: given, none by a host flag, or the parent's.

    Without a parent, the store's default is inherited. (semantics 5.2)

    Raises:
        InvalidIDMap: the kernel would refuse the given map.
    """
    inherited = default_map(context) if parent is None else parent.id_map
    check_possible(request.id_map or IDENTITY)
    chosen = wanted_map(request, inherited)
    return chosen if request.owners_on_disk else map_on_disk(context.driver, chosen)


def wanted_map(request: NewLayer | NewContainer, inherited: IDMap) -> IDMap:
    """Return the requested ID map, separately for users and groups: given, none by a host flag, or inherited."""
    given = request.id_map or IDENTITY
    return IDMap(
        uids=() if request.host_uids else given.uids or inherited.uids,
        gids=() if request.host_gids else given.gids or inherited.gids,
    )


def default_map(context: Context) -> IDMap:
    """Return the store's default ID map."""
    return context.config.id_map or IDENTITY


def map_on_disk(driver: Driver, wanted: IDMap) -> IDMap:
    """Return the ID map of layers for containers with the map `wanted`.

    If the driver can show other owners at the mount, layers keep the owners of their archives and have no map. Maps
    with gaps get mapped layers nevertheless, because Go tools up to containers/storage 1.43 would not mount them.
    """
    return IDENTITY if not wanted or (wanted.is_contiguous and driver.can_shift(wanted)) else wanted


def map_fields(id_map: IDMap) -> dict[str, Any]:
    """Return the record fields of a map."""
    return {"uid_map": to_entries(id_map.uids), "gid_map": to_entries(id_map.gids)}


def map_of_owners(context: Context, tables: Tables, layer: Layer) -> IDMap:
    """Return the map from the owners of a layer's files on disk to those inside its containers.

    It is the layer's own map, or that of the container that writes into the layer: if lower directories are shown with
    other owners, the container's changes have the owners of the host. In the store of an ordinary user, root sees the
    IDs of that user's namespace.
    """
    id_map = layer.id_map
    container = None if id_map else container_of_layer(tables, layer.id)
    if container is not None and container.id_map:
        id_map = container.id_map
        with suppress(OSError, errors.CstoreError):
            # The layer's root shows who wrote: a mount program writes with the owners inside the container.
            root = os.stat(context.driver.content_roots(layer.id)[0])
            if (root.st_uid, root.st_gid) != id_map.to_host(0, 0):
                id_map = IDENTITY
    try:
        return id_map.within(namespace_of(layout_of_layer(tables, context.layout, layer.id).stable_layers))
    except (OSError, errors.CstoreError):
        return id_map


def namespace_of(path: str) -> IDMap:
    """Return the ID map of a file's writer's user namespace, if file and directory belong to the same ordinary user.

    Raises:
        OSError: the file or directory cannot be examined.
    """
    written = os.lstat(path)
    if os.geteuid() != 0 or written.st_uid == 0 or os.stat(os.path.dirname(path)).st_uid != written.st_uid:
        return IDENTITY
    from cstore.store.rootless import granted_ids

    try:
        return granted_ids(written.st_uid, written.st_gid)
    except errors.ConfigError:  # the user's other IDs are unknown
        return IDMap((IDRange(0, written.st_uid, 1),), (IDRange(0, written.st_gid, 1),))


# ── advice ──
#
# Hints for owners without a mapping: which line to add to which file.
#
# An archive or a tree has a user or group that is neither in the requested ID map nor in the user namespace of an
# ordinary user. Both consist of ranges in /etc/subuid and /etc/subgid, so a range must be added there.

_USUAL_COUNT = 65536


@contextmanager
def explained(id_map: IDMap) -> Iterator[None]:
    """Add a hint to errors about owners. `id_map` is the map of the owners."""
    try:
        yield
    except errors.CstoreError as error:
        from cstore.errors import EntryFailed

        owner = getattr(error, "owner", None)
        if isinstance(error, EntryFailed) and owner is not None:
            error.go_text = (
                "potentially insufficient UIDs or GIDs available in user namespace "
                f"(requested {owner[0]}:{owner[1]} for {error.name}): "
                'Check /etc/subuid and /etc/subgid if configured locally and run "podman system migrate": '
                f"lchown {error.name}: invalid argument"
            )
            error.hint = _advice(id_map, owner, mapped=error.needs == "the ID map") or error.hint
        elif isinstance(error, errors.IDNotMapped) and error.side == "container":
            ranges = id_map.uids if error.noun == "UID" else id_map.gids
            error.hint = _room_in_map(error.noun, error.number, ranges)
        raise


def check_reachable(id_map: IDMap) -> None:
    """Check that the IDs in a map exist in this user namespace.

    Raises:
        InvalidIDMap: a range does not.
    """
    if not id_map:
        return
    from cstore.kernel.namespaces import in_user_namespace, own_ranges

    if not in_user_namespace():
        return
    here = own_ranges()
    for noun, ranges, present in (("UID", id_map.uids, here.uids), ("GID", id_map.gids, here.gids)):
        for part in ranges:
            last = part.host_id + part.size - 1
            if not (_covers(present, part.host_id) and _covers(present, last)):
                most = max(each.container_id + each.size for each in present) - 1
                raise errors.InvalidIDMap(
                    format_ranges(ranges),
                    f"the {noun}s {part.host_id} to {last} do not all exist in this user namespace",
                    hint=f"map to {noun}s from 0 to {most}, which do",
                )


def _advice(id_map: IDMap, owner: tuple[int, int], *, mapped: bool) -> str:
    """Return a hint for each missing user and group."""
    try:
        have, reason = id_map, ""
        if not mapped:
            from cstore.config import rootless_identity
            from cstore.kernel.namespaces import own_ranges
            from cstore.store.rootless import obstacle

            # What prevents this user from having more IDs, whatever /etc/subuid contains.
            have = own_ranges()
            reason = "start this container with more IDs" if rootless_identity().uid == 0 else obstacle()
        kinds = (("UID", owner[0], have.uids), ("GID", owner[1], have.gids))
        missing = [kind for kind in kinds if not _covers(kind[2], kind[1])]
        if reason:
            numbers = " and ".join(f"{noun} {number}" for noun, number, _ in missing)
            without = "import the files without their owners, with --storage-opt DRIVER.ignore_chown_errors=true"
            return f"{numbers} are not available: {reason}; or {without}"
        room = _room_in_map if mapped else _room_in_namespace
        found = [room(*kind) for kind in missing]
    except errors.CstoreError:
        return ""  # an unreadable file must not hide the original error
    return "; ".join(found)


def _covers(ranges: Sequence[IDRange], number: int) -> bool:
    return not ranges or any(part.container_id <= number < part.container_id + part.size for part in ranges)


def _room_in_map(noun: str, number: int, ranges: Sequence[IDRange]) -> str:
    """Return how to extend a map, by the line that defines it or by another range."""
    from cstore.config.subids import line_to_add, owner_of

    path, option, enough = _file_of(noun), f"--{noun.lower()}map", f"a range that covers {number}"
    last = max(ranges, key=lambda part: part.container_id)
    name = owner_of(last.host_id, path)
    if name and number >= last.container_id + last.size:
        line = line_to_add(name, number + 1 - last.container_id - last.size, path)
        return f"add the line {line} to {path} for --sub{noun.lower()}map {name}, or {enough} to {option}"
    return f"add {enough} to {option}"


def _room_in_namespace(noun: str, number: int, ranges: Sequence[IDRange]) -> str:
    """Return how a user gets more IDs."""
    from cstore.config import rootless_identity
    from cstore.config.subids import line_to_add
    from cstore.store.rootless import login_name

    path = _file_of(noun)
    present = max(part.container_id + part.size for part in ranges)
    count = number + 1 - present if present > 1 else max(_USUAL_COUNT, number)
    line = line_to_add(login_name(rootless_identity().uid), count, path)
    return f"add the line {line} to {path}: {noun} {number} is needed"


def _file_of(noun: str) -> str:
    from cstore.config.subids import GROUP_FILE, USER_FILE

    return USER_FILE if noun == "UID" else GROUP_FILE
