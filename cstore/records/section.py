"""One record file: its records, changes to them, and writing the file."""

from __future__ import annotations

import os

from cstore import errors
from cstore.records import codec
from cstore.records.model import Generic, Location, R
from cstore.records.rows import LARGE, Cut, cut_at_seams, read_rows
from cstore.records.shapes import Flaw
from cstore.records.snapshot import identity_at, identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView, Sequence

    from cstore.records.rows import Head, Parsed
    from cstore.records.snapshot import Identity

_BLANK = b" \t\n\r"
_LONG = 500
"""Maximum number of rows in a tail; every save processes all of them."""
HUGE = 1 << 24  # minimum size in bytes of a file that must not be in memory several times; see `huge`


class Section(Generic[R]):
    """The records of one file.

    A row is a record's position in the file. It holds the record, or only its head if that sufficed so far, or
    None if the record was removed. The first `_base_rows` rows are those of `_base`, the bytes that were read; later
    rows were added since, and `_tail` has their bytes, if they were saved.

    Attributes:
        kind: the class of its records.
        location: the location of its records.
        path: the file.
        identity: the identity of the file that was read or last written; None if there was none.
        degraded: leave out unreadable records instead of raising an error.
        flaws: the flaws found so far. A file with flaws is not written.
    """

    def __init__(
        self,
        kind: type[R],
        location: Location,
        path: str,
        content: tuple[bytes, Identity | None],
        *,
        degraded: bool,
        flaw: Callable[[R], str] | None = None,
    ) -> None:
        """Create a section from the `content` of the file, which is not examined before `read`.

        `flaw` is called for each record that is read; it returns a flaw of a record with valid fields, or "".
        """
        self._flaw = flaw
        self.kind, self.location, self.path, self.degraded = kind, location, path, degraded
        self.flaws: list[errors.RecordsDamaged] = []
        data, self.identity = content
        self._start_from(data, [])

    def read(self, *, whole: bool) -> None:
        """Read the `whole` records, or only their heads if possible, and record flaws."""
        data = self._base
        contents = None
        if whole and data and not (self.degraded and len(data) >= HUGE):  # for that, see `records`
            contents = codec.decode(self.kind, data)
        if contents is None or (self.degraded and contents.flaws):  # each damaged record is noted when it is read
            source = read_rows(self.kind, data) if data else None
            if source is not None or not data:
                self._start_from(data, [*source.heads()] if source else [], source)
                return
            contents = contents or codec.decode(self.kind, data)
        for flaw in contents.flaws:
            self._note(flaw)
        rows: list[R | Head | None] = [self._checked(record) for record in contents.records]
        searched = len(data) >= LARGE and not (self.degraded or contents.flaws)
        cut = cut_at_seams(data) if searched else None  # for `mentioning`
        self._start_from(data, rows, cut if cut and cut.count == len(rows) else None)

    def _start_from(self, data: bytes, rows: list[R | Head | None], source: Parsed | Cut | None = None) -> None:
        self._base, self._rows, self._base_rows, self._source = data, rows, len(rows), source
        self._slices: list[bytes] | None = None
        self._tail: list[bytes] = []
        self._settle()

    def _settle(self) -> None:
        """Reset the changes, because the file on disk has all rows."""
        self._originals: dict[int, R] = {}
        self._gone: set[int] = set()
        self._index: dict[str, int] | None = None
        self._repeated: dict[str, list[int]] = {}

    def _checked(self, record: R) -> R:
        reason = self._flaw(record) if self._flaw else ""
        if reason and not self.degraded:
            raise errors.RecordsDamaged(self.path, reason)
        if reason:
            self._note(Flaw(reason))
        return record

    def _note(self, flaw: Flaw) -> None:
        if all(known.reason != flaw.reason for known in self.flaws):
            self.flaws.append(errors.RecordsDamaged(self.path, flaw.reason, offset=flaw.offset))

    # ── queries ──

    @property
    def empty(self) -> bool:
        """Whether the file exists and has no bytes."""
        return self.identity is not None and not self._base and not self._tail

    @property
    def changed(self) -> bool:
        """Whether there are changes that are not saved."""
        return bool(self._gone or self._originals) or any(row is not None for row in self._rows[self._saved :])

    @property
    def _saved(self) -> int:
        """The number of rows in the file on disk."""
        return self._base_rows + len(self._tail)

    def is_current(self) -> bool:
        """Return whether the file on disk is still the one that was read or last written."""
        return identity_at(self.path) == self.identity

    def heads(self) -> Iterator[Head]:
        """Return ID and names of all records."""
        return ((row if isinstance(row, tuple) else (row.id, row.names)) for row in self._rows if row is not None)

    def records(self) -> Iterator[R]:
        """Return all records.

        Raises:
            RecordsDamaged: a record has an invalid field (not if `degraded`).
        """
        if isinstance(self._source, Cut) and len(self._base) >= HUGE:
            return (each for each in self._passing_by(self._source) if not isinstance(each, bytes))
        if any(isinstance(row, tuple) for row in self._rows):
            self._read_the_rest()
        return (row for row in self._rows if row is not None and not isinstance(row, tuple))

    def documents(self) -> Iterator[R | bytes]:
        """Return all records like `records`, but many of them as bytes: their JSON documents, separated by commas.

        Raises:
            RecordsDamaged: a record has an invalid field (not if `degraded`).
        """
        source = self._source
        if not isinstance(source, Cut) or len(self._base) < HUGE or self._flaw:
            return self.records()
        from cstore.records.huge import printed

        return self._passing_by(source, printed(self.kind))

    def _passing_by(self, source: Cut, printed: Callable[[bytes], object] | None = None) -> Iterator[R | bytes]:
        """Yield all records without keeping them: those of a huge file would take five times its size in memory."""
        from cstore.records.huge import blocks, in_passing

        for first, last in blocks(self._base_rows):
            kinds = set(map(type, self._rows[first:last]))
            if tuple not in kinds:
                yield from (row for row in self._rows[first:last] if row is not None and not isinstance(row, tuple))
                continue
            block = source.block(first, last)
            if printed and len(kinds) == 1 and (first in source.printed or printed(block)):
                source.printed.add(first)
                yield block
                continue
            for number, record in enumerate(in_passing(self.kind, block, last - first), first):
                fresh = record is not None and isinstance(self._rows[number], tuple)
                found = self._checked(record) if fresh and record is not None else self._record(number)
                if found is not None:
                    yield found
        yield from (row for row in self._rows[self._base_rows :] if row is not None and not isinstance(row, tuple))

    def _read_the_rest(self) -> None:
        contents = codec.decode(self.kind, self._base)
        if contents.flaws:
            for number in range(self._base_rows):
                self._record(number)
            return
        for number, record in enumerate(contents.records):
            if isinstance(self._rows[number], tuple):
                self._rows[number] = self._checked(record)

    def mentioning(self, text: str) -> Iterator[R]:
        """Return all records that contain `text` in a field, and possibly others.

        Raises:
            RecordsDamaged: a record has an invalid field (not if `degraded`).
        """
        rows = self._source.mentioning(text) if self._source and text else None
        if rows is None:
            return self.records()
        written_since = {*self._originals, *range(self._base_rows, len(self._rows))}
        found = (self._record(number) for number in sorted(written_since.union(rows)))
        return (record for record in found if record is not None)

    def ids(self) -> KeysView[str]:
        """Return the IDs, each once, in no particular order; for membership tests."""
        return self._by_id().keys()

    def get(self, identifier: str, *, last: bool) -> R | None:
        """Return the first or the last record with that ID; None if there is none.

        Raises:
            RecordsDamaged: the record has an invalid field (not if `degraded`).
        """
        row = self._row_of(identifier, last=last)
        return None if row is None else self._record(row)

    def _row_of(self, identifier: str, *, last: bool) -> int | None:
        row = self._by_id().get(identifier)
        return self._repeated[identifier][0] if self._repeated.get(identifier) and not last else row

    def _record(self, number: int) -> R | None:
        """Return the record of a row; None if it was removed, or is unreadable in a degraded section."""
        row = self._rows[number]
        if not isinstance(row, tuple):
            return row
        raw = self._raw(number)
        try:
            record = codec.decode_one(self.kind, raw)
        except ValueError as error:
            flaw = Flaw(f"record {number + 1} (ID {row[0]}): {error}", self._base.find(raw))
            if not self.degraded:
                raise errors.RecordsDamaged(self.path, flaw.reason, offset=flaw.offset) from None
            self._note(flaw)
            self._rows[number] = self._index = None
            return None
        self._rows[number] = self._checked(record)
        return record

    def _raw(self, number: int) -> bytes:
        return self._source.raw(number) if self._source else self._base_slices()[number]

    def _base_slices(self) -> list[bytes]:
        if self._slices is None:
            source = self._source
            slices = [source.raw(number) for number in range(self._base_rows)] if source else codec.split(self._base)
            self._slices = slices
        return self._slices

    def _by_id(self) -> dict[str, int]:
        """Return the last row of each ID. IDs that several rows have are also in `_repeated`, with all rows."""
        if self._index is None:
            index = {
                (row[0] if isinstance(row, tuple) else row.id): number
                for number, row in enumerate(self._rows)
                if row is not None
            }
            self._index, self._repeated = index, {}
            for number, row in enumerate(self._rows) if len(index) < len(self._rows) else ():
                identifier = "" if row is None else row[0] if isinstance(row, tuple) else row.id
                if index.get(identifier, number) != number or identifier in self._repeated:
                    self._repeated.setdefault(identifier, []).append(number)
        return self._index

    @property
    def repeats(self) -> bool:
        """Whether an ID occurs more than once."""
        self._by_id()
        return bool(self._repeated)

    # ── changes ──

    def append(self, record: R) -> None:
        """Append a new record."""
        self._by_id()[record.id] = len(self._rows)
        self._rows.append(record)

    def replace(self, record: R, *, last: bool) -> None:
        """Replace the first, or the last, record with the ID of `record`, which must exist."""
        row = self._row_of(record.id, last=last)
        if row is None:
            raise KeyError(record.id)
        old = self._record(row)
        if old is not None and row < self._saved:
            self._originals.setdefault(row, old)
        self._rows[row] = record

    def remove(self, identifier: str) -> None:
        """Remove all records with that ID, so that a hidden duplicate does not reappear."""
        row = self._by_id().pop(identifier, None)
        for number in self._repeated.pop(identifier, [] if row is None else [row]):
            if number < self._saved:
                self._gone.add(number)
            self._rows[number] = None

    # ── writing ──

    def establish(self, *, sync: bool) -> None:
        """Write an empty list if the file is missing or has no bytes. Call this before any change."""
        before = self.identity
        if not (self._base or self._rows or self.flaws):
            try:
                self._write([b"[]"], sync=sync)
            finally:
                if self.identity is not None and self.identity != before:
                    self._start_from(b"[]", [])

    def save(self, *, sync: bool) -> None:
        """Replace the file on disk, if there are changes.

        Raises:
            RecordsDamaged: the file has flaws; it is not changed.
            RecordsChanged: another process wrote the file in the meantime.
            SystemFailure: it could not be written; the old file is unchanged. If only the sync of the directory failed,
                the new file is in place, and this section describes it.
        """
        if not self.changed:
            return
        if self.flaws:
            raise self.flaws[0]
        if not self.is_current():
            raise errors.RecordsChanged(self.path)
        try:
            changes, tail = self._base_changes(), self._render_tail()
        except RecursionError:
            raise errors.RecordsDamaged(self.path, "a record to be written is nested too deeply") from None
        cut = None
        if changes or len(self._tail) > _LONG:
            cut = self._cut_of_base().changed(changes, tail)
            parts: list[bytes | memoryview] = [cut.data]
        else:
            # The first rows as they were read: usually, one record is added to thousands, which need no splitting.
            base = memoryview(self._base.strip(_BLANK))[:-1] if self._base_rows else b"["
            parts = [base, (b"," if tail and len(base) > 1 else b"") + b",".join(tail) + b"]"]
        before = self.identity
        try:
            self._write(parts, sync=sync)
        finally:
            if self.identity != before:  # even if only the sync failed: reverting must start from the new file
                self._take_note(cut, tail)

    def _take_note(self, cut: Cut | None, tail: list[bytes]) -> None:
        """Record the written content: all of it as a `cut`, or the unchanged base and a new tail."""
        rows: list[R | Head | None] = [row for row in self._rows if row is not None]
        index, repeated = (self._index, self._repeated) if len(rows) == len(self._rows) else (None, {})
        if cut is not None:
            self._start_from(cut.data, rows, cut)
        else:
            self._rows, self._tail = rows, tail
            self._settle()
        self._index, self._repeated = index, repeated

    def _write(self, parts: Sequence[bytes | memoryview], *, sync: bool) -> None:
        """Replace the file. Even after an error, `identity` is that of the file on disk."""
        from cstore.fs.atomic import PendingFile, sync_directory
        from cstore.fs.lockfile import make_directory

        directory = os.path.dirname(self.path)
        make_directory(directory, sync=sync)
        if sync and self.identity is None:
            sync_directory(os.path.dirname(directory))  # the process that created the directory may not have synced it
        with PendingFile(self.path, sync=sync) as pending:
            for part in parts:
                pending.write(part)
            try:
                pending.commit()
            finally:
                if pending.published is not None:
                    self.identity = identity_of(pending.published)

    def _base_changes(self) -> dict[int, bytes | None]:
        """Return the new texts of changed rows that are in the base; None for those to be removed."""
        changes: dict[int, bytes | None] = {number: None for number in self._gone if number < self._base_rows}
        for number, old in self._originals.items():
            row = self._rows[number]
            if number < self._base_rows and row is not None and not isinstance(row, tuple):
                changes[number] = codec.rewrite(self._raw(number), old, row)
        return changes

    def _cut_of_base(self) -> Cut:
        source = self._source
        if isinstance(source, Cut):
            return source
        cut = cut_at_seams(self._base) if source is None and len(self._base) >= HUGE else None
        if cut is None or cut.count != self._base_rows:
            cut = Cut.of_texts(self._base_slices())
        cut.searchable = source is not None or not self._base_rows  # lenient reading may have changed a text
        return cut

    def _render_tail(self) -> list[bytes]:
        texts = []
        for place, row in enumerate(self._rows[self._base_rows :]):
            if row is None or isinstance(row, tuple):
                continue
            old = self._originals.get(self._base_rows + place)
            if place >= len(self._tail):
                texts.append(codec.encode(row))
            else:
                raw = self._tail[place]
                texts.append(raw if old is None else codec.rewrite(raw, old, row))
        return texts
