"""Random directory trees for hypothesis, and their comparison in words that a failure can show."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from hypothesis import strategies as st


@dataclass(frozen=True)
class Node:
    """One path of a tree: `kind` is "file", "link", "fifo", "directory" or "name" (one more of an earlier file)."""

    kind: str
    content: bytes = b""
    mode: int = 0o644
    mtime: int = 0
    attribute: bytes | None = None


_BYTES = st.binary(min_size=1, max_size=12) | st.sampled_from(
    [b"a", b"b", b"c", b"a-b", b"a.b", "é".encode(), b"\xff", b"n" * 120, b"l" * 250]
)
NAMES = _BYTES.map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_")).filter(
    lambda name: name not in {b".", b".."} and not name.startswith(b".wh.")
)
_TIMES = st.integers(-(2**31), 2**33) | st.sampled_from([0, 1, 1_600_000_000])
_ATTRIBUTES = st.none() | st.binary(max_size=40)

FILES = st.builds(
    Node,
    st.just("file"),
    st.binary(max_size=200) | st.integers(0, 3000).map(bytes),
    st.sampled_from([0o644, 0o600, 0o755, 0o4711]),
    _TIMES,
    _ATTRIBUTES,
)
LINKS = st.builds(Node, st.just("link"), st.binary(min_size=1, max_size=150).map(lambda t: t.replace(b"\0", b"/")))
OTHERS = st.sampled_from([Node("fifo"), Node("name"), Node("directory", mode=0o755)])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)

TREES = st.dictionaries(PATHS, FILES | LINKS | OTHERS, max_size=12)
"""Paths to nodes. A path that leads through something that is no directory is left out when the tree is built."""


def build(root: str, tree: dict[bytes, Node]) -> None:
    """Make the tree in an existing directory."""
    base = os.fsencode(root)
    first: bytes | None = None
    for path, node in tree.items():
        full = os.path.join(base, path)
        if not _make_parents(base, path) or os.path.lexists(full):
            continue
        if node.kind == "file":
            with open(full, "wb") as file:
                file.write(node.content)
            first = first or full
            _set_attribute(full, node)
        elif node.kind == "link":
            os.symlink(node.content, full)
        elif node.kind == "fifo":
            os.mkfifo(full)
        elif node.kind == "name" and first is not None:
            os.link(first, full)
        elif node.kind == "directory":
            os.mkdir(full)
    # Last, because making things changes the times of what they are in.
    for folder, folders, names in os.walk(base, topdown=False):
        for name in folders + names:
            full = os.path.join(folder, name)
            node = tree.get(os.path.relpath(full, base), Node("?"))
            if stat.S_ISREG(os.lstat(full).st_mode) and node.kind == "file":
                os.chmod(full, node.mode)
            os.utime(full, (node.mtime, node.mtime), follow_symlinks=False)


def _make_parents(base: bytes, path: bytes) -> bool:
    """Make what leads to a path; False if something else than a directory is in the way."""
    folder = os.path.dirname(path)
    if not folder:
        return True
    try:
        os.makedirs(os.path.join(base, folder), exist_ok=True)
    except OSError:
        return False
    return all(
        stat.S_ISDIR(os.lstat(os.path.join(base, *folder.split(b"/")[: count + 1])).st_mode)
        for count in range(folder.count(b"/") + 1)
    )


def _set_attribute(path: bytes, node: Node) -> None:
    if node.attribute is not None:
        os.setxattr(path, b"user.random", node.attribute)


def facts(root: str, *, folder_times: bool = False) -> dict[bytes, object]:
    """Everything a tar can say about the paths below a directory."""
    base = os.fsencode(root)
    found: dict[bytes, object] = {}
    for folder, folders, names in os.walk(base):
        for name in sorted(folders + names):
            full = os.path.join(folder, name)
            path = os.path.relpath(full, base)
            status = os.lstat(full)
            is_folder = stat.S_ISDIR(status.st_mode)
            time = status.st_mtime if folder_times or not is_folder else 0
            attributes = {name: os.getxattr(full, name, follow_symlinks=False) for name in _attributes(full)}
            found[path] = (oct(status.st_mode), time, _content(full, status), attributes, status.st_uid, status.st_gid)
    return found


def _attributes(path: bytes) -> list[str]:
    return [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith("user.")]


def _content(path: bytes, status: os.stat_result) -> bytes:
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            return file.read()
    return os.readlink(path) if stat.S_ISLNK(status.st_mode) else b""
