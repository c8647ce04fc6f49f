"""Check a composefs layer: its image, and that the name of each content file is its digest and a file uses it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from cstore.archive.composefs import content_name, contents_of, is_hiding, require_own_contents
from cstore.archive.directories import Directories, Kind
from cstore.archive.erofs import Image
from cstore.archive.names import show_name
from cstore.errors import ArchiveError, SystemFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.compare import Problem

_BLOCK = 1 << 20
_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO, errno.ENOENT, errno.ENOTDIR})
"""The errors with which opening a link, a socket or a missing path fails."""
_EMPTY = "e3/b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The content file of empty files, which exists although no image names it."""


def image_flaw(blob: str) -> str:
    """Read a whole image and return what is wrong with it; "" if nothing is.

    Raises:
        SystemFailure: the image cannot be read.
    """
    try:
        with Image(blob) as image:
            require_own_contents(image)
            for _, node in image.walk():
                image.attributes(node)
                if stat.S_ISLNK(node.mode):
                    image.link(node)
    except ArchiveError as error:
        return error.message
    return ""


def content_problems(blob: str) -> Iterator[Problem]:
    """Compare each content file with the digest in its name, and with the image.

    Raises:
        SystemFailure: a directory cannot be read.
    """
    users = contents_named(blob)
    with Directories(contents_of(blob)) as tree:
        for name in _listed(tree):
            path = users.pop(name, None)
            if path is None and name != _EMPTY:
                sentence = f"no file of the layer has the contents of diff/{name}"
                yield "file-unexpected", name, sentence, {"path": name, "type": "0"}, ""
                continue
            found = _digest(tree, name)
            if found != name.replace("/", ""):
                shown = show_name(path) if path is not None else "an empty file"
                part = os.fsdecode(path) if path is not None else name
                reason = f"'/{shown}' has other contents: diff/{name} does not match its name"
                yield "file-changed", part, reason, {"path": part, "found": found, "content": name}, ""
    for name, path in users.items():
        part = os.fsdecode(path)
        sentence = f"'/{show_name(path)}' has no contents: diff/{name} is missing"
        yield "file-missing", part, sentence, {"path": part, "type": "0", "content": name}, ""


def contents_named(blob: str) -> dict[str, bytes]:
    """Return the content files that an image names, each with the first file that has these contents.

    Raises:
        ArchiveError: the image is invalid.
    """
    found: dict[str, bytes] = {}
    with Image(blob) as image:
        for path, node in image.walk():
            if stat.S_ISREG(node.mode) and not is_hiding(path, node):
                content = content_name(image.attributes(node))
                if content:
                    found.setdefault(content, path)
    return found


def _listed(tree: Directories) -> Iterator[str]:
    """Yield all names in a directory of contents; content files have the form `xx/<62 digits>`."""
    try:
        for folder, kind in tree.names(b""):
            if kind is not Kind.DIRECTORY:
                yield os.fsdecode(folder)
                continue
            for name, _ in tree.names(folder):
                yield os.fsdecode(folder + b"/" + name)
    except OSError as error:
        raise SystemFailure("read", tree.root, error) from error


def _digest(tree: Directories, name: str) -> str:
    """Return the digest of a content file; "" if it is not a regular file."""
    folder, base = os.fsencode(name).split(b"/")
    digest = hashlib.sha256(usedforsecurity=False)
    try:
        fd = tree.open_file(folder, base)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return ""
            while block := os.read(fd, _BLOCK):
                digest.update(block)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _NO_FILE:
            return ""
        raise SystemFailure("read", tree.shown(os.fsencode(name)), error) from error
    return digest.hexdigest()
