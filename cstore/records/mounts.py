"""The mount table: mount points and mount counts of layers (store-format 5)."""

from __future__ import annotations

import os

from cstore import errors
from cstore.records.shapes import load, number, text
from cstore.records.snapshot import identity_at, identity_of, read_file
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Self

    from cstore.records.snapshot import Identity


class Mount(Value):
    """A layer's mount point, and its mount count."""

    id: str
    path: str = ""
    count: int = 0


class MountTable:
    """All mounts. Reading needs no lock; changing and saving needs the exclusive lock of the mount table."""

    def __init__(self, path: str, mounts: Iterable[Mount] = (), identity: Identity | None = None) -> None:
        self.path = path
        self._mounts = {mount.id: mount for mount in mounts if mount.path and mount.count > 0}
        self._identity = identity

    @classmethod
    def load(cls, path: str, roots: Iterable[str] = ()) -> Self:
        """Read the mount table; a missing or empty file has no mounts, and an entry without a path is ignored.

        Args:
            path: its file.
            roots: directories of mount points, to restore their bytes that are not UTF-8, which JSON cannot hold.

        Raises:
            RecordsDamaged: it is not a list of mounts. Readers may continue with `MountTable(path)`.
            SystemFailure: it cannot be read.
        """
        data, identity = read_file(path)
        try:
            mounts = [_mount(entry, tuple(roots)) for entry in _list(load(data))] if data else []
        except ValueError as error:
            raise errors.RecordsDamaged(path, str(error)) from None
        return cls(path, mounts, identity)

    def __iter__(self) -> Iterator[Mount]:
        return iter(self._mounts.values())

    def __len__(self) -> int:
        return len(self._mounts)

    def get(self, layer: str) -> Mount | None:
        """Return the mount of a layer, or None if it is not mounted."""
        return self._mounts.get(layer)

    def set(self, layer: str, path: str, count: int) -> None:
        """Record that a layer is mounted at `path`, `count` times. Without path or count, it is not mounted."""
        if path and count > 0:
            self._mounts[layer] = Mount(layer, path, count)
        else:
            self.drop(layer)

    def drop(self, layer: str) -> None:
        """Remove a layer's mount, if there is one."""
        self._mounts.pop(layer, None)

    def arrange(self, layers: Iterable[str]) -> None:
        """Sort the mounts in the order of these layers, and remove all others, whose layers no longer exist."""
        self._mounts = {layer: self._mounts[layer] for layer in layers if layer in self._mounts}

    def is_current(self) -> bool:
        """Return whether the file on disk is still the one that was read or last saved."""
        return identity_at(self.path) == self._identity

    def save(self, *, sync: bool = True) -> None:
        """Write the mount table, changed or not.

        Raises:
            RecordsChanged: another process wrote it in the meantime.
            SystemFailure: it could not be written; the old file is unchanged.
        """
        if not self.is_current():
            raise errors.RecordsChanged(self.path)
        from cstore import gojson
        from cstore.fs.atomic import write_file

        data = gojson.encode([mount.as_dict() for mount in self], record_file=True)
        from cstore.fs.lockfile import make_directory

        make_directory(os.path.dirname(self.path), sync=sync)
        self._identity = identity_of(write_file(self.path, data, sync=sync))


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if type(value) is not list:
        raise ValueError("it is not a list")
    return value


def _mount(entry: Any, roots: tuple[str, ...]) -> Mount:
    if type(entry) is not dict or "id" not in entry:
        raise ValueError("an entry is not a mount")
    path = text(entry.get("path", ""), "path")
    for root in roots if "\ufffd" in path else ():
        recorded = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in root)
        if path.startswith(f"{recorded}/"):
            path = root + path[len(root) :]
            break
    return Mount(text(entry["id"], "id"), path, number(entry.get("count", 0), "count"))
