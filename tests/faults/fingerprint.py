"""A fingerprint of a store's directory: every name, owner, mode, attribute and byte below it.

Two states with the same fingerprint look the same to any command. They differ only in times, and in the random names of
temporary files, links and quarantine cases, which are numbered in the order of their occurrence, so that references
between them still count.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat

_DRAWN = re.compile(
    rb"(?:temp-dir-|lock-|stuck-|\.tmp-(?:[^/]*-)?|cstore-intents/)(\d+)"
    rb"|\b([A-Z2-7]{26})\b|(\d{8}T\d{6}-[0-9a-f]{6})|\.cstore-([0-9a-f]{32})|\.links-([0-9a-f]{16})"
)
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")

_PEERS = re.compile(rb" (?:shared|master):\d+")
_OF_A_MOUNT = "trusted.overlay.uuid"
_LARGE = 1 << 15
"""Larger files are contents of layers, which no tool refers to by name."""

_SEEN: dict[tuple[bytes, int, int], bytes] = {}
"""Cached text of a path without random names and times, by path, inode and change time."""

_MOST = 10_000


def fingerprint(root: str, since: int) -> str:
    """Return the fingerprint of `root`. Modification times count if they are before `since`, in nanoseconds."""
    drawn: dict[bytes, bytes] = {}
    if len(_SEEN) > _MOST:
        _SEEN.clear()

    def numbered(found: re.Match[bytes]) -> bytes:
        name = found[found.lastindex or 0]
        return found[0].replace(name, drawn.setdefault(name, b"#%d" % len(drawn)))

    told = hashlib.sha256()
    for path in _paths(os.fsencode(root)):
        status = os.lstat(path)
        key = path, status.st_ino, status.st_ctime_ns
        if (text := _SEEN.get(key)) is None:
            text = _text(path, status, since)
            if _TIME.search(text) is None and _DRAWN.search(text) is None:
                _SEEN[key] = text
            else:
                text = _DRAWN.sub(numbered, _TIME.sub(b"then", text))
        told.update(text)
    with open("/proc/self/mountinfo", "rb") as file:
        mounts = sorted(_PEERS.sub(b"", line.split(b" ", 4)[4]) for line in file if os.fsencode(root) in line)
    told.update(_DRAWN.sub(numbered, b"".join(mounts)))
    return told.hexdigest()


def _text(path: bytes, status: os.stat_result, since: int) -> bytes:
    facts = [path, b"%o %d %d %d" % (status.st_mode, status.st_uid, status.st_gid, status.st_nlink)]
    if status.st_mtime_ns < since:
        facts.append(b"%d" % status.st_mtime_ns)
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        value = b"" if name == _OF_A_MOUNT else os.getxattr(path, name, follow_symlinks=False)
        facts += [name.encode(), value]
    if stat.S_ISLNK(status.st_mode):
        facts.append(os.readlink(path))
    elif stat.S_ISREG(status.st_mode) and path.endswith(b".lock"):  # its contents are random
        facts.append(b"%d" % status.st_size)
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            data = file.read()
        facts.append(data if len(data) <= _LARGE else hashlib.sha256(data).digest())
    return b"\0".join([*facts, b"\n"])


def _paths(folder: bytes) -> list[bytes]:
    found = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        found.append(entry.path)
        if entry.is_dir(follow_symlinks=False):
            found += _paths(entry.path)
    return found
