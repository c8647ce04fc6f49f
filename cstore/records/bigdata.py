"""Data items of layers, images and containers: one file each, under a name made from the item's key (store-format 6).

`noun` is "layer", "image" or "container" and `directory` ends in the owner's ID; both also name the item in errors.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.fs import within
from cstore.fs.atomic import write_file
from cstore.fs.lockfile import make_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = frozenset(".0123456789abcdefghijklmnopqrstuvwxyz")
_LONGEST_NAME = 255
CALLERS_DIRECTORY = "userdata"
"""Beside the data items of images and containers: what a container engine keeps there."""
LARGEST = 1 << 27
"""Bytes of an item that is read whole: no tool stores larger ones."""


def file_name(key: str, noun: str = "layer") -> str:
    """Name the file that holds the item `key` (store-format 6.1).

    A key is its own name if everything in it, its last character excepted, is one of `.`, `0`-`9`, `a`-`z`; that the
    last one may be anything is a slip of the Go tool which old data rests on. Other keys are kept as `=` and their
    Base64. A slash at the end is lost.

    Raises:
        InvalidDataName: no such item can exist: the key is empty, not Unicode, or leads to no file in the directory.
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

    The owner's list of names is not asked: a file that is there is readable, as with the Go tool. `path` is where the
    item is if it does not have its name yet.

    Raises:
        InvalidDataName: the key is not valid.
        DataItemUnknown: there is none.
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
    """Read an item whole; otherwise as `open_item`.

    Raises:
        InvalidDataName: the key is not valid.
        DataItemUnknown: there is none.
        SystemFailure: it cannot be read.
        ForeignThing: it is not a file, or too large for memory.
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
    """Put an item in place, whole or not at all; the owner's directory is made if needed. The record is the caller's.

    Raises:
        InvalidDataName: the key makes no usable file name, or a directory has it.
        SystemFailure: it could not be written; an old item is untouched.
    """
    path = os.path.join(directory, file_name(key, noun))
    if os.path.isdir(path) and not os.path.islink(path):
        raise errors.InvalidDataName(noun, key, "a directory has that name")
    make_directory(directory, sync=sync)
    within.require_directory(*os.path.split(directory))
    return write_file(path, data, sync=sync)
