"""Change a layer's own directory while it is mounted: file by file, in place, as the Go tool does.

A mount keeps the directories that it has shown. If one were exchanged, later writes would go to the old one.
"""

from __future__ import annotations

import os
import stat

from cstore.archive.directories import Directories, Kind, names_in
from cstore.archive.names import join_name
from cstore.errors import SystemFailure
from cstore.fs import within, xattr
from cstore.fs.atomic import sync_filesystem
from cstore.fs.tree import remove_tree

_PART = 1 << 20


def change_in_place(target: str, source: str, *, sync: bool) -> None:
    """Make the directory `target` equal to `source`, which began as its copy and is consumed.

    Directories and identical files stay. A crash leaves part of the changes.

    Raises:
        SystemFailure: something cannot be changed.
    """
    from cstore.fs.tree.merge import merge_tree

    root = os.stat(source)
    _drop_what_is_done(source, target)
    flags = os.O_RDONLY | os.O_NOFOLLOW
    source_fd = within.open_folder(source, flags)
    try:
        target_fd = within.open_folder(target, flags)
        try:
            merge_tree(source, source_fd, target_fd, lambda uid, gid: (uid, gid))
            os.fchown(target_fd, root.st_uid, root.st_gid)
            os.fchmod(target_fd, stat.S_IMODE(root.st_mode))
            os.utime(target_fd, ns=(root.st_atime_ns, root.st_mtime_ns))
        finally:
            os.close(target_fd)
    except OSError as error:
        raise SystemFailure("change", target, error) from error
    finally:
        os.close(source_fd)
    if sync:
        sync_filesystem(target)


def _drop_what_is_done(source: str, target: str) -> None:
    """Remove files from `target` that `source` lacks, and files from `source` that are identical in `target`."""
    with Directories(source) as new, Directories(target) as old:
        pending = [b""]
        while pending:
            folder = pending.pop()
            try:
                both = _drop_in(new.descriptor(folder), old.descriptor(folder))
            except OSError as error:
                raise SystemFailure("change", old.shown(folder), error) from error
            pending += [join_name(folder, name) for name in both]


def _drop_in(new: int, old: int) -> list[bytes]:
    """Do so in one pair of directories; return the names of directories that exist in both."""
    times, wanted, both = os.fstat(new), dict(names_in(new)), []
    for name, kind in list(names_in(old)):
        if name not in wanted:
            remove_tree(xattr.entry(old, os.fsdecode(name)))
        elif kind is Kind.DIRECTORY and wanted[name] is Kind.DIRECTORY:
            both.append(name)
        elif kind is Kind.REGULAR and wanted[name] is Kind.REGULAR and _same_file(new, old, name):
            os.unlink(name, dir_fd=new)
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    return both


def _same_file(new: int, old: int, name: bytes) -> bool:
    """Return whether two files are identical. A hard link never counts as identical, as its target may differ."""
    one, other = (os.stat(name, dir_fd=folder, follow_symlinks=False) for folder in (new, old))
    if (one.st_nlink, _facts(one)) != (1, _facts(other)):
        return False
    paths = [xattr.entry(folder, os.fsdecode(name)) for folder in (new, old)]
    attributes = [
        {key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)}
        for path in paths
    ]
    if attributes[0] != attributes[1]:
        return False
    with open(paths[0], "rb") as first, open(paths[1], "rb") as second:
        while part := first.read(_PART):
            if part != second.read(_PART):
                return False
    return True


def _facts(status: os.stat_result) -> tuple[int, ...]:
    return status.st_nlink, status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns
