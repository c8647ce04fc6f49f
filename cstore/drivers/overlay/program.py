"""Mounts with a program such as fuse-overlayfs (drivers 7.7, 7.8).

fuse-overlayfs cannot escape colons, commas and backslashes in paths. So it runs in the driver's home with relative
paths, which contain none; it gets other paths by descriptor. It makes the upper directory's path absolute before it
splits at colons, so an upper path with a colon is refused.
"""

from __future__ import annotations

import os

from cstore import presence
from cstore.archive.override import ATTRIBUTE, PROGRAMS_ATTRIBUTE
from cstore.contexts import ExitStack
from cstore.drivers.overlay.options import NAME
from cstore.errors import DriverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.drivers.overlay.mount import Stack
    from cstore.idmap import IDMap

_DISTRIBUTED, _ITS_OWN = os.fsdecode(ATTRIBUTE), os.fsdecode(PROGRAMS_ATTRIBUTE)
_SPECIAL = frozenset(',:\\"')
"""Characters that a program's options cannot contain."""
_UNMOUNTERS = ("fusermount3", "fusermount")


def mount_by_program(program: str, stack: Stack, target: str, home: str, id_map: IDMap) -> None:
    """Mount a stack on `target` with `program`, which runs as a daemon until it is unmounted.

    With an ID map, it shows and writes other owners than are on disk.

    Raises:
        DriverError: the program cannot be started, or reports a failure.
    """
    import subprocess

    if ":" in os.path.realpath(stack.upper or home) and stack.upper:
        raise _failed(program, stack, target, "it cannot write below a path with a colon")
    try:
        with ExitStack() as opened:
            paths = {path: _named(path, home, opened) for path in (*stack.lowers, stack.upper, stack.work)}
            done = subprocess.run(
                [program, "-o", options_of(stack, id_map, paths), target],
                cwd=home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                pass_fds=[int(os.path.basename(path)) for path in paths.values() if path.startswith("/proc/self/fd/")],
            )
    except OSError as error:
        raise _failed(program, stack, target, os.strerror(error.errno or 0)) from None
    if done.returncode or not presence.is_mount_point(target):
        said = done.stderr.decode(errors="replace").strip()
        raise _failed(program, stack, target, said or f"it ended with status {done.returncode} without a message")


def cannot_be_upper(diff: str) -> bool:
    """Return whether a program that keeps modes in attributes cannot write into this layer with masked modes.

    fuse-overlayfs (1.10 and later) reads the attribute with which layers are distributed, but writes one of its own,
    and then expects that in every file of the layer. So unpacked layers are read-only; layers created empty are not.
    """
    try:
        names = os.listxattr(diff)
        return _DISTRIBUTED in names and _ITS_OWN not in names and bool(os.listdir(diff))
    except OSError:
        return False


def _named(path: str, home: str, opened: ExitStack) -> str:
    """Return a path for the program: relative in the home; else by descriptor, if it has special characters."""
    within = path.removeprefix(f"{home}/")
    if within == path and not _SPECIAL.isdisjoint(path):
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, fd)
        return f"/proc/self/fd/{fd}"
    return within


def options_of(stack: Stack, id_map: IDMap, paths: Mapping[str, str]) -> str:
    """Return all options of a mount in the program's format; `paths` has the program's name of each directory."""
    parts = [f"lowerdir={':'.join(paths[lower] for lower in stack.lowers)}"]
    if stack.upper:
        parts += [f"upperdir={paths[stack.upper]}", f"workdir={paths[stack.work]}"]
    parts += [word for word in stack.options if word != "volatile"]
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
    """Stop the program that serves `target` with fusermount; if that fails, sync its writes at least."""
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
        return  # its program is dead


def _failed(program: str, stack: Stack, target: str, reason: str) -> DriverError:
    return DriverError(
        NAME,
        f"layer {stack.layer} cannot be mounted on {target}: the mount program {program} failed: {reason}",
        hint="run it by hand, or remove mount_program from the configuration to mount with the kernel",
        go_text=f"using mount program {program}: {reason}",
    )
