"""User namespaces that exist only for their ID map, for ID-mapped mounts."""

from __future__ import annotations

import os
import signal
from functools import partial

from cstore.errors import SystemFailure
from cstore.kernel.libc import call
from cstore.kernel.process import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.idmap import IDMap, IDRange

_CLONE_NEWUSER = 0x10000000
_ALL = 2**32 - 1


def mapped_namespace(id_map: IDMap) -> int:
    """Return a descriptor of a user namespace with this map; it lives as long as the descriptor or mounts that use it.

    Raises:
        SystemFailure: user namespaces are forbidden, or this process may not set the map.
    """
    try:
        ready, inside = os.pipe()
    except OSError as error:
        raise SystemFailure("make", "a user namespace", error) from None
    try:
        pid = spawn(partial(_enter_and_wait, inside), {inside})
    except OSError as error:
        os.close(ready)
        raise SystemFailure("make", "a user namespace", error) from None
    finally:
        os.close(inside)
    try:
        if os.read(ready, 1) != b"1":
            raise PermissionError(1, os.strerror(1))
        _write_map(f"/proc/{pid}/uid_map", id_map.uids)
        _write_map(f"/proc/{pid}/gid_map", id_map.gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SystemFailure("make", "a user namespace", error) from None
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _enter_and_wait(inside: int) -> int:
    """Create the namespace and wait; a namespace needs a process until it is opened."""
    call("unshare", _CLONE_NEWUSER)
    os.write(inside, b"1")
    signal.pause()
    return 0


def _write_map(path: str, ranges: tuple[IDRange, ...]) -> None:
    lines = [f"{part.container_id} {part.host_id} {part.size}\n" for part in ranges] or [f"0 0 {_ALL}\n"]
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, "".join(lines).encode())
    finally:
        os.close(fd)
