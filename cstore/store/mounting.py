"""Mounts and their counts: a layer stays mounted until it was unmounted as often as mounted (semantics 13)."""

from __future__ import annotations

import os

from cstore import errors
from cstore.contexts import contextmanager
from cstore.store.lookup import container_of_layer, find_own_layer, layer_by_id, layer_or_container_layer
from cstore.store.places import is_made
from cstore.store.reading import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from cstore.drivers.contract import MountOptions
    from cstore.idmap import IDRange
    from cstore.records.model import Layer
    from cstore.records.mounts import MountTable
    from cstore.store.context import Context
    from cstore.store.lookup import Tables
    from cstore.store.session import Writer


def mount(context: Context, ref: str, *, label: str = "", options: tuple[str, ...] = ()) -> str:
    """Mount a layer or a container's layer, count the mount, and return the mount point.

    An old count without a mount, as after a reboot or an `umount` from outside, is dropped.

    Raises:
        LayerUnknown: `ref` matches neither a container nor a layer.
        DriverError: the driver cannot mount the layer.
    """
    if not (is_made(context.layout) or context.additional):
        raise errors.LayerUnknown(ref)
    with _locked(context) as writer, writer.mounts() as mounts:
        layer = layer_or_container_layer(writer, context.layout, ref)
        return count_up(context, mounts, layer.id, lambda: _options(context, writer, layer, label, options))


def mounting_of(
    context: Context, ref: str, *, label: str = "", options: tuple[str, ...] = ()
) -> AbstractContextManager[str]:
    """Mount a layer or a container's layer during the context; yield the mount point.

    If this process is killed in the meantime, the next writer removes the mount.

    Raises:
        LayerUnknown: `ref` matches neither a container nor a layer.
        DriverError: the driver cannot mount the layer.
    """
    layer = layer_or_container_layer(Reader(context), context.layout, ref)
    return mounted_meanwhile(context, layer.id, label=label, options=options)


def _locked(context: Context, *, freeing: bool = False) -> AbstractContextManager[Writer]:
    """See `session.mounting`, which is imported on demand, because queries do not need it."""
    from cstore.store.session import mounting

    return mounting(context, freeing=freeing)


@contextmanager
def mounted_meanwhile(context: Context, layer: str, *, label: str = "", options: tuple[str, ...] = ()) -> Iterator[str]:
    """Mount a layer, by its ID, during the context; yield the mount point.

    The mount is counted, unless only this process sees it.
    """
    from cstore.store.rootless import alone

    if alone():
        with _locked(context) as writer:
            record = layer_or_container_layer(writer, context.layout, layer)
            path = context.driver.mount(layer, _options(context, writer, record, label, options))
        try:
            yield path
        finally:
            with _locked(context, freeing=True):
                context.driver.unmount(layer)
        return
    from cstore.store.intents import Intent

    intent = Intent(context)
    try:
        with _locked(context) as writer, writer.mounts() as mounts:
            record = layer_or_container_layer(writer, context.layout, layer)
            recorded = mounts.get(record.id)
            if os.access(context.layout.graph_root, os.W_OK):  # read-only media cannot hold an intent
                intent.note(mounted=record.id, count=1 if recorded is None else recorded.count + 1)
            path = count_up(context, mounts, record.id, lambda: _options(context, writer, record, label, options))
        yield path
    finally:
        unmount(context, layer)
        intent.done()


def count_up(context: Context, mounts: MountTable, layer: str, options: Callable[[], MountOptions]) -> str:
    """Mount a layer unless it is mounted in the same way, increase its count, and return the mount point."""
    from cstore.store.rootless import alone

    recorded = mounts.get(layer)
    if recorded is not None and context.driver.is_mounted(layer, recorded.path):
        path = context.driver.mount(layer, options()) if context.driver.mounts_beside else recorded.path
        mounts.set(layer, recorded.path, recorded.count + 1)
        return path
    path = context.driver.mount(layer, options())
    elsewhere = recorded.count if recorded is not None and alone() else 0  # others' mounts are invisible
    mounts.set(layer, path, elsewhere + 1)
    return path


def _options(context: Context, tables: Tables, layer: Layer, label: str, options: tuple[str, ...]) -> MountOptions:
    """Return how to mount a layer: by the caller's options, or else by those of its container."""
    found = container_of_layer(tables, layer.id)
    from cstore.drivers.contract import MountOptions
    from cstore.idmap import IDENTITY

    id_map = IDENTITY if found is None or found.id_map == layer.id_map else found.id_map
    if id_map and not context.driver.can_shift(id_map):
        raise errors.DriverError(
            context.driver.name,
            f"layer {layer.id} has other owners than its container's ID map requires, and they cannot be shifted here",
            hint="create the container again, with a copy of the image's top layer for its map",
            go_text=f"cannot mount layer {layer.id}: shifting not enabled",
        )
    recorded = () if found is None else found.mount_options
    return MountOptions(
        label=label or layer.mount_label,
        options=options or recorded,
        volatile=found is not None and found.volatile and not context.config.disable_volatile,
        id_map=id_map,
    )


def unmount(context: Context, ref: str, *, force: bool = False) -> bool:
    """Remove one mount, or with `force` all of them. Return whether the layer is still mounted.

    `ref` may be a mount point. A layer that is not mounted is no error.

    Raises:
        LayerUnknown: nothing matches `ref`.
    """
    if not is_made(context.layout):
        raise errors.LayerUnknown(ref)
    with _locked(context, freeing=True) as writer, writer.mounts() as mounts:
        layer = _layer_or_mount_point(context, writer, ref)
        return count_down(context, mounts, layer.id, force=force)


def count_down(context: Context, mounts: MountTable, layer: str, *, force: bool) -> bool:
    """Decrease a mount count, or with `force` drop it; unmount at 0. Return whether the layer is still mounted."""
    recorded = mounts.get(layer)
    if recorded is not None and recorded.count > 1 and not force:
        from cstore.store.rootless import alone

        if alone() or context.driver.is_mounted(layer, recorded.path):  # others' mounts are invisible
            mounts.set(layer, recorded.path, recorded.count - 1)
            return True
    context.driver.unmount(layer)
    mounts.drop(layer)
    return False


def _layer_or_mount_point(context: Context, tables: Tables, ref: str) -> Layer:
    try:
        return layer_or_container_layer(tables, context.layout, ref)
    except errors.LayerUnknown:
        path = os.path.realpath(ref)
        recorded = {entry.id: entry.path for entry in Reader(context).mounts()}
        for identifier, point in (*recorded.items(), *_found_mounted(context).items()):
            layer = layer_by_id(tables, identifier)  # may be the layer of an image in an additional store
            if layer is not None and path == os.path.realpath(point):
                return layer
        raise


def mounted(context: Context, ref: str) -> bool:
    """Return whether a layer or a container's layer is mounted.

    Raises:
        LayerUnknown: `ref` matches neither a container nor a layer.
    """
    try:
        layer = layer_or_container_layer(Reader(context), context.layout, ref)
    except errors.ReadOnlyStore:
        raise errors.LayerUnknown(ref) from None
    return bool(mount_point(context, layer.id))


def mount_count(context: Context, ref: str) -> int:
    """Return the mount count of a layer or a container's layer; 1 if it is mounted but its count is lost.

    Raises:
        LayerUnknown: `ref` matches neither a container nor a layer.
    """
    try:
        layer = layer_or_container_layer(Reader(context), context.layout, ref)
    except errors.ReadOnlyStore:
        return 0  # layers of additional stores are mounted only with their images
    recorded = Reader(context).mounts().get(layer.id)
    if recorded is not None and context.driver.is_mounted(layer.id, recorded.path):
        return recorded.count
    return 1 if layer.id in _found_mounted(context) else 0


def mount_point(context: Context, layer: str) -> str:
    """Return the mount point of a layer, or ""."""
    recorded = Reader(context).mounts().get(layer)
    if recorded is not None and context.driver.is_mounted(layer, recorded.path):
        return recorded.path
    return _found_mounted(context).get(layer, "")


def mount_points(context: Context) -> dict[str, str]:
    """Return the mount points of layers, by their IDs, reading the mount counts and the kernel's mounts only once."""
    mounts = Reader(context).mounts()
    counted = {entry.id: entry.path for entry in mounts if context.driver.is_mounted(entry.id, entry.path)}
    return {**_found_mounted(context), **counted}


def _found_mounted(context: Context) -> dict[str, str]:
    """Return layers that are mounted at the driver's mount points, with or without a count.

    Their count is lost with the run root, or if a process dies between mounting and counting.
    """
    from cstore.kernel.mountinfo import mounted_below

    homes = [os.path.realpath(home) for home in (context.layout.driver_home, context.layout.driver_run_home)]
    found: dict[str, str] = {}
    try:
        points = mounted_below(homes)
    except OSError as error:
        raise errors.SystemFailure("read", "the mounts of this process", error) from None
    for point in points:
        home = next(home for home in homes if point.startswith(f"{home}/"))
        layer = point.removeprefix(f"{home}/").partition("/")[0]
        if context.driver.is_mounted(layer, point):
            found[layer] = point
    return found


def parent_owners(context: Context, ref: str) -> tuple[list[int], list[int]]:
    """Return the UIDs and GIDs, sorted, of owners of a layer's mount point's parent directories that its maps lack.

    Raises:
        LayerUnknown: there is no such layer.
        LayerNotMounted: the layer has an ID map and is not mounted.
    """
    layer = find_own_layer(Reader(context), ref)
    if layer is None:
        raise errors.LayerUnknown(ref)
    if not layer.id_map:
        return [], []
    path = mount_point(context, layer.id)
    if not path:
        from cstore.errors import LayerNotMounted

        raise LayerNotMounted(layer.id)
    uids: set[int] = set()
    gids: set[int] = set()
    above = os.path.dirname(os.path.abspath(path))  # an untrusted path from a record
    while above != os.path.dirname(above):  # the root is left out; the parent of "//" is "//"
        try:
            statuses = (os.stat(above), os.lstat(above))
        except OSError as error:
            raise errors.SystemFailure("examine", above, error) from None
        for status in statuses:
            if not _covers(layer.id_map.uids, status.st_uid):
                uids.add(status.st_uid)
            if not _covers(layer.id_map.gids, status.st_gid):
                gids.add(status.st_gid)
        above = os.path.dirname(above)
    return sorted(uids), sorted(gids)


def _covers(ranges: Sequence[IDRange], number: int) -> bool:
    from cstore.idmap import map_in

    try:
        map_in(ranges, number, "ID")
    except errors.InvalidIDMap:
        return False
    return True


def shutdown(context: Context, *, force: bool = False) -> list[str]:
    """Release what the driver holds, and notify all processes that have the store open.

    With `force`, unmount mounted layers first. Return their IDs; none if none was mounted.

    Raises:
        LayersMounted: layers are mounted and `force` is not given; nothing was changed.
    """
    if not is_made(context.layout):
        return []
    with _locked(context, freeing=True) as writer:
        with writer.mounts() as mounts:
            counted = [entry.id for entry in mounts if context.driver.is_mounted(entry.id, entry.path)]
            busy = list(dict.fromkeys((*counted, *_found_mounted(context))))
            if busy and not force:
                from cstore.errors import LayersMounted

                raise LayersMounted(busy)
            for layer in busy:
                context.driver.unmount(layer)
            for entry in list(mounts):
                mounts.drop(entry.id)
        writer.mark_graph()
        context.driver.shutdown()
    return busy
