"""Mount datasets: a layer for its users, a staged tree to fill, and a tree that only this process reads.

All mounts of a dataset are created alike, because ZFS refuses to mount one read-only and writable at the same time; a
read-only mount is read-only at its directory alone.
"""

from __future__ import annotations

import os

from cstore import presence
from cstore.contexts import contextmanager, suppress
from cstore.drivers.staging import OWN
from cstore.drivers.zfs import command
from cstore.errors import SystemFailure
from cstore.fs import within
from cstore.fs.staging import StagingRoot
from cstore.kernel import mount, mountinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.drivers.contract import MountOptions, StagedTree
    from cstore.drivers.zfs.places import Places
    from cstore.fs.staging import StagingDirectory

_TREE, _SOURCE = "tree", "source"


class Mounts:
    """The mounts of one store. `options` apply to all mounts for users."""

    def __init__(self, places: Places, run_home: str, options: Sequence[str]) -> None:
        self._places = places
        self._run_home = run_home
        self._options = options
        self._held: dict[str, int] = {}

    # ── for users ──

    def mount(self, layer: str, dataset: str, options: MountOptions) -> str:
        """Mount a layer at its mount point. An existing mount stays."""
        target = self._places.mount_point(layer)
        if self._is_mountpoint(target):
            return target
        words = [word for word in options.options if word != "ro"] or list(self._options)
        if options.label:
            words.append(f'context="{options.label}"')
        try:
            os.makedirs(target, 0o755, exist_ok=True)
            command.mount(dataset, target, words)
            if options.read_only or "ro" in options.options:
                mount.mount("", target, flags=mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY)
        except BaseException as error:
            self.unmount(layer)
            if isinstance(error, OSError):
                raise SystemFailure("mount", target, error) from error
            raise
        return target

    def unmount(self, layer: str) -> None:
        """Remove a layer's mount and this process's descriptors. A mount in use lasts until its users are gone."""
        self.forget(layer)
        target = self._places.mount_point(layer)
        self._detach(target)
        with suppress(OSError):
            within.rmdir(target)

    def is_mounted(self, layer: str) -> bool:
        """Return whether a layer is mounted at its mount point."""
        return self._is_mountpoint(self._places.mount_point(layer))

    @staticmethod
    def _is_mountpoint(path: str) -> bool:
        return presence.is_directory(path) and mountinfo.is_mountpoint(path)

    # ── staged trees ──

    def mount_staged(self, dataset: str, staging: StagingDirectory) -> str:
        """Mount a dataset in its staging directory. Raises OSError."""
        return self._mount_in(staging, _TREE, dataset)

    @contextmanager
    def mounted_beside(self, dataset: str, staging: StagingDirectory) -> Iterator[str]:
        """Mount a dataset beside a staged tree to copy from it. Raises OSError."""
        source = self._mount_in(staging, _SOURCE, dataset)
        try:
            yield source
        finally:
            self._detach(source)

    @staticmethod
    def _mount_in(staging: StagingDirectory, name: str, dataset: str) -> str:
        target = os.path.join(staging.path, name)
        within.mkdir(target, 0o700)
        command.mount(dataset, target, ())
        return target

    def unmount_staged(self, staged: StagedTree) -> None:
        """Remove the mount of a staged tree; unmounting syncs it."""
        try:
            mount.unmount(staged.tree, mount.UMOUNT_NOFOLLOW)
        except OSError as error:
            raise SystemFailure("unmount", staged.tree, error) from error

    def detach_below(self, staging: str) -> None:
        """Remove the mounts in a staging directory."""
        for name in (_TREE, _SOURCE):
            self._detach(os.path.join(staging, name))

    @staticmethod
    def _detach(target: str) -> None:
        with suppress(OSError):
            mount.unmount(target, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)

    # ── for this process ──

    def held(self, layer: str, dataset: str) -> str:
        """Return a layer's tree for reading, until `forget` or `close`."""
        if self.is_mounted(layer):
            return self._places.mount_point(layer)
        if layer not in self._held:
            self._held[layer] = self._open_nowhere(dataset)
        return _path(self._held[layer])

    @contextmanager
    def mounted_nowhere(self, layer: str, dataset: str) -> Iterator[str]:
        """Yield a layer's tree for reading."""
        if self.is_mounted(layer):
            yield self._places.mount_point(layer)
            return
        fd = self._open_nowhere(dataset)
        try:
            yield _path(fd)
        finally:
            os.close(fd)

    @property
    def aside(self) -> StagingRoot:
        """The staging root for temporary mounts of datasets."""
        return StagingRoot(os.path.join(self._run_home, OWN), keep=False)

    def _open_nowhere(self, dataset: str) -> int:
        """Mount, open the root, and remove the mount: its tree lasts until the descriptor is closed."""
        try:
            with self.aside.reserve() as place:
                target = place.next_name("read")
                within.mkdir(target)
                try:
                    command.mount(dataset, target, ())
                    return within.open_folder(target, os.O_RDONLY)
                finally:
                    self._detach(target)
        except OSError as error:
            raise SystemFailure("mount a layer in", self._run_home, error) from error

    def forget(self, layer: str) -> None:
        """Release a layer that is going to change."""
        fd = self._held.pop(layer, -1)
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Release all layers."""
        for layer in list(self._held):
            self.forget(layer)


def _path(fd: int) -> str:
    return f"/proc/{os.getpid()}/fd/{fd}/."
