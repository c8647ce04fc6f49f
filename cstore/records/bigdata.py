"""Data items of layers, images and containers: one file each, with a name derived from the item's key (store-format 6).

`noun` is "layer", "image" or "container", and `directory` ends in the owner's ID; errors name the item by both.
"""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.fs import within
from cstore.fs.atomic import write_file
from cstore.fs.lockfile import make_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = frozenset(".0123456789abcdefghijklmnopqrstuvwxyz")
_LONGEST_NAME = 255
CALLERS_DIRECTORY = "userdata"
"""The container engine's directory beside the data items of images and containers."""
LARGEST = 1 << 27
"""Bytes in the largest item that is read as a whole: no tool stores larger ones."""


def file_name(key: str, noun: str = "layer") -> str:
    """Return the name of the file with the item `key` (store-format 6.1).

    A key is its own file name if all its characters except the last one are `.`, `0`-`9` or `a`-`z`. That the last one
    is not checked is a bug of the Go tool on which existing data depends. Other keys become `=` and their Base64. A
    slash at the end is dropped.

    Raises:
        InvalidDataName: the key is empty, not Unicode, or not the name of a file in the directory.
    """
    if not key:
        raise errors.InvalidDataName(noun, key)
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise errors.InvalidDataName(noun, key, "it is not valid UTF-8") from None
    name = key
    if not all(char in _PLAIN for char in key[:-1]):
        from binascii import b2a_base64

        name = "=" + b2a_base64(encoded, newline=False).decode()
    name = name.rstrip("/")
    reason = _flaw_of(name, noun)
    if reason:
        raise errors.InvalidDataName(noun, key, reason)
    return name


def _flaw_of(name: str, noun: str) -> str:
    if name in {"", ".", ".."}:
        return "it leads to a directory"
    if "/" in name:
        return "its file name would contain a slash"
    if "\0" in name:
        return "its file name would contain a NUL"
    if len(name.encode()) > _LONGEST_NAME:
        return "its file name would be too long"
    if name == CALLERS_DIRECTORY and noun != "layer":
        return "the directory of that name belongs to the container engine"
    return ""


def open_item(directory: str, key: str, *, noun: str = "layer", path: str = "") -> int:
    """Open an item for reading and return its descriptor, which the caller closes.

    The owner's list of names does not matter: an existing file is readable, as in the Go tool. `path` is the item's
    path if it does not have its final name yet.

    Raises:
        InvalidDataName: such an item cannot exist.
        DataItemUnknown: there is no such item.
        SystemFailure: it cannot be opened, or is not a regular file.
    """
    path = path or os.path.join(directory, file_name(key, noun))
    try:
        top, item = os.path.split(directory)
        return within.open_file(top, f"{item}/{os.path.basename(path)}")
    except FileNotFoundError:
        raise errors.DataItemUnknown(noun, os.path.basename(directory), key) from None
    except OSError as error:
        raise errors.SystemFailure("read the data item", path, error) from None


def read_item(directory: str, key: str, *, noun: str = "layer", path: str = "") -> bytes:
    """Read an item as a whole; otherwise like `open_item`.

    Raises:
        InvalidDataName: such an item cannot exist.
        DataItemUnknown: there is no such item.
        SystemFailure: it cannot be read, or is not a regular file.
        ForeignThing: it is too large to be held in memory.
    """
    path = path or os.path.join(directory, file_name(key, noun))
    fd = open_item(directory, key, noun=noun, path=path)
    try:
        size = os.fstat(fd).st_size
        if size > LARGEST:
            raise errors.ForeignThing(path, f"a file of {size} bytes", f"one of at most {LARGEST} bytes")
        with open(fd, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise errors.SystemFailure("read the data item", path, error) from None
    finally:
        os.close(fd)


def write_item(
    directory: str, key: str, data: bytes | Iterable[bytes], *, noun: str = "layer", sync: bool = True
) -> os.stat_result:
    """Write an item atomically, and create the owner's directory if needed. The caller updates the record.

    Raises:
        InvalidDataName: the key has no valid file name, or a directory has that name.
        SystemFailure: the item could not be written; an old item is unchanged.
    """
    path = os.path.join(directory, file_name(key, noun))
    if presence.is_directory(path, follow=False):
        raise errors.InvalidDataName(noun, key, "a directory has that name")
    make_directory(directory, sync=sync)
    within.require_directory(*os.path.split(directory))
    return write_file(path, data, sync=sync)
