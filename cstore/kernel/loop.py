"""Loop devices: a file as a block device, for file systems that mount only block devices."""

from __future__ import annotations

import errno
import os
import struct
from fcntl import ioctl

from cstore.contexts import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTROL = "/dev/loop-control"
_GET_FREE, _CONFIGURE = 0x4C82, 0x4C0A
_READ_ONLY, _AUTOCLEAR = 1, 4
_INFO = struct.Struct("=QQQQQIIII64s64s32sQQ")
"""struct loop_info64; struct loop_config has a descriptor and a block size before it and eight numbers after it."""
_ATTEMPTS = 32


@contextmanager
def attached(path: str) -> Iterator[str]:
    """Attach a file read-only; the kernel removes the device once nothing is mounted from it.

    Raises:
        OSError: ENOENT without the loop driver, EPERM without the privilege.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        name, device = _attach(file)
    finally:
        os.close(file)
    try:
        yield name
    finally:
        os.close(device)


def _attach(file: int) -> tuple[str, int]:
    info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, _READ_ONLY | _AUTOCLEAR, b"", b"", b"", 0, 0)
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):  # another process may take the free number first
            name = f"/dev/loop{ioctl(control, _GET_FREE)}"
            device = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                ioctl(device, _CONFIGURE, struct.pack("=II", file, 0) + info + bytes(64))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
                continue
            return name, device
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), _CONTROL)
