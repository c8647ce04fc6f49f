"""ID-mapped mounts: show lower directories with other owners (drivers 9.2).

Layers of images keep the owners in their archives. A container with an ID map sees them through mounts that shift the
owners; its own files are in its upper directory with the owners of the host.
"""

from __future__ import annotations

import os

from cstore.contexts import contextmanager, suppress
from cstore.drivers.overlay.leftovers import MAPPED
from cstore.drivers.overlay.options import NAME
from cstore.errors import CstoreError, DriverError, InvalidIDMap, SystemFailure
from cstore.fs import within
from cstore.fs.writable import nearest_directory
from cstore.idmap import IDMap, IDRange
from cstore.kernel import fsmount, mount
from cstore.kernel.userns import mapped_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TEST_MAP = IDMap((IDRange(0, 0, 1),), (IDRange(0, 0, 1),))


def can_shift(home: str) -> bool:
    """Return whether the kernel and the file system of `home` support ID-mapped mounts. Leaves no trace."""
    path = nearest_directory(home)
    try:
        with _namespace(_TEST_MAP) as namespace, _shifted(path, namespace) as fd:
            return fd >= 0
    except (OSError, CstoreError):
        return False


@contextmanager
def _namespace(id_map: IDMap) -> Iterator[int]:
    fd = mapped_namespace(id_map)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _shifted(folder: str, namespace: int) -> Iterator[int]:
    """Yield a descriptor of a copy of the mount at `folder`, with the owners of a user namespace."""
    fd = fsmount.clone_mount(folder)  # without inner mounts, some of which cannot shift
    try:
        fsmount.set_attributes(fd, fsmount.ATTR_IDMAP, propagation=mount.MS_PRIVATE, user_namespace=namespace)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def shifted_lowers(lowers: Sequence[str], own: str, id_map: IDMap) -> Iterator[list[str]]:
    """Show the directories `lowers` with the owners of `id_map`.

    An overlay mount created in this context keeps what it needs. `own` is the directory of the mounted layer; the
    shifted mounts are in its `mapped`, as with the Go tool.

    Raises:
        DriverError: the kernel or a file system does not support it.
        ForeignThing: `mapped` is not a directory.
    """
    within.require_directory(own, MAPPED, missing=True)
    folder = os.path.join(own, MAPPED)
    has_root = all(
        not ranges or any(part.container_id == 0 and part.size for part in ranges)
        for ranges in (id_map.uids, id_map.gids)
    )
    # Lower directories are `HOME/<layer>/diff…`, and short links are `HOME/l/…`: one mount of each home is enough.
    # Without root in the map, the home could not be traversed, so each directory gets a mount of its own.
    split = []
    for lower in lowers:
        above, name = os.path.split(lower)
        home, layer = os.path.split(above)
        split.append((home, os.path.join(layer, name)) if has_root else (lower, ""))
    points: dict[str, str] = {}
    try:
        with _namespace(id_map) as namespace:
            for number, top in enumerate(dict.fromkeys(top for top, _ in split)):
                points[top] = os.path.join(folder, str(number))
                _show(top, own, f"{MAPPED}/{number}", namespace)
        yield [os.path.join(points[top], rest).rstrip("/") for top, rest in split]
    finally:
        release(folder)


def _show(home: str, own: str, name: str, namespace: int) -> None:
    """Show a home with the owners of a user namespace at `name`, a mount point in the directory `own`."""
    point = os.path.join(own, name)
    try:
        within.make_directories(own, name)
        with _shifted(home, namespace) as fd, within.path_past_links(point) as way:
            fsmount.attach(fd, way)
    except (OSError, CstoreError) as error:
        reason = error.message if isinstance(error, CstoreError) else os.strerror(error.errno or 0)
        raise DriverError(
            NAME,
            f"the layers in {home} cannot be shown with other owners: {reason}",
            hint="this needs Linux 5.19 and a file system that supports ID-mapped mounts",
            go_text=f'create mapped mount for "{home}" on "{point}": {reason}',
        ) from None


def release(folder: str) -> None:
    """Remove all mounts in a layer's directory `mapped`, and the directory."""
    with suppress(OSError, CstoreError):
        for name in within.list_directory(*os.path.split(folder)):
            point = os.path.join(folder, name)
            with suppress(OSError), within.path_past_links(point) as way:
                mount.unmount(way, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
            with suppress(OSError):
                within.rmdir(point)
        within.rmdir(folder)


def give_root(upper: str, id_map: IDMap) -> None:
    """Give the root of the upper directory to the container's root, who owns the root of every tree."""
    try:
        os.chown(upper, *id_map.to_host(0, 0))
    except InvalidIDMap:
        return  # the map has no root
    except OSError as error:
        raise SystemFailure("change the owner of", upper, error) from error
