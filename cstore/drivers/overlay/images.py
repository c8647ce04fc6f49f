"""Mount the images of composefs layers while an overlay mount is created above them.

erofs        from the file itself (Linux 6.12), or a loop device if the kernel needs a block device
overlay      keeps a private copy of each, so these mounts can be removed afterwards
"""

from __future__ import annotations

import errno
import os

from cstore import errors
from cstore.archive.composefs import require_own_contents
from cstore.drivers.binding import detach
from cstore.drivers.overlay.options import NAME
from cstore.fs import within
from cstore.kernel import fsmount, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack

    from cstore.idmap import IDMap

_FROM_DESCRIPTORS = (6, 15)
"""The first kernel whose overlay accepts a lower directory in a detached mount."""


def mount_image(path: str, *, by_loop: bool = False) -> int:
    """Mount an image and return a descriptor of the detached mount.

    `by_loop`: use a loop device without trying the file first.

    Raises:
        DriverError: the kernel refuses.
        ArchiveError: the file is not an image, or the image names contents outside of its layer.
        SystemFailure: the file cannot be read.
    """
    from cstore.archive.erofs import Image

    with Image(path) as image:
        acls = image.has_acls
        require_own_contents(image)
    try:
        if not by_loop:
            try:
                return _mount(path, acls=acls)
            except OSError as error:
                if error.errno != errno.ENOTBLK:
                    raise
        from cstore.kernel.loop import attached

        with attached(path) as device:
            return _mount(device, acls=acls)
    except OSError as error:
        raise errors.DriverError(
            NAME,
            f"the composefs image {path} cannot be mounted: {os.strerror(error.errno or 0)}",
            hint="this needs root and a kernel with EROFS",
        ) from None


def _mount(source: str, *, acls: bool) -> int:
    fd = -1
    try:
        with fsmount.Configuration("erofs") as configuration:
            if len(os.fsencode(source)) > fsmount.LONGEST_VALUE:
                fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
                source = f"/proc/self/fd/{fd}"
            configuration.set("source", source)
            configuration.set_flag("ro")
            if not acls:
                configuration.set_flag("noacl")
            configuration.create()
            return configuration.mount(fsmount.ATTR_RDONLY)
    finally:
        if fd >= 0:
            os.close(fd)


def image_directory(path: str, version: tuple[int, int], opened: ExitStack, id_map: IDMap) -> str:
    """Return a lower directory that shows an image with the owners of `id_map` until `opened` is closed.

    Raises:
        DriverError: the kernel refuses.
    """
    fd = mount_image(path)
    opened.callback(os.close, fd)
    if id_map:
        from cstore.kernel.userns import mapped_namespace

        namespace = mapped_namespace(id_map)
        try:
            fsmount.set_attributes(fd, fsmount.ATTR_IDMAP, user_namespace=namespace)
        except OSError as error:
            reason = f"the composefs image {path} cannot be shown with other owners: {os.strerror(error.errno or 0)}"
            raise errors.DriverError(NAME, reason, hint="this needs Linux 5.19") from None
        finally:
            os.close(namespace)
    if version >= _FROM_DESCRIPTORS:
        return f"/proc/self/fd/{fd}"
    import tempfile

    point = tempfile.mkdtemp(prefix="cstore-image-")
    opened.callback(os.rmdir, point)
    fsmount.attach(fd, point)
    opened.callback(mount.unmount, point, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
    return point


def release_images(layer: str) -> None:
    """Unmount the images that the Go tool mounts in the directory of a layer above composefs layers.

    Raises:
        SystemFailure: the kernel refuses.
    """
    if not within.is_directory(layer, "composefs-layers"):
        return
    for name in within.list_directory(layer, "composefs-layers"):
        point = os.path.join(layer, "composefs-layers", name)
        try:
            detach(point)
        except OSError as error:
            raise errors.SystemFailure("unmount", point, error) from None
