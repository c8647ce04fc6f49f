"""The mount table: which layers are mounted where, and how often (store-format 5)."""

from __future__ import annotations

import os

from cstore import errors
from cstore.records.scanner import load
from cstore.records.shapes import number, text
from cstore.records.snapshot import identity_at, identity_of, read_file
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Self

    from cstore.records.snapshot import Identity


class Mount(Value):
    """A layer's mount point, and how many mounts have not been undone."""

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
        """Read the mount table; an absent or empty file has no mounts, and an entry without a path is none.

        Args:
            path: its file.
            roots: directories that mount points are in. JSON cannot hold what is not UTF-8, so this gives it back.

        Raises:
            RecordsDamaged: it is not a list of mounts. Who only reads may go on with `MountTable(path)`.
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
        """Record that a layer is mounted at `path`, `count` times. No path or no count means that it is not."""
        if path and count > 0:
            self._mounts[layer] = Mount(layer, path, count)
        else:
            self.drop(layer)

    def drop(self, layer: str) -> None:
        """Forget a layer's mount, if there is one."""
        self._mounts.pop(layer, None)

    def arrange(self, layers: Iterable[str]) -> None:
        """Put the mounts into the order of these layers, and forget all others: their layers are gone."""
        self._mounts = {layer: self._mounts[layer] for layer in layers if layer in self._mounts}

    def is_current(self) -> bool:
        """Whether the file on disk still is the one that was read or last saved."""
        return identity_at(self.path) == self._identity

    def save(self, *, sync: bool = True) -> None:
        """Write the mount table, changed or not.

        Raises:
            RecordsChanged: another process wrote it meanwhile.
            SystemFailure: it could not be written; the old file is untouched.
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
