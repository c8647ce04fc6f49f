"""The files of an item: path lookup as in its container, lists, walks, and contents."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from contextlib import contextmanager

from cstore import errors
from cstore.archive.composefs import ESCAPED, BlobTree, unescaped
from cstore.archive.directories import Kind
from cstore.archive.names import join_name, show_name
from cstore.archive.xattrs import CAPABILITY, capability_inside, has_contents, place_of
from cstore.arguments import checked
from cstore.contents.chain import Chain, View
from cstore.fs.closing import Closing
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from cstore.archive.union import Found
    from cstore.store import Item, Store

    T = TypeVar("T")

_MOST_LINKS = 40
_INTERNAL = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.override_stat")


class FileUnknown(errors.UnknownItem):
    """A path does not exist in an item, or a component on the way is not a directory."""

    noun = "file"

    def __init__(self, path: str, reason: str = "there is no such file or directory") -> None:
        super().__init__(path)
        self.reason = reason
        self.message, self.hint, self.go_text = f"{path}: {reason}", "", reason


class File(NamedTuple):
    """A file of an item, a directory or any other type.

    Attributes:
        path: from the item's root, without a leading slash; b"" for the root.
        format: the type bits of its mode (S_IFMT).
        mode: its permissions, including set-user-ID and the like.
        uid, gid: its owner inside a container.
        size: in bytes.
        mtime: in nanoseconds since 1970.
        links: number of its names in its layer.
        device: major and minor number, of a device.
        number: the number of its directory in the chain.
        found: its position in that directory.
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
    """The visible files of an item, or those visible from one of its directories downward.

    Attributes:
        item: the item; None for a chain alone.
        chain: its layers.
        problems: sentences about data that could not be read so far.
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
        """Resolve the links and dots in a path, which never lead out of the item, and return the plain path.

        Args:
            path: from the root, with or without a leading slash.
            follow: also follow a link in the last component.

        Raises:
            FileUnknown: it does not exist.
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
                target = self.chain.tree(found.number + self.view.offset).link(found.folder, found.name)
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
        """Return the file at a plain path, or None.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        found = self.view.union.locate(path)
        return None if found is None else self.file(path, found)

    def get(self, path: bytes, *, follow: bool = True) -> File:
        """Return the file that a path leads to; see `resolve`."""
        plain = self.resolve(path, follow=follow)
        return self.file(plain, self._look(plain, path))

    # ── lists ──

    def list(self, folder: bytes) -> Iterator[File]:
        """Yield the files in the directory at a plain path, by name. An unreadable directory becomes a problem."""
        return (self.file(path, found) for path, found in self._listed(self._entries, folder))

    def paths(self, top: bytes = b"", *, deep: bool = True) -> Iterator[bytes]:
        """Yield the paths in a directory, or below it if `deep`, in the order of `walk`, without reading more."""
        return (path for path, _ in self._below(top, self._kinds, lambda kind: deep and kind is Kind.DIRECTORY))

    def walk(self, top: bytes = b"", wanted: Callable[[Found], object] | None = None) -> Iterator[File]:
        """Yield the files below a directory, or only the `wanted` ones, depth-first, sorted in each directory."""
        for path, found in self._below(top, self._entries, lambda found: stat.S_ISDIR(found.status.st_mode)):
            if wanted is None or wanted(found):
                yield self.file(path, found)

    def _below(
        self, top: bytes, read: Callable[[bytes], Sequence[tuple[bytes, T]]], is_entered: Callable[[T], bool]
    ) -> Iterator[tuple[bytes, T]]:
        """Yield the results of `read` for a directory and then, depth-first, for the subdirectories to enter."""
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
        """Return the file for an entry found at a path."""
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
        """Return the number of the directory of the layer that last changed a file.

        If layers are whole trees, this is the deepest layer from which the file is unchanged up to the given one.
        """
        number = file.number
        if self.chain.whole:
            for deeper in range(number + 1, len(self.chain.roots)):
                try:
                    below = Contents(self.chain, self.item, deeper).find(file.path)
                except errors.CstoreError as error:
                    self.problems.append(error.message)
                    break
                if below is None or not alike(file, below) or self.target(file) != self.target(below):
                    break
                number = deeper
        return number

    def layer_of(self, file: File) -> str:
        """Return the ID of the layer that last changed a file; missing layers become a problem."""
        self.chain.note_lost()
        return self.chain.layer_of(self.origin(file))

    # ── contents of files ──

    def target(self, file: File) -> bytes:
        """Return the target of a symbolic link; b"" for other files.

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
        """Return the extended attributes of a file, as inside a container and without overlay's marks.

        Raises:
            SystemFailure: they cannot be read.
        """
        tree, path = self.chain.tree(file.number), join_name(file.found.folder, file.found.name)
        try:
            if isinstance(tree, BlobTree) or file.format == stat.S_IFDIR:
                found = tree.attributes(path)
            elif stat.S_ISREG(file.found.status.st_mode):
                found = tree.attributes_of_file(file.found.folder, file.found.name)
            else:  # types whose opening has side effects, and links
                place = place_of(tree, file.found.folder, file.found.name)
                names = os.listxattr(place, follow_symlinks=False)
                found = {os.fsencode(name): os.getxattr(place, name, follow_symlinks=False) for name in names}
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                return {}
            raise errors.SystemFailure("read", tree.shown(path), error) from error
        return {
            unescaped(name): self._attribute(file, name, value)
            for name, value in sorted(found.items())
            if not self._is_mark(name)
        }

    def _is_mark(self, name: bytes) -> bool:
        """Return whether an attribute is an overlay mark, which overlay hides, and not the file's own."""
        if self.chain.whole or name.startswith(ESCAPED) or not name.startswith(_INTERNAL):
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
        """Open a regular file for reading; its contents may be in a lower layer than its status.

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
    """Open the files of an item: an image's top layer or a container's own, and all layers below.

    Raises:
        ImageWithoutLayers, LayerMissing: it has no layer.
        CstoreError: its layer cannot be read.
    """
    return Contents(Chain(store, store.layer_of(item)), item)


def alike(one: File, other: File) -> bool:
    """Return whether the statuses of two files are equal; the size of a directory does not count."""
    sizes = one.format == stat.S_IFDIR or one.size == other.size
    return sizes and (*one[1:5], one.mtime, one.device) == (*other[1:5], other.mtime, other.device)


def _shown(path: bytes) -> str:
    return "/" + show_name(path.lstrip(b"/"))
