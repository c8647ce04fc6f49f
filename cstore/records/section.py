"""One record file: its records, what was changed of them, and how it is written again."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Generic

from cstore.errors import RecordsChanged, RecordsDamaged, SystemFailure
from cstore.fs.atomic import sync_directory, write_file
from cstore.records import codec
from cstore.records.model import R
from cstore.records.snapshot import Identity, identity_at, identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANK = b" \t\n\r"


class Location(Enum):
    """Which file a record lives in, for its whole life (store-format 4.1)."""

    STABLE = "stable"
    IMAGE_STORE = "image store"
    VOLATILE = "volatile"


@dataclass(slots=True)
class Section(Generic[R]):
    """The records of one file. A row is a record's place in it; a removed record leaves None behind until the save."""

    location: Location
    path: str
    identity: Identity | None
    data: bytes
    rows: list[R | None]
    flaws: list[RecordsDamaged]
    _loaded: int = 0
    _originals: dict[int, R] = field(default_factory=dict)
    _removed: bool = False
    _by_id: dict[str, list[int]] | None = None

    def __post_init__(self) -> None:
        self._loaded = len(self.rows)

    @property
    def changed(self) -> bool:
        """Whether the file on disk lacks something."""
        return self._removed or bool(self._originals) or len(self.rows) > self._loaded

    def records(self) -> Iterator[R]:
        """All records, those with an ID that another one has included."""
        return (record for record in self.rows if record is not None)

    def find(self, identifier: str, *, last: bool) -> R | None:
        """Return the first, or the last, record with that ID."""
        rows = self._rows_of(identifier)
        return self.rows[rows[-1 if last else 0]] if rows else None

    def _rows_of(self, identifier: str) -> list[int]:
        return self._index().get(identifier, [])

    def _index(self) -> dict[str, list[int]]:
        if self._by_id is None:
            self._by_id = {}
            for row, record in enumerate(self.rows):
                if record is not None:
                    self._by_id.setdefault(record.id, []).append(row)
        return self._by_id

    def append(self, record: R) -> None:
        """Put a new record at the end."""
        self._index().setdefault(record.id, []).append(len(self.rows))
        self.rows.append(record)

    def replace(self, record: R, *, last: bool) -> None:
        """Put `record` in the place of the first, or the last, that has its ID."""
        row = self._rows_of(record.id)[-1 if last else 0]
        old = self.rows[row]
        if row < self._loaded and old is not None:
            self._originals.setdefault(row, old)
        self.rows[row] = record

    def remove(self, identifier: str) -> None:
        """Take out every record with that ID: a hidden duplicate must not come back in its place."""
        for row in self._index().pop(identifier, []):
            self._removed = self._removed or row < self._loaded
            self.rows[row] = None

    def render(self) -> bytes:
        """Write the file anew, from its own bytes wherever nothing was changed."""
        added = [codec.encode(record) for record in self.rows[self._loaded :] if record is not None]
        if self._removed or self._originals:
            return b"[%s]" % b",".join(self._kept() + added)
        body = self.data.strip(_BLANK)
        if self._loaded == 0 or not body:
            return b"[%s]" % b",".join(added)
        # Most often one record joins thousands: theirs need not even be told apart.
        return b"%s%s]" % (body[:-1], b"".join(b"," + text for text in added))

    def _kept(self) -> list[bytes]:
        kept = []
        for row, raw in enumerate(codec.split(self.data)):
            record = self.rows[row]
            if record is not None:
                old = self._originals.get(row)
                kept.append(raw if old is None else codec.rewrite(raw, old, record))
        return kept

    def is_current(self) -> bool:
        """Whether the file on disk still is the one that was read or written."""
        return identity_at(self.path) == self.identity

    def save(self, *, sync: bool) -> None:
        """Replace the file on disk, if anything was changed.

        Raises:
            RecordsDamaged: what was read could not be trusted; it stays as it is.
            RecordsChanged: somebody wrote the file meanwhile.
            SystemFailure: it could not be written; the old file is untouched.
        """
        if not self.changed:
            return
        if self.flaws:
            raise self.flaws[0]
        if not self.is_current():
            raise RecordsChanged(self.path)
        data = self.render()
        make_directory(os.path.dirname(self.path), sync=sync)
        self.identity = identity_of(write_file(self.path, data, sync=sync))
        self.data = data
        self.rows = list(self.records())
        self._loaded, self._originals, self._removed, self._by_id = len(self.rows), {}, False, None


def make_directory(path: str, *, sync: bool = True) -> None:
    """Make a directory, and those above it, for the owner alone (0700). One that exists is left as it is.

    Raises:
        SystemFailure: it cannot be made.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_directory(os.path.dirname(path), sync=sync)
        make_directory(path, sync=sync)
    except OSError as error:
        raise SystemFailure("create", path, error) from None
    else:
        if sync:
            sync_directory(os.path.dirname(path) or ".")
