"""Read-only views: bind mounts of layers' trees at separate paths, where nobody can write.

    RUN HOME/<layer>/view-<home>       the tree of the layer, read-only

`<home>` is the device and inode number of the driver's home, because stores may share a run root and layer IDs.

A driver whose layers are plain directories needs no mount and gives its users the writable tree itself. An image must
not be written, so it is shown in such a view, while the tree stays where other programs expect it. A view disappears
with the last mount of its layer, or with a reboot.
"""

from __future__ import annotations

import errno
import os

from cstore import errors, presence
from cstore.contexts import suppress
from cstore.fs import within

_CANNOT = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL, errno.EROFS})
"""The errors without permission to mount, or before Linux 5.12."""


class Views:
    """The views of one store."""

    def __init__(self, run_home: str, home: str) -> None:
        self._home = run_home
        self._driver_home = home

    def show(self, layer: str, tree: str) -> str:
        """Create the view of a layer unless it exists, and return its path; if views are impossible, return the tree.

        Under the lock of the layers.

        Raises:
            SystemFailure: the kernel refuses for another reason than missing permission.
        """
        target = self.path(layer)
        if self.shows(layer, tree):
            return target
        self.take_away(layer)
        from cstore.kernel import fsmount
        from cstore.kernel.mount import MS_PRIVATE

        try:
            fd = fsmount.clone_mount(tree)
            try:
                fsmount.set_attributes(fd, fsmount.ATTR_RDONLY, propagation=MS_PRIVATE)
                os.makedirs(self._home, 0o700, exist_ok=True)
                within.make_directories(self._home, os.path.relpath(target, self._home))
                with within.path_past_links(target) as way:
                    fsmount.attach(fd, way)
            finally:
                os.close(fd)
        except OSError as error:
            self._clear(layer)
            if error.errno in _CANNOT:
                return tree
            raise errors.SystemFailure("mount read-only", tree, error) from error
        return target

    def shows(self, layer: str, tree: str) -> bool:
        """Return whether the view of a layer exists and shows that tree."""
        from cstore.kernel.mountinfo import is_mountpoint

        target = self.path(layer)
        try:
            return os.path.samefile(target, tree) and is_mountpoint(target)
        except OSError:
            return False

    def take_away(self, layer: str) -> None:
        """Remove the view of a layer, even while it is in use. Under the lock of the layers.

        Raises:
            SystemFailure: the kernel refuses.
        """
        if not presence.is_there(os.path.join(self._home, layer)):
            return
        from cstore.drivers.binding import detach

        target = self.path(layer)
        try:
            detach(target)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOENT}:
                raise errors.SystemFailure("unmount", target, error) from error
        self._clear(layer)

    def stale(self) -> list[str]:
        """Return the views of layers that no longer exist."""
        return [self.path(layer) for layer in self._orphans()]

    def sweep(self) -> list[str]:
        """Remove the views that `stale` returns; return the removed ones."""
        orphans = self._orphans()
        for layer in orphans:
            self.take_away(layer)
        return [self.path(layer) for layer in orphans]

    def _orphans(self) -> list[str]:
        """Return layers with a view but no tree: other programs delete layers without their views."""
        if not presence.is_directory(self._home):
            return []
        from cstore.kernel.mountinfo import read_mounts

        top = os.path.realpath(self._home) + "/"
        gone = [each.mount_point for each in read_mounts() if each.root.endswith("//deleted")]
        return sorted(os.path.basename(os.path.dirname(point)) for point in gone if point.startswith(top))

    def path(self, layer: str) -> str:
        """Return the path of a layer's view, whether or not it exists."""
        try:
            home = os.stat(self._driver_home)
        except OSError:
            return os.path.join(self._home, layer, "view")  # no home, so no view
        return os.path.join(self._home, layer, f"view-{home.st_dev:x}-{home.st_ino:x}")

    def _clear(self, layer: str) -> None:
        """Remove the empty directories of a view; directories with other contents stay."""
        for path in (self.path(layer), os.path.join(self._home, layer)):
            with suppress(OSError, errors.ForeignThing):
                within.rmdir(path)
