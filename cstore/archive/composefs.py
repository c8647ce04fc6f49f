"""Read the tree of a composefs layer without mounting it: an EROFS image, and a directory of file contents.

    <layer>/composefs-data/composefs.blob    the image; a regular file in it refers to its contents by digest
    <layer>/diff/<2 digits>/<62 digits>      the contents

`BlobTree` has the interface of `Directories`, so code that reads a layer file by file works with both.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore.archive.directories import Directories, Kind
from cstore.archive.names import join_name, show_name, split_name
from cstore.archive.whiteout import is_whiteout_device
from cstore.contexts import ExitStack, contextmanager
from cstore.fs.closing import Closing
from cstore.layout import is_blob
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.directories import Listing, Wanted
    from cstore.archive.erofs import Image, Node

REDIRECT, METACOPY = b"trusted.overlay.redirect", b"trusted.overlay.metacopy"
OPAQUE = b"trusted.overlay.opaque"
ESCAPED = (b"trusted.overlay.overlay.", b"user.overlay.overlay.")
"""Prefixes of attributes that have the names of overlay's own, but belong to the content: one more `overlay.`."""
_HEX = frozenset(b"0123456789abcdef")
_ELSEWHERE = rb"overlay\.redirect(?!/[0-9a-f]{2}/[0-9a-f]{62})"
_LARGEST_INLINE = 1 << 20
_DESCRIPTORS = 512
"""The number of descriptors that all directories below a layer share."""


def contents_of(blob: str) -> str:
    """Return the directory that holds the file contents of an image."""
    return os.path.join(os.path.dirname(os.path.dirname(blob)), "diff")


def open_tree(path: str, access: int = os.O_RDONLY, at_once: int = 128) -> Tree:
    """Open a layer's own tree, a directory or an image, to read it by name.

    Raises:
        SystemFailure: it cannot be opened.
    """
    return BlobTree(path) if is_blob(path) else Directories(path, access, at_once)


def enter_tree(stack: ExitStack, path: str, access: int = os.O_RDONLY, at_once: int = 128) -> Tree:
    """Open a tree like `open_tree`, and let `stack` close it."""
    tree = open_tree(path, access, at_once)
    stack.callback(tree.close)
    return tree


@contextmanager
def opened(paths: Sequence[str], access: int) -> Iterator[list[Tree]]:
    """Open the directories below a layer, nearest first, and close them when the context ends.

    Raises:
        SystemFailure: a directory cannot be opened.
    """
    each = max(2, _DESCRIPTORS // max(len(paths), 1))
    if paths:
        import resource

        # A long chain needs more than the usual limit of open files, as far as the hard limit allows.
        wanted = len(paths) * (each + 1) + _DESCRIPTORS
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    with ExitStack() as stack:
        yield [enter_tree(stack, path, access, each) for path in paths]


def content_name(attributes: dict[bytes, bytes]) -> str:
    """Return the path of a file's contents below the contents directory, `xx/<62 digits>`; "" if it has none there."""
    folder, slash, rest = attributes.get(REDIRECT, b"").removeprefix(b"/").partition(b"/")
    fits = slash and len(folder) == 2 and len(rest) == 62 and _HEX.issuperset(folder + rest)
    return os.fsdecode(b"%b/%b" % (folder, rest)) if fits else ""


def require_own_contents(image: Image) -> None:
    """Check that all file contents of an image are in its contents directory.

    Raises:
        ArchiveError: a file has its contents elsewhere.
    """
    import re

    if not image.holds(re.compile(_ELSEWHERE)):
        return  # true of every image that known programs write, so those need no walk
    for path, node in image.walk():
        attributes = image.attributes(node) if stat.S_ISREG(node.mode) else {}
        if REDIRECT in attributes and not content_name(attributes):
            where, shown = os.fsdecode(attributes[REDIRECT]), show_name(path)
            raise image.flaw(f"the contents of '/{shown}' are outside its layer: {where!r}")


def is_hiding(path: bytes, node: Node) -> bool:
    """Return whether an entry of the root only hides a contents directory and is not part of the layer."""
    return len(path) == 2 and stat.S_ISCHR(node.mode) and not node.device


def unescaped(name: bytes) -> bytes:
    """Return the name of a file's attribute as overlay shows it: without the `overlay.` that escapes it."""
    return name.replace(b".overlay.overlay.", b".overlay.", 1) if name.startswith(ESCAPED) else name


class BlobTree(Closing):
    """The tree of a composefs image; see `Directories`."""

    def __init__(self, path: str) -> None:
        self.root = path
        self._names: dict[int, dict[bytes, int]] = {}

    @cached_property
    def image(self) -> Image:
        """The image, opened on first use, because the layers above may already provide every requested file.

        Raises:
            SystemFailure: it cannot be read.
            ArchiveError: it is invalid.
        """
        from cstore.archive.erofs import Image

        return Image(self.root)

    def _find(self, path: bytes) -> Node:
        node = self.image.root
        above: set[int] = set()
        for name in path.split(b"/") if path else ():
            if not stat.S_ISDIR(node.mode):
                raise _failure(errno.ELOOP if stat.S_ISLNK(node.mode) else errno.ENOTDIR)
            number = self._listed(node).get(name)
            if number is None:
                raise _failure(errno.ENOENT)
            above.add(node.nid)
            if number in above:
                raise self.image.flaw("a directory contains itself")
            node = self.image.node(number)
        if is_hiding(path, node):
            raise _failure(errno.ENOENT)
        return node

    def _listed(self, node: Node) -> dict[bytes, int]:
        known = self._names.get(node.nid)
        if known is None:
            known = self._names[node.nid] = self.image.names(node)
        return known

    def names(self, folder: bytes) -> Listing:
        """See `Directories.names`."""
        found = []
        for name, number in sorted(self._listed(self._find(folder)).items()):
            node = self.image.node(number)
            if folder or not is_hiding(name, node):
                kind = Kind.DIRECTORY if stat.S_ISDIR(node.mode) else Kind.OTHER
                found.append((name, Kind.REGULAR if stat.S_ISREG(node.mode) else kind))
        return found

    def status(self, folder: bytes, name: bytes) -> os.stat_result:
        """See `Directories.status`."""
        return self._find(join_name(folder, name)).status()

    def statuses(self, folder: bytes) -> list[tuple[bytes, os.stat_result]]:
        """See `Directories.statuses`."""
        listed = ((name, self.image.node(number)) for name, number in sorted(self._listed(self._find(folder)).items()))
        return [(name, node.status()) for name, node in listed if folder or not is_hiding(name, node)]

    def select(self, folder: bytes, wanted: Wanted) -> tuple[list[bytes], list[bytes]]:
        """See `Directories.select`."""
        only, is_named, fits = wanted
        listed = self.statuses(folder)
        found = [
            name
            for name, status in listed
            if (not only or stat.S_IFMT(status.st_mode) == only)
            and (is_named is None or is_named(os.fsdecode(name)))
            and (fits is None or fits(status))
            and not is_whiteout_device(status)
        ]
        return found, [name for name, status in listed if stat.S_ISDIR(status.st_mode)]

    def link(self, folder: bytes, name: bytes) -> bytes:
        """See `Directories.link`."""
        return self.image.link(self._find(join_name(folder, name)))

    def root_status(self) -> os.stat_result:
        """See `Directories.root_status`."""
        return self.image.root.status()

    def attributes(self, path: bytes) -> dict[bytes, bytes]:
        """Return the extended attributes at a path, without those that refer to contents."""
        found = self.image.attributes(self._find(path))
        return {
            unescaped(name): value  # in the image, overlay's own attributes have their prefix twice
            for name, value in found.items()
            if name not in {REDIRECT, METACOPY}
        }

    def content(self, path: bytes) -> str:
        """Return the path of a file's contents below the contents directory; "" if the image holds them."""
        return content_name(self.image.attributes(self._find(path)))

    def attribute_names(self, path: bytes) -> list[str]:
        """See `Directories.attribute_names`."""
        return [os.fsdecode(name) for name in self.image.attributes(self._find(path))]

    def attribute(self, path: bytes, name: str) -> bytes:
        """See `Directories.attribute`. The mark that hides the contents directories is not part of the root."""
        value = self.image.attributes(self._find(path)).get(os.fsencode(name))
        if value is None or (not path and os.fsencode(name) == OPAQUE):
            raise _failure(errno.ENODATA)
        return value

    def open_file(self, folder: bytes, name: bytes) -> int:
        """See `Directories.open_file`."""
        node = self._find(join_name(folder, name))
        if not stat.S_ISREG(node.mode):
            raise _failure(errno.ELOOP if stat.S_ISLNK(node.mode) else errno.ENXIO)
        content = content_name(self.image.attributes(node))
        if content:
            return self._contents.open_file(*split_name(os.fsencode(content)))
        fd = os.memfd_create("content", os.MFD_CLOEXEC)
        os.write(fd, self.image.data(node, _LARGEST_INLINE))
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    @cached_property
    def _contents(self) -> Directories:
        return Directories(contents_of(self.root), os.O_PATH)

    def hold(self) -> int:
        """See `Directories.hold`."""
        _ = self.image  # opens the image, which needs no descriptor afterwards
        return self._contents.hold()

    def shown(self, path: bytes) -> str:
        """Return the name of a path in the image, for messages."""
        return f"{self.root}:/{os.fsdecode(path)}"

    def close(self) -> None:
        """Close the image and the contents directory."""
        if "image" in vars(self):
            self.image.close()
        if "_contents" in vars(self):
            self._contents.close()


Tree = Directories | BlobTree
"""A layer's own tree, read by name."""


def _failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))
