"""Find a layer: the name of its dataset, and its mount point."""

from __future__ import annotations

import os
import re

from cstore.drivers.zfs.command import NAME
from cstore.errors import DriverUnusable, SystemFailure
from cstore.fs.writable import nearest_directory
from cstore.ids import check_part

_COMPONENT = re.compile(r"[A-Za-z0-9_.-]+")
_GENERATED = re.compile(r"[0-9a-f]{64}")

OURS = "cstore:layer"
"""The property, set to `yes`, that marks a dataset as a layer, whatever its name."""

WAS = "cstore:was"
"""The property with the layer ID of a dataset that is being replaced."""

STAGED, REMOVED = "staged:", "removed:"
"""Prefixes of names of staged and removed datasets, before the number of a staging directory."""


class Places:
    """The datasets and mount points of one store. `parent` is the dataset that contains all others."""

    def __init__(self, home: str, parent: str) -> None:
        self.home = home
        self.parent = parent

    def dataset(self, layer: str) -> str:
        """Return the dataset of a layer.

        Raises:
            UnsafeID: the ID cannot be part of a path.
            ValueError: the ID cannot name a dataset, so there is none.
        """
        if not _COMPONENT.fullmatch(check_part(layer)):
            raise ValueError(layer)
        return f"{self.parent}/{layer}"

    def aside(self, kind: str, staging: str) -> str:
        """Return the dataset of a staging directory; `kind` is STAGED or REMOVED."""
        return f"{self.parent}/{kind}{os.path.basename(staging).rpartition('-')[2]}"

    def layer_of(self, dataset: str, ours: str) -> str:
        """Return the layer ID of a dataset; "" if it is not a layer. `ours` is the value of its property OURS.

        Users may have other datasets beside the layers, so only datasets that cstore created, or whose names have the
        form of an ID, count as layers.
        """
        name = dataset.rpartition("/")[2]
        known = ours == "yes" or _GENERATED.fullmatch(name)
        return name if known and _COMPONENT.fullmatch(name) else ""

    def mount_point(self, layer: str) -> str:
        """Return the mount point of a layer. Raises UnsafeID."""
        return os.path.join(self.home, "graph", check_part(layer))


def find_dataset(home: str) -> str:
    """Return the dataset that contains, or will contain, the graph root.

    Raises:
        DriverUnusable: the graph root is not on ZFS.
    """
    from cstore.kernel.mountinfo import read_mounts

    root = os.path.dirname(home)
    existing = nearest_directory(root)
    try:
        device = os.stat(existing).st_dev
        mounts = read_mounts()
    except OSError as error:
        raise SystemFailure("examine", existing, error) from None
    found = next((each.source for each in mounts if each.fstype == NAME and each.device == device), "")
    if not found:
        raise DriverUnusable(
            NAME,
            f"{root} is not on ZFS, and no dataset is named",
            hint="name one with --storage-opt zfs.fsname=POOL/DATASET, or choose another driver with --storage-driver",
            go_text=f"no zfs dataset found for rootdir '{root}'",
        )
    return found
