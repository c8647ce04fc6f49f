"""A case: what one run removed from the store or changed in it, as recorded in its journal."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cstore import presence
from cstore.errors import CaseUnknown, CstoreError, ForeignThing, QuarantineDamaged, SystemFailure
from cstore.fs import within
from cstore.fs.atomic import TEMPORARY_PREFIX, write_file
from cstore.records.codec import decode_one
from cstore.records.model import Container, Image, Layer
from cstore.records.shapes import load
from cstore.records.snapshot import read_file
from cstore.records.table import Location
from cstore.store.places import ItemKind
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.records.model import Record
    from cstore.store.context import Context

JOURNAL = "case.json"
_VERSION = 2
"""Version 2 of a journal has a line for the case and one for each entry, and is appended to. In version 1, which cstore
0.1 wrote, everything is one document."""
_RAW = "hex:"
"""The prefix of a path in the journal that is written as its bytes; other paths begin with a slash."""
_KIND = "shelf"
"""The key of an item's kind in the journal, as in version 1."""
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{6}")
_KINDS: dict[ItemKind, type[Record]] = {ItemKind.LAYERS: Layer, ItemKind.IMAGES: Image, ItemKind.CONTAINERS: Container}


class Kept(Value):
    """A thing in a case: its old path, its name in the case, and why it was removed.

    `successor` identifies what replaced it, if anything did: see `keeping.mark_of`. Without a `name`, nothing was at
    the path.
    """

    path: str
    name: str
    why: str
    successor: str = ""


class Recorded(Value):
    """A removed, created or changed record, as JSON of the record file; "" for none. `location` is its file."""

    item_kind: ItemKind
    location: str
    before: str
    after: str
    why: str

    def record(self, text: str) -> Any:
        """Decode `before` or `after`.

        Raises:
            ValueError: it is not a record.
        """
        return decode_one(_KINDS[self.item_kind], text.encode())


class Case(Value):
    """One case, with its entries in the order of the operations. If `flaw` is set, the journal cannot be read."""

    id: str
    directory: str
    created: str = ""
    by: str = ""
    entries: tuple[Kept | Recorded, ...] = ()
    flaw: str = ""

    def path_of(self, kept: Kept) -> str:
        """Return the path of a thing in the case."""
        return os.path.join(self.directory, kept.name)

    @property
    def kept(self) -> list[Kept]:
        """The things that are in the case."""
        things = (entry for entry in self.entries if isinstance(entry, Kept))
        return [thing for thing in things if thing.name and presence.is_there(self.path_of(thing))]

    @property
    def bytes(self) -> int:
        """The bytes that the case takes on disk."""
        from cstore.fs.tree import usage

        return usage(self.directory).bytes

    def write(self, *, sync: bool) -> None:
        """Write the journal.

        Raises:
            SystemFailure: it could not be written; the old one is unchanged.
        """
        from cstore.gojson import encode

        head = {"version": _VERSION, "created": self.created, "by": self.by}
        lines = [encode(head), *map(line_of, self.entries)]
        write_file(os.path.join(self.directory, JOURNAL), b"".join(line + b"\n" for line in lines), sync=sync)


def cases(context: Context) -> list[Case]:
    """List all cases, oldest first. Needs no lock and changes nothing.

    Raises:
        SystemFailure: the quarantine cannot be read.
    """
    top = context.layout.quarantine
    try:
        folders = [name for name in within.list_directory(*os.path.split(top)) if within.is_directory(top, name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SystemFailure("read", top, error) from None
    paths = [os.path.join(top, name) for name in folders if _NAME.fullmatch(name)]
    found = []
    for path in paths:
        with suppress(OSError):
            if all(name.startswith(TEMPORARY_PREFIX) for name in within.listdir(path)):
                continue  # it was only being written
        found.append(read_case(path))
    # By the time in the name, then by the fraction in the journal; the rest of a name is random.
    return sorted(found, key=lambda case: (case.id.partition("-")[0], case.created.rstrip("Z"), case.id))


def broken_off(context: Context) -> list[str]:
    """Return what a killed repair or undo left: temporary files, and directories of cases with nothing else in them."""
    top = context.layout.quarantine
    found = []
    for name in sorted(filter(_NAME.fullmatch, within.names_in(*os.path.split(top)))):
        directory = os.path.join(top, name)
        with suppress(OSError, ForeignThing):  # it is not a directory, or was removed just now
            held = within.list_directory(top, name)
            temporary = [each for each in held if each.startswith(TEMPORARY_PREFIX)]
            found += [os.path.join(directory, each) for each in temporary]
            found += [directory] * (len(temporary) == len(held))
    return found


def remove_broken_off(context: Context) -> list[str]:
    """Remove what `broken_off` returns; return the IDs of removed cases. The caller holds the quarantine's lock."""
    gone = []
    for path in broken_off(context):
        with suppress(OSError):  # the next call tries again
            if os.path.basename(path).startswith(TEMPORARY_PREFIX):
                within.unlink(path)
            else:
                within.rmdir(path)
                gone.append(os.path.basename(path))
    return gone


def find_case(context: Context, ref: str) -> Case:
    """Find a case by its ID or a unique prefix of it.

    Raises:
        CaseUnknown: there is no such case, or several match.
    """
    found = [case for case in cases(context) if case.id == ref or (ref and case.id.startswith(ref))]
    if len(found) != 1:
        raise CaseUnknown(ref)
    return found[0]


def read_case(directory: str) -> Case:
    """Read the journal in a directory; `flaw` describes what is wrong with it."""
    name = os.path.basename(directory)
    try:
        lines = read_file(os.path.join(directory, JOURNAL))[0].split(b"\n")
        head = load(lines[0])
        if head["version"] not in {1, _VERSION}:
            return Case(name, directory, flaw=f"its journal is of version {head['version']}")
        # Text after the last newline was being written, so its operation had not begun.
        rows = head["entries"] if head["version"] == 1 else map(load, lines[1:-1])
        return Case(name, directory, str(head["created"]), str(head["by"]), _entries(rows))
    except CstoreError as error:
        return Case(name, directory, flaw=f"its journal cannot be read: {error.message}")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Case(name, directory, flaw="its journal is incomplete")


def readable(case: Case) -> Case:
    """Return the case if its journal can be read.

    Raises:
        QuarantineDamaged: the journal cannot be read.
    """
    if case.flaw:
        raise QuarantineDamaged(case.id, case.directory, case.flaw)
    return case


def _entries(rows: Iterable[dict[str, Any]]) -> tuple[Kept | Recorded, ...]:
    """Read entries; a row with the number of an earlier entry has that entry's successor."""
    found: list[Kept | Recorded] = []
    for row in rows:
        if "entry" in row:
            number, successor = row["entry"], row["successor"]
            if not (isinstance(successor, str) and 0 <= number < len(found)):
                raise ValueError("a line is not an entry")
            found[number] = found[number].with_(successor=successor)
            continue
        if not all(isinstance(value, str) for value in row.values()):
            raise ValueError("an entry's field is not text")
        if _KIND in row:
            Location(row["location"])
            rest = {name: value for name, value in row.items() if name != _KIND}
            found.append(Recorded(item_kind=ItemKind(row[_KIND]), **rest))
            continue
        kept = Kept(**row)
        if kept.path.startswith(_RAW):
            kept = kept.with_(path=os.fsdecode(bytes.fromhex(kept.path.removeprefix(_RAW))))
        if kept.name in {".", "..", JOURNAL} or "/" in kept.name or not os.path.isabs(kept.path):
            raise ValueError("an entry names a path outside the case")
        found.append(kept)
    return tuple(found)


def line_of(entry: Kept | Recorded) -> bytes:
    """Return an entry as a line of the journal."""
    from cstore.gojson import encode

    fields: dict[str, Any] = entry.as_dict()
    if isinstance(entry, Recorded):
        fields = {_KIND: fields.pop("item_kind").value, **fields}
    elif not entry.path.isprintable():  # JSON cannot represent names that are not text
        fields["path"] = _RAW + os.fsencode(entry.path).hex()
    return encode(fields)


def line_of_successor(number: int, successor: str) -> bytes:
    """Return the line with the successor of an earlier entry."""
    from cstore.gojson import encode

    return encode({"entry": number, "successor": successor})
