"""Locate the records and trees of one driver in a Docker data root (docker 1, 17)."""

from __future__ import annotations

import os
import re

from cstore import presence
from cstore.errors import InvalidOption, SystemFailure, Unsupported
from cstore.idmap import IDENTITY, IDMap, IDRange
from cstore.values import Value

_TREES = {
    "overlay2": ("overlay2", "diff"),
    "fuse-overlayfs": ("fuse-overlayfs", "diff"),
    "vfs": (os.path.join("vfs", "dir"), ""),
    "btrfs": (os.path.join("btrfs", "subvolumes"), ""),
}
"""By driver: the directory that contains the layers' directories, and the path of the tree in each of those."""
_UNIONS = frozenset({"overlay2", "fuse-overlayfs"})
_REMAPPED = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}")
_NO_ID = (1 << 32) - 1


class Place(Value):
    """One driver's part of a data root: the directory of all data, and the driver's name."""

    root: str
    driver: str

    @property
    def records(self) -> str:
        """The directory with the records of layers, images and names."""
        return os.path.join(self.root, "image", self.driver)

    @property
    def is_union(self) -> bool:
        """Whether a layer's tree contains only its changes relative to the layers below."""
        return self.driver in _UNIONS

    @property
    def trees(self) -> str:
        """The directory that contains one directory per layer.

        Raises:
            Unsupported: the driver's layers cannot be read without it.
        """
        return os.path.join(self.root, self._where()[0])

    @property
    def id_map(self) -> IDMap:
        """The map from owners in containers to those on disk, which are shifted below a remapped root."""
        name = os.path.basename(self.root)
        if not _REMAPPED.fullmatch(name):
            return IDENTITY
        uids, gids = (IDRange(0, int(first), _NO_ID - int(first)) for first in name.split("."))
        return IDMap((uids,), (gids,))

    def tree(self, cache_id: str) -> str:
        """Return the tree of one layer, by the driver's name for it.

        Raises:
            Unsupported: as `trees`.
        """
        return os.path.join(self.trees, cache_id, self._where()[1]).rstrip("/")

    def _where(self) -> tuple[str, str]:
        if self.driver not in _TREES:
            raise Unsupported(
                f"the trees of Docker's {self.driver} driver cannot be read without it",
                hint="export the image with docker save",
            )
        return _TREES[self.driver]


def find_place(path: str, driver: str = "") -> Place:
    """Find the records in a data root, or one level lower with remapped user namespaces.

    Args:
        path: the data root.
        driver: the driver, if several have records there.

    Raises:
        InvalidOption: it is not a data root, or several drivers or remapped users have records in it.
        Unsupported: its images are in containerd.
        SystemFailure: it cannot be read.
    """
    root = _with_images(path)
    image = os.path.join(root, "image")
    names = _names(image) if presence.is_directory(image) else []
    found = [name for name in names if presence.is_directory(os.path.join(image, name, "layerdb"))]
    if driver and driver not in found:
        raise InvalidOption(
            f"the Docker data root {path} has no data of the driver {driver!r}",
            hint=f"it has: {', '.join(found) or '-'}",
        )
    if not found and uses_containerd(path):
        raise Unsupported(
            f"the Docker daemon of {path} stores its images in containerd, which cstore cannot read",
            hint="export the image with docker save, then cstore load",
        )
    if not found:
        raise InvalidOption(f"{path} is not a Docker data root: it has no image/DRIVER/layerdb")
    if not driver and len(found) > 1:
        raise InvalidOption(
            f"{path} has images of several drivers: {', '.join(found)}", hint="choose one with --docker-driver"
        )
    return Place(root, driver or found[0])


def _with_images(path: str) -> str:
    if presence.is_directory(os.path.join(path, "image")):
        return path
    remapped = [name for name in _names(path) if _REMAPPED.fullmatch(name)]
    inner = [name for name in remapped if presence.is_directory(os.path.join(path, name, "image"))]
    if len(inner) > 1:
        raise InvalidOption(
            f"the Docker data root {path} has images of several remapped users: {', '.join(inner)}",
            hint=f"name one, such as {os.path.join(path, inner[0])}",
        )
    return os.path.join(path, inner[0]) if inner else path


def uses_containerd(path: str) -> bool:
    """Return whether a data root has traces of a daemon that stores its images in containerd."""
    return presence.is_directory(
        os.path.join(path, "containerd", "daemon", "io.containerd.content.v1.content", "blobs")
    )


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        raise SystemFailure("read the Docker data root", path, error) from None
