"""IDs and names of layers, images and containers: check them, and generate new IDs."""

from __future__ import annotations

import os

from cstore import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST_ID = 200
"""Bytes in the longest ID: `<id>.tar-split.gz` and its temporary name must fit the 255 bytes of a file name."""

_HEX, _GENERATED_LENGTH = frozenset("0123456789abcdef"), 64
_LONGEST_PART = 255
"""Bytes in the longest file name, on every file system that a store may be on."""

_OF_THE_RECORDS = frozenset(
    {"tmp", "container.json", "item.json"}
    | {f"{kind}.{end}" for kind in ("layers", "images", "containers") for end in ("lock", "json")}
    | {f"volatile-{kind}.json" for kind in ("layers", "containers")}
)
"""Other files beside the directories of data items."""
_OF_THE_DRIVERS = frozenset({"l", "staging", "tempdirs", "backingFsBlockDev", ".has-mount-program"})
"""Other files beside the directories of layers (store-format 11.2)."""
_ENDS_OF_THE_RECORDS = (".tar-split.gz", ".replacing.gz", ".replacing.json")


def flaw_of_part(text: str) -> str:
    """Return the reason why `text` cannot be one part of a path, or "" if it can."""
    if not text:
        return "it is empty"
    if text in {".", ".."}:
        return "it names a directory"
    if "/" in text:
        return "it contains '/'"
    if "\0" in text:
        return "it contains a NUL character"
    return "it is longer than the name of a file" if len(text.encode(errors="replace")) > _LONGEST_PART else ""


def check_part(text: str) -> str:
    """Return an ID from the records if it can be one part of a path. The Go tool accepts, and records, any ID.

    Raises:
        UnsafeID: it cannot be part of a path.
    """
    flaw = flaw_of_part(text)
    if flaw:
        raise errors.UnsafeID(text, flaw)
    return text


def check_neighbour(text: str) -> str:
    """Return an ID from the records if it can name a file beside the record files.

    Raises:
        UnsafeID: it cannot be part of a path, or is the name of another file there.
    """
    flaw = flaw_of_part(text) or _clash(text, _OF_THE_RECORDS)
    if flaw:
        raise errors.UnsafeID(text, flaw)
    return text


def _clash(text: str, names: frozenset[str]) -> str:
    if text in names or text.startswith(".tmp-") or text.endswith(_ENDS_OF_THE_RECORDS):
        return "a file of the store has that name, or could get it"
    return ""


def belongs_to_records(name: str) -> bool:
    """Return whether a name beside the record files is that of a file of the store, of this or a later version."""
    return name.startswith(".") or bool(_clash(name, _OF_THE_RECORDS))


def belongs_to_the_driver(name: str) -> bool:
    """Return whether a name beside the directories of layers is that of another file of a driver."""
    return name.startswith(".") or name in _OF_THE_DRIVERS


def flaw_of_id(text: str) -> str:
    """Return the reason why `text` cannot be an ID, or "" if it can.

    The Go tool accepts any text. Because an ID becomes a directory name, texts that lead elsewhere are refused here.
    """
    flaw = flaw_of_part(text) or _clash(text, _OF_THE_RECORDS | _OF_THE_DRIVERS)
    if flaw:
        return flaw
    if any(ord(char) < 0x20 or char == "\x7f" for char in text):
        return "it contains a control character"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    return f"it is longer than {LONGEST_ID} bytes" if size > LONGEST_ID else ""


def check_id(text: str) -> str:
    """Return `text` if it can be an ID.

    Raises:
        InvalidID: it is empty, leads out of its directory, or does not fit into a file name.
    """
    flaw = flaw_of_id(text)
    if flaw:
        raise errors.InvalidID(text, flaw)
    return text


def new_id(taken: Callable[[str], bool]) -> str:
    """Return a random ID: 64 hex digits, for which `taken` is false.

    The first twelve digits are never a decimal number, as in the Go tool, so that a short ID does not look like one.
    """
    while True:
        candidate = os.urandom(32).hex()
        if not candidate[:12].isdecimal() and not taken(candidate):
            return candidate


def is_hex(text: str) -> bool:
    """Return whether a text consists of one or more lower-case hex digits."""
    return bool(text) and _HEX.issuperset(text)


def is_generated(text: str) -> bool:
    """Return whether a text has the form of generated IDs: 64 hex digits."""
    return len(text) == _GENERATED_LENGTH and is_hex(text)


def several(names: Iterable[str]) -> Iterable[str]:
    """Return names unchanged if they are not a single text.

    Raises:
        TypeError: they are a single text, whose characters would be taken for names.
    """
    if isinstance(names, (str, bytes)):
        raise TypeError(f"names takes several values, ({names!r},), not a string")
    return names


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names without repeated ones, keeping the first of each.

    Raises:
        InvalidName: a name is not valid Unicode or contains a NUL, which record files cannot hold.
        TypeError: `names` is a single text, whose characters would be taken for names.
    """
    kept = tuple(dict.fromkeys(several(names)))
    together = "".join(kept)
    if together.isascii() and "\0" not in together:  # so is each of them, of which there may be thousands
        return kept
    for name in kept:
        if "\0" in name:
            raise errors.InvalidName(name, "it contains a NUL character")
        if not name.isascii() and name.encode(errors="replace").decode() != name:
            raise errors.InvalidName(name, "it is not valid UTF-8")
    return kept
