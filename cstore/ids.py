"""IDs and names of layers, images and containers: what is allowed, and how new IDs are made."""

from __future__ import annotations

import os

from cstore import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST_ID = 200
"""Bytes. `<id>.tar-split.gz` and its temporary name must fit the 255 bytes of a file name."""

_HEX, _GENERATED_LENGTH = frozenset("0123456789abcdef"), 64
_LONGEST_PART = 255
"""Bytes of a file's name, on every file system that a store may be on."""

_OF_THE_RECORDS = frozenset(
    {"tmp", "container.json", "item.json"}
    | {f"{kind}.{end}" for kind in ("layers", "images", "containers") for end in ("lock", "json")}
    | {f"volatile-{kind}.json" for kind in ("layers", "containers")}
)
"""Names next to the directories of data items."""
_OF_THE_DRIVERS = frozenset({"l", "staging", "tempdirs", "backingFsBlockDev", ".has-mount-program"})
"""Names next to the directories of layers (store-format 11.2)."""
_ENDS_OF_THE_RECORDS = (".tar-split.gz", ".replacing.gz", ".replacing.json")


def flaw_of_part(text: str) -> str:
    """Return why `text` cannot be one part of a path, or "" if it can."""
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
    """Return an ID from the records if it can be one part of a path. The Go tool accepts, and records, anything.

    Raises:
        UnsafeID: it cannot.
    """
    flaw = flaw_of_part(text)
    if flaw:
        raise errors.UnsafeID(text, flaw)
    return text


def check_neighbour(text: str) -> str:
    """Return an ID from the records if it can name a file beside the record files.

    Raises:
        UnsafeID: it cannot be a part of a path, or is the name of another file there.
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
    """Whether a name beside the record files is that of a file of the store, of this version or of a later one."""
    return name.startswith(".") or bool(_clash(name, _OF_THE_RECORDS))


def belongs_to_the_driver(name: str) -> bool:
    """Whether a name beside the directories of layers is that of something else that drivers keep there."""
    return name.startswith(".") or name in _OF_THE_DRIVERS


def flaw_of_id(text: str) -> str:
    """Return why `text` cannot be an ID, or "" if it can.

    The Go tool accepts anything; an ID becomes a directory name, so whatever could leave the directory is refused.
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
        InvalidID: it is empty, could leave its directory, or fits no file name.
    """
    flaw = flaw_of_id(text)
    if flaw:
        raise errors.InvalidID(text, flaw)
    return text


def new_id(taken: Callable[[str], bool]) -> str:
    """Make a random ID: 64 hex digits that `taken` does not know.

    The first twelve digits never read as a decimal number, as with the Go tool: a short form must not look like one.
    """
    while True:
        candidate = os.urandom(32).hex()
        if not candidate[:12].isdecimal() and not taken(candidate):
            return candidate


def is_hex(text: str) -> bool:
    """Whether a text is nothing but lower-case hex digits, and not empty."""
    return bool(text) and _HEX.issuperset(text)


def is_generated(text: str) -> bool:
    """Whether a text is an ID as tools make them: 64 hex digits."""
    return len(text) == _GENERATED_LENGTH and is_hex(text)


def several(names: Iterable[str]) -> Iterable[str]:
    """Return names as they are.

    Raises:
        TypeError: they are a single text, which would be taken to be its characters.
    """
    if isinstance(names, (str, bytes)):
        raise TypeError(f"names are several, ({names!r},), and no text")
    return names


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Drop repeated names, keeping the first of each.

    Raises:
        InvalidName: a name that is not valid Unicode or holds a NUL, which no record file keeps.
        TypeError: `names` is a single text, which would be taken to be its characters.
    """
    kept = tuple(dict.fromkeys(several(names)))
    for name in kept:
        if "\0" in name:
            raise errors.InvalidName(name, "it contains a NUL character")
        if not name.isascii() and name.encode(errors="replace").decode() != name:
            raise errors.InvalidName(name, "it is not valid UTF-8")
    return kept
