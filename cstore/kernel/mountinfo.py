"""The mount tables of this process and others."""

from __future__ import annotations

import os

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TABLE = "/proc/self/mountinfo"
_ESCAPED = " \t\n\\"


class MountInfo(Value):
    """One line of /proc/self/mountinfo (proc(5)), with octal escapes decoded."""

    mount_id: int
    parent_id: int
    device: int
    root: str
    mount_point: str
    options: str
    propagation: tuple[str, ...]
    fstype: str
    source: str
    super_options: str


def parse_line(line: bytes) -> MountInfo:
    """Parse one line.

    Raises:
        ValueError: it is not a mountinfo line.
    """
    before, separator, after = line.rstrip(b"\n").partition(b" - ")
    fields, rest = before.split(b" "), after.split(b" ")
    if not separator or len(fields) < 6 or len(rest) < 3:
        raise ValueError(f"not a mountinfo line: {line!r}")
    major, _, minor = fields[2].partition(b":")
    return MountInfo(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        device=os.makedev(int(major), int(minor)),
        root=_plain(fields[3]),
        mount_point=_plain(fields[4]),
        options=_plain(fields[5]),
        propagation=tuple(_plain(field) for field in fields[6:]),
        fstype=_plain(rest[0]),
        source=_plain(rest[1]),
        super_options=_plain(rest[2]),
    )


def read_mounts(pid: int = 0) -> list[MountInfo]:
    """List the mounts of a process (by default this one) in mount order: of two on one path, the later is on top.

    Raises:
        OSError: /proc is not mounted, or the process does not exist or may not be inspected.
    """
    with open(f"/proc/{pid}/mountinfo" if pid else _TABLE, "rb") as table:
        return [parse_line(line) for line in table]


def mounted_below(folders: Iterable[str]) -> list[str]:
    """Where something is mounted below any of `folders`, without links in their paths; in mount order.

    Raises:
        OSError: /proc is not there.
    """
    inside = tuple(_escaped(folder) + b"/" for folder in folders)
    with open(_TABLE, "rb") as table:
        points = [line.split(b" ", 5)[4] for line in table]
    return [_plain(point) for point in points if point.startswith(inside)]


def is_mountpoint(path: str) -> bool:
    """Return whether something is mounted exactly on `path`. Sees bind mounts; follows links except in the last part.

    Raises:
        OSError: /proc is not mounted.
    """
    parent, name = os.path.split(os.path.abspath(path))
    wanted = b" %b " % _escaped(os.path.join(os.path.realpath(parent), name))
    with open(_TABLE, "rb") as table:
        return any(wanted in line and line.split(b" ", 5)[4] == wanted[1:-1] for line in table)


def _escaped(path: str) -> bytes:
    """Escape a path as the table does."""
    for character in _ESCAPED[::-1]:
        path = path.replace(character, f"\\{ord(character):03o}")
    return os.fsencode(path)


def _plain(field: bytes) -> str:
    if b"\\" in field:
        import re

        field = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)
    return os.fsdecode(field)
