"""Find who uses a container: a process with its root or working directory in it, or a mount namespace that mounts it.

A mount count is no evidence: it outlives a killed process, and an extra `podman mount` uses nothing. The calling
process and its ancestors do not count.
"""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.errors import ContainerOccupied
from cstore.ids import flaw_of_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.kernel.mountinfo import MountInfo
    from cstore.records.model import Container
    from cstore.store.context import Context


def refuse_occupied(context: Context, container: Container) -> None:
    """Check that no process runs in a container that is to be deleted.

    Raises:
        ContainerOccupied: a process runs in it, or another mount namespace uses it.
    """
    from cstore.store.makers import stop_command

    if flaw_of_part(container.layer):
        return  # such a layer has no directory
    found = next(occupants(context, container.layer), None)
    if found is not None:
        pid, how = found
        occupant = f"process {pid}{name_of(pid)} {how}"
        raise ContainerOccupied(container.id, pid, occupant, stop_command(context, container))


def occupants(context: Context, layer: str) -> Iterator[tuple[int, str]]:
    """Yield processes that use a layer, with how they use it. Processes of other users are skipped."""
    from cstore.kernel.mountinfo import read_mounts

    place = _Place(os.path.realpath(context.driver.path_of(layer)))
    with suppress(OSError):
        place.devices |= {each.device for each in read_mounts() if place.is_its(each)}
    own, ours = _own_line(), _namespace("self")
    seen = {ours, ""}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if pid not in own and place.is_home_of(pid):
            yield pid, "runs in it"
        namespace = _namespace(pid)
        if namespace not in seen:
            seen.add(namespace)
            with suppress(OSError, ValueError):
                if any(place.is_its(each) for each in read_mounts(pid)):
                    yield pid, "is in a mount namespace where it is mounted"


class _Place:
    """The location of a layer: its directory, which may be the root of processes, and the devices of its mounts."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.devices: set[int] = set()
        self._tree: os.stat_result | None = None
        with suppress(OSError):
            self._tree = os.stat(path)

    def is_its(self, mount: MountInfo) -> bool:
        """Return whether a mount shows the layer, at its mount point in the store or elsewhere."""
        options = mount.super_options.split(",")
        at_place = mount.mount_point == self._path or mount.mount_point.startswith(self._path + "/")
        return at_place or mount.device in self.devices or f"upperdir={self._path}/diff" in options

    def is_home_of(self, pid: int) -> bool:
        """Return whether a process has its root or working directory in the layer."""
        for link in ("root", "cwd"):
            with suppress(OSError):
                status = os.stat(f"/proc/{pid}/{link}")
                if status.st_dev in self.devices or (self._tree and os.path.samestat(status, self._tree)):
                    return True
                if os.readlink(f"/proc/{pid}/{link}").startswith(self._path + "/"):
                    return True
        return False


def _own_line() -> set[int]:
    """Return the IDs of this process and its ancestors."""
    line, pid = set[int](), os.getpid()
    while pid > 0 and pid not in line:
        line.add(pid)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return line


def _namespace(pid: int | str) -> str:
    """Return the identity of a process's mount namespace; "" if it cannot be read."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""


def out_of_sight() -> int:
    """Return the number of processes that this user may not examine."""
    unseen = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            os.readlink(f"/proc/{pid}/root")
        except PermissionError:
            unseen += 1
        except OSError:
            continue  # it has ended, or runs in the kernel
    return unseen


def name_of(pid: int) -> str:
    """Return the name of a process's program in parentheses, to follow its ID; "" if it cannot be read."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return f" ({file.read().strip()})"
    except OSError:
        return ""
