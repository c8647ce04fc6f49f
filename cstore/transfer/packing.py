"""Containers for archives: a tar, written from front to back, or a directory that appears when it is complete.

The tar is the one that skopeo and Podman write: plain headers, everything owned by root and made in 1970.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from cstore import presence
from cstore.archive.streams import FileSink
from cstore.archive.tar.writer import END, REGULAR, SYMLINK, Entry, header_blocks, padding
from cstore.errors import InvalidOption, SystemFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from cstore.archive.streams import Sink
else:
    Protocol = object

_MODE = 0o444


class Package(Protocol):
    """Something that takes members, each once."""

    def add(self, name: str, size: int, write: Callable[[Sink], object]) -> None:
        """Take a file of `size` bytes, which `write` writes into the sink that it is given."""

    def link(self, name: str, target: str) -> None:
        """Take a symbolic link."""


def add_bytes(package: Package, name: str, data: bytes) -> None:
    """Add a small member."""
    package.add(name, len(data), lambda sink: sink.write(data))


class TarPackage:
    """Writes a tar. `close` ends it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def add(self, name: str, size: int, write: Callable[[Sink], object]) -> None:
        """Write a file (see `Package`)."""
        self._sink.write(header_blocks(Entry(os.fsencode(name), REGULAR, _MODE, 0, 0, size)))
        write(self._sink)
        self._sink.write(padding(size))

    def link(self, name: str, target: str) -> None:
        """Write a link (see `Package`)."""
        self._sink.write(header_blocks(Entry(os.fsencode(name), SYMLINK, 0, 0, 0, linkname=os.fsencode(target))))

    def close(self) -> None:
        """Write the end."""
        self._sink.write(END)


class DirectoryPackage:
    """Writes files below a directory. `sync`: they are on disk before their directory gets its name."""

    def __init__(self, path: str, *, sync: bool) -> None:
        self._path = path
        self._sync = sync

    def add(self, name: str, size: int, write: Callable[[Sink], object]) -> None:  # noqa: ARG002  - a tar needs the size
        """Write a file (see `Package`)."""
        path = os.path.join(self._path, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SystemFailure("make", path, error) from error
        try:
            write(FileSink(fd, path))
            if self._sync:
                os.fsync(fd)
        except OSError as error:
            raise SystemFailure("write", path, error) from error
        finally:
            os.close(fd)

    def link(self, name: str, target: str) -> None:
        """Make a link (see `Package`)."""
        os.symlink(target, os.path.join(self._path, name))


def require_new(path: str) -> None:
    """Make sure that a directory can be made, or takes the place of an empty one.

    Raises:
        InvalidOption: there is something of that name.
    """
    path = os.path.abspath(path)
    if presence.is_there(path) and (not presence.is_directory(path) or os.listdir(path)):
        raise InvalidOption(f"{path} exists and is not an empty directory", hint="choose another name")


@contextmanager
def new_directory(path: str, *, sync: bool, replace: bool = False) -> Iterator[DirectoryPackage]:
    """Make a directory that has its name only when everything is in it.

    With `replace`, it takes the place of the one that is there, which goes. What a killed maker of the same left goes,
    too.

    Raises:
        InvalidOption: there is one of that name with something in it, which is not to be replaced.
        SystemFailure: it cannot be made.
    """
    from cstore.fs.atomic import sync_directory
    from cstore.fs.parts import clear_parts, make_part
    from cstore.fs.rename import exchange_trees
    from cstore.fs.tree.remove import remove_tree

    path = os.path.abspath(path)
    if not replace:
        require_new(path)
    clear_parts(path)
    try:
        beside, held = make_part(path, _new_directory)
    except OSError as error:
        raise SystemFailure("make the directory", path, error) from error
    try:
        yield DirectoryPackage(beside, sync=sync)
        if sync:
            for folder, _, _ in os.walk(beside):
                sync_directory(folder)
        try:
            (exchange_trees if replace else os.rename)(beside, path)
        except OSError as error:
            raise SystemFailure("replace" if replace else "make the directory", path, error) from error
        if sync:
            sync_directory(os.path.dirname(path))
        if replace:
            remove_tree(beside)  # the old one
    except BaseException:
        if presence.is_there(beside):
            remove_tree(beside)
        raise
    finally:
        os.close(held)


def _new_directory(path: str) -> int:
    os.mkdir(path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
