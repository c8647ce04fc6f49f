"""Mounts by a program such as fuse-overlayfs (drivers 7.7, 7.8)."""

from __future__ import annotations

import os

from cstore.archive.override import ATTRIBUTE, PROGRAMS_ATTRIBUTE
from cstore.drivers.overlay.options import NAME
from cstore.errors import DriverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.drivers.overlay.mount import Stack
    from cstore.idmap import IDMap

_DISTRIBUTED, _ITS_OWN = os.fsdecode(ATTRIBUTE), os.fsdecode(PROGRAMS_ATTRIBUTE)
_UNMOUNTERS = ("fusermount3", "fusermount")


def mount_by_program(program: str, stack: Stack, target: str, home: str, id_map: IDMap) -> None:
    """Let `program` mount a stack on `target`. It stays behind as a daemon until it is unmounted.

    With an ID map it shows, and writes, other owners than are on disk.

    Raises:
        DriverError: it cannot be started, or says that it failed.
    """
    import subprocess

    try:
        done = subprocess.run(
            [program, "-o", options_of(stack, id_map), target],
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise _failed(program, stack, target, os.strerror(error.errno or 0)) from None
    if done.returncode or not os.path.ismount(target):
        said = done.stderr.decode(errors="replace").strip()
        raise _failed(program, stack, target, said or f"it ended with status {done.returncode} and without a word")


def cannot_be_upper(diff: str) -> bool:
    """Whether a program that keeps modes in attributes could not write into a layer that was filled with masked modes.

    fuse-overlayfs (1.10 and later) reads the attribute that layers are distributed with, but writes one of its own, and
    then expects that of every file in there. So what was unpacked is only read; a layer made empty can be written to.
    """
    try:
        names = os.listxattr(diff)
        return _DISTRIBUTED in names and _ITS_OWN not in names and bool(os.listdir(diff))
    except OSError:
        return False


def options_of(stack: Stack, id_map: IDMap) -> str:
    """All options of a mount as the program takes them."""
    parts = [f"lowerdir={':'.join(stack.lowers)}"]
    if stack.upper:
        parts += [f"upperdir={stack.upper}", f"workdir={stack.work}"]
    parts += [word for word in stack.words if word != "volatile"]
    for kind, ranges in (("uid", id_map.uids), ("gid", id_map.gids)):
        if len(ranges) == 1 and ranges[0].size == 1:
            parts.append(f"squash_to_{kind}={ranges[0].host_id}")
        elif ranges:
            numbers = (str(number) for part in ranges for number in (part.container_id, part.host_id, part.size))
            parts.append(f"{kind}mapping={':'.join(numbers)}")
    if stack.label:
        parts.append(f'context="{stack.label}"')
    return ",".join(parts)


def unmount_program(target: str) -> None:
    """End the program that serves `target`, if fusermount can; else what was written there is at least synced."""
    import shutil
    import subprocess

    for name in _UNMOUNTERS:
        found = shutil.which(name)
        if found is None:
            continue
        done = subprocess.run([found, "-u", target], capture_output=True, check=False)
        if done.returncode == 0:
            return
    from cstore.kernel.files import syncfs

    try:
        fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syncfs(fd)
        finally:
            os.close(fd)
    except OSError:
        return  # it is served by nobody any more


def _failed(program: str, stack: Stack, target: str, reason: str) -> DriverError:
    return DriverError(
        NAME,
        f"layer {stack.layer} cannot be mounted on {target}: the mount program {program} failed: {reason}",
        hint="run it by hand, or take mount_program out of the configuration to mount with the kernel",
        peer=f"using mount program {program}: {reason}",
    )
