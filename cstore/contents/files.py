"""An item's files: found by path as a process in its container would, listed, walked, and read."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from contextlib import contextmanager

from cstore import errors
from cstore.archive.composefs import BlobTree
from cstore.archive.directories import Kind
from cstore.archive.names import join_name, show_name
from cstore.archive.xattrs import CAPABILITY, capability_inside, has_contents, place_of
from cstore.arguments import checked
from cstore.contents.chain import Chain, View
from cstore.fs.closing import Closing
from cstore.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from cstore.archive.composefs import Tree
    from cstore.archive.union import Found
    from cstore.store import Item, Store

    T = TypeVar("T")

_MOST_LINKS = 40
_INTERNAL = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.override_stat")
_ESCAPED = (b"trusted.overlay.overlay.", b"user.overlay.overlay.")


class FileUnknown(errors.UnknownItem):
    """An item has no file at a path, or a parent of the path is not a directory."""

    noun = "file"

    def __init__(self, path: str, reason: str = "there is no such file or directory") -> None:
        super().__init__(path)
        self.reason = reason
        self.message, self.hint, self.go_text = f"{path}: {reason}", "", reason


class File(NamedTuple):
    """A file of an item, a directory or anything else with a name.

    Attributes:
        path: from the item's root, without a slash in front; b"" for the root.
        format: the type bits of its mode (S_IFMT).
        mode: its permissions, with set-user-ID and the like.
        uid, gid: its owner, as inside a container.
        size: in bytes.
        mtime: in nanoseconds since 1970.
        links: how many names it has in its layer.
        device: major and minor number, of a device.
        number: of the directory of the chain that has it.
        found: where in that.
    """

    path: bytes
    format: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    links: int
    device: tuple[int, int]
    number: int
    found: Found


class Contents(Closing):
    """The files that an item shows, or that it shows from one of its directories down.

    Attributes:
        item: what was named; None for a mere chain.
        chain: its layers.
        problems: what could not be read so far, as sentences.
    """

    def __init__(self, chain: Chain, item: Item | None = None, offset: int = 0) -> None:
        self.item, self.chain = item, chain
        self.problems = chain.problems
        self.view: View = chain.view(offset)

    def close(self) -> None:
        """Close the layers."""
        self.chain.close()

    # ── paths ──

    def resolve(self, path: bytes, *, follow: bool = True) -> bytes:
        """The plain path of what a path leads to, past links and dots, which never lead out of the item.

        Args:
            path: from the root, with or without a slash in front.
            follow: also past a link that is the last part.

        Raises:
            FileUnknown: nothing is there.
            SystemFailure: a directory cannot be read.
        """
        here: list[bytes] = []
        pending = deque(path.split(b"/"))
        follow |= path.endswith((b"/", b"/."))
        links = 0
        while pending:
            part = pending.popleft()
            if part in {b"", b"."}:
                continue
            if part == b"..":
                here = here[:-1]
                continue
            found = self._look(b"/".join([*here, part]), path)
            last = not any(pending)
            if stat.S_ISLNK(found.status.st_mode) and (follow or not last):
                links += 1
                if links > _MOST_LINKS:
                    raise FileUnknown(_shown(path), "too many symbolic links")
                target = self._tree(found).link(found.folder, found.name)
                here = [] if target.startswith(b"/") else here
                pending.extendleft(reversed(target.split(b"/")))
            elif not last and not stat.S_ISDIR(found.status.st_mode):
                raise FileUnknown(_shown(path), f"{_shown(b'/'.join([*here, part]))} is not a directory")
            else:
                here.append(part)
        plain = b"/".join(here)
        if path.endswith(b"/") and plain and not stat.S_ISDIR(self._look(plain, path).status.st_mode):
            raise FileUnknown(_shown(path), f"{_shown(plain)} is not a directory")
        return plain

    def _look(self, plain: bytes, path: bytes) -> Found:
        found = None if b"\0" in plain else self.view.union.locate(plain)
        if found is None:
            raise FileUnknown(_shown(path))
        return found

    def find(self, path: bytes) -> File | None:
        """The file at a plain path, or None.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        found = self.view.union.locate(path)
        return None if found is None else self.file(path, found)

    def get(self, path: bytes, *, follow: bool = True) -> File:
        """The file that a path leads to; see `resolve`."""
        plain = self.resolve(path, follow=follow)
        return self.file(plain, self._look(plain, path))

    # ── lists ──

    def list(self, folder: bytes) -> Iterator[File]:
        """All files in the directory at a plain path, sorted by name. A directory that cannot be read is a problem."""
        return (self.file(path, found) for path, found in self._listed(self._entries, folder))

    def paths(self, top: bytes = b"", *, deep: bool = True) -> Iterator[bytes]:
        """The paths of what is in a directory, or below it if `deep`, as `walk` goes; no more is read of it."""
        return (path for path, _ in self._below(top, self._kinds, lambda kind: deep and kind is Kind.DIRECTORY))

    def walk(self, top: bytes = b"", wanted: Callable[[Found], object] | None = None) -> Iterator[File]:
        """The files below a directory, or those of them that are wanted, depth-first, sorted in each directory."""
        for path, found in self._below(top, self._entries, lambda found: stat.S_ISDIR(found.status.st_mode)):
            if wanted is None or wanted(found):
                yield self.file(path, found)

    def _below(
        self, top: bytes, read: Callable[[bytes], Sequence[tuple[bytes, T]]], is_entered: Callable[[T], bool]
    ) -> Iterator[tuple[bytes, T]]:
        """Yield the result of `read` for a directory and then, depth-first, for its subdirectories."""
        stack = [self._listed(read, top)]
        while stack:
            each = next(stack[-1], None)
            if each is None:
                stack.pop()
                continue
            yield each
            if is_entered(each[1]):
                stack.append(self._listed(read, each[0]))

    def _listed(self, read: Callable[[bytes], Sequence[tuple[bytes, T]]], folder: bytes) -> Iterator[tuple[bytes, T]]:
        try:
            return iter(read(folder))
        except errors.CstoreError as error:
            self.problems.append(error.message)
            return iter(())

    def _entries(self, folder: bytes) -> Sequence[tuple[bytes, Found]]:
        return [(join_name(folder, found.name), found) for found in self.view.union.entries(folder)]

    def _kinds(self, folder: bytes) -> Sequence[tuple[bytes, Kind]]:
        return [(join_name(folder, name), kind) for name, kind in self.view.union.kinds(folder)]

    def file(self, path: bytes, found: Found) -> File:
        """The attributes of a file found at a path."""
        status, number = found.status, found.number + self.view.offset
        mode, owner, device = status.st_mode, (status.st_uid, status.st_gid), status.st_rdev
        meant = self.chain.override(number, join_name(found.folder, found.name))
        if meant is not None:
            mode, owner = (meant.kind or stat.S_IFMT(mode)) | meant.mode, (meant.uid, meant.gid)
            device = os.makedev(*meant.device)
        uid, gid = self.chain.inside(number, owner)
        return File(
            path,
            stat.S_IFMT(mode),
            stat.S_IMODE(mode),
            uid,
            gid,
            status.st_size,
            status.st_mtime_ns,
            status.st_nlink,
            (os.major(device), os.minor(device)) if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else (0, 0),
            number,
            found,
        )

    def origin(self, file: File) -> int:
        """The number of the directory of the layer that made a file as it is.

        Where each layer is a whole tree, that is the deepest one from which on upward nothing has changed.
        """
        number = file.number
        if self.chain.whole:
            for deeper in range(number + 1, len(self.chain.roots)):
                below = self._in_layer(deeper, file.path)
                if below is None or not alike(file, below) or self.target(file) != self.target(below):
                    break
                number = deeper
        return number

    def layer_of(self, file: File) -> str:
        """The ID of that layer; if one below is lost, that is a problem."""
        self.chain.note_lost()
        return self.chain.layer_of(self.origin(file))

    def _in_layer(self, number: int, path: bytes) -> File | None:
        try:
            return Contents(self.chain, self.item, number).find(path)
        except errors.CstoreError as error:
            self.problems.append(error.message)
            return None

    # ── what a file holds ──

    def _tree(self, found: Found) -> Tree:
        return self.chain.tree(found.number + self.view.offset)

    def target(self, file: File) -> bytes:
        """The text of a symbolic link; b"" of anything else.

        Raises:
            SystemFailure: it cannot be read.
        """
        if file.format != stat.S_IFLNK:
            return b""
        tree = self.chain.tree(file.number)
        try:
            return tree.link(file.found.folder, file.found.name)
        except OSError as error:
            raise errors.SystemFailure("read", tree.shown(file.path), error) from error

    def attributes(self, file: File) -> dict[bytes, bytes]:
        """The extended attributes of a file, as inside a container and without the marks of overlay.

        Raises:
            SystemFailure: they cannot be read.
        """
        tree, path = self.chain.tree(file.number), join_name(file.found.folder, file.found.name)
        try:
            if isinstance(tree, BlobTree) or file.format == stat.S_IFDIR:
                found = tree.attributes(path)
            elif stat.S_ISREG(file.found.status.st_mode):
                found = tree.attributes_of_file(file.found.folder, file.found.name)
            else:  # nothing that opening would wake up, or follow
                place = place_of(tree, file.found.folder, file.found.name)
                names = os.listxattr(place, follow_symlinks=False)
                found = {os.fsencode(name): os.getxattr(place, name, follow_symlinks=False) for name in names}
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                return {}
            raise errors.SystemFailure("read", tree.shown(path), error) from error
        return {
            _unescaped(name): self._attribute(file, name, value)
            for name, value in sorted(found.items())
            if not self._is_mark(name)
        }

    def _is_mark(self, name: bytes) -> bool:
        """Whether an attribute belongs to overlay, which does not show it, and not to the file."""
        if self.chain.whole or name.startswith(_ESCAPED) or not name.startswith(_INTERNAL):
            return False
        return not name.startswith(b"user.overlay.") or self.chain.honors_users

    def _attribute(self, file: File, name: bytes, value: bytes) -> bytes:
        if name != CAPABILITY:
            return value
        try:
            return capability_inside(value, self.chain.map_of(file.number))
        except errors.InvalidIDMap:
            return value

    @contextmanager
    def opened(self, file: File) -> Iterator[int]:
        """Open a regular file to read it; a layer may hold its status only, and one below its contents.

        Raises:
            FileUnknown: it is not a regular file, or its contents are lost.
            SystemFailure: it cannot be opened.
        """
        if file.format != stat.S_IFREG:
            kind = "a directory" if file.format == stat.S_IFDIR else "not a regular file"
            raise FileUnknown(_shown(file.path), f"it is {kind}")
        descriptor = self._open(file)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, file: File) -> int:
        for tree, found in self.view.union.copies(file.path):
            try:
                descriptor = tree.open_file(found.folder, found.name)
            except OSError as error:
                raise errors.SystemFailure("read", tree.shown(join_name(found.folder, found.name)), error) from error
            if self.chain.whole or isinstance(tree, BlobTree) or has_contents(descriptor):
                return descriptor
            os.close(descriptor)
        raise FileUnknown(_shown(file.path), "its contents are in a layer that cannot be read")


@checked
def open_item(store: Store, item: Item) -> Contents:
    """Open what an item shows: an image's top layer, a container's own, and all below.

    Raises:
        ImageWithoutLayers, LayerMissing: there is nothing to see.
        CstoreError: its layer cannot be read.
    """
    return Contents(Chain(store, store.layer_of(item)), item)


def alike(one: File, other: File) -> bool:
    """Whether two files are the same for all that their status tells; the size of a directory tells nothing."""
    sizes = one.format == stat.S_IFDIR or one.size == other.size
    return sizes and (*one[1:5], one.mtime, one.device) == (*other[1:5], other.mtime, other.device)


def _shown(path: bytes) -> str:
    return "/" + show_name(path.lstrip(b"/"))


def _unescaped(name: bytes) -> bytes:
    return name.replace(b".overlay.overlay.", b".overlay.", 1) if name.startswith(_ESCAPED) else name
