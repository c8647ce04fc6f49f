"""One record file: its records, what was changed of them, and how it is written again."""

from __future__ import annotations

import os

from cstore import errors
from cstore.records import codec
from cstore.records.model import Generic, Location, R
from cstore.records.rows import Cut, cut_at_seams, read_rows
from cstore.records.shapes import Flaw
from cstore.records.snapshot import identity_at, identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView, Sequence

    from cstore.records.rows import Head, Parsed
    from cstore.records.snapshot import Identity

_BLANK = b" \t\n\r"
HUGE = 1 << 24  # bytes from which on a file is not held in memory several times over; see `huge`


class Section(Generic[R]):
    """The records of one file.

    A row is a record's place in the file. It holds the record, only its head until more is needed, or None after the
    record was removed. The first `_base_rows` rows are those of `_base`, the bytes that were read; rows behind them
    were added since, and `_tail` has the bytes in which they were saved, if they were.

    Attributes:
        kind: the class of its records.
        location: which of the files of its kind it is.
        path: the file.
        identity: the file that was read or last written; None if there was none.
        degraded: leave records out that cannot be read, instead of raising when somebody asks for them.
        flaws: what could not be read so far. A file with flaws is not written.
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
        """Take over the `content` of the file. Nothing of it is looked at before `read`.

        `flaw` says what is wrong with a record whose fields make sense, or "". It is asked when a record is read.
        """
        self._flaw = flaw
        self.kind, self.location, self.path, self.degraded = kind, location, path, degraded
        self.flaws: list[errors.RecordsDamaged] = []
        data, self.identity = content
        self._start_from(data, [])

    def read(self, *, whole: bool) -> None:
        """Read the `whole` records, or only their heads if that will do, and note flaws."""
        data = self._base
        source = read_rows(self.kind, data) if data and not whole else None
        if source is not None or not data:
            self._start_from(data, [*source.heads()] if source else [], source)
            return
        contents = codec.decode(self.kind, data)
        for flaw in contents.flaws:
            self._note(flaw)
        self._start_from(data, [self._checked(record) for record in contents.records])

    def _start_from(self, data: bytes, rows: list[R | Head | None], source: Parsed | Cut | None = None) -> None:
        self._base, self._rows, self._base_rows, self._source = data, rows, len(rows), source
        self._slices: list[bytes] | None = None
        self._tail: list[bytes] = []
        self._settle()

    def _settle(self) -> None:
        """Take note that the file on disk holds all rows."""
        self._originals: dict[int, R] = {}
        self._removed = False
        self._base_changed = False
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

    # ── asking ──

    @property
    def empty(self) -> bool:
        """Whether the file is there and has no bytes."""
        return self.identity is not None and not self._base and not self._tail

    @property
    def changed(self) -> bool:
        """Whether the file on disk lacks something."""
        return self._removed or bool(self._originals) or any(row is not None for row in self._rows[self._saved :])

    @property
    def _saved(self) -> int:
        """How many rows the file on disk has."""
        return self._base_rows + len(self._tail)

    def is_current(self) -> bool:
        """Whether the file on disk still is the one that was read or written."""
        return identity_at(self.path) == self.identity

    def heads(self) -> Iterator[Head]:
        """ID and names of all records."""
        return ((row if isinstance(row, tuple) else (row.id, row.names)) for row in self._rows if row is not None)

    def records(self) -> Iterator[R]:
        """All records.

        Raises:
            RecordsDamaged: one has a field that makes no sense (not if `degraded`).
        """
        if isinstance(self._source, Cut) and len(self._base) >= HUGE:
            return (each for each in self._passing_by(self._source) if not isinstance(each, bytes))
        if any(isinstance(row, tuple) for row in self._rows):
            self._read_the_rest()
        return (row for row in self._rows if row is not None and not isinstance(row, tuple))

    def documents(self) -> Iterator[R | bytes]:
        """All records like `records`, or in the place of many the JSON documents that programs print of them.

        Raises:
            RecordsDamaged: one has a field that makes no sense (not if `degraded`).
        """
        source = self._source
        if not isinstance(source, Cut) or len(self._base) < HUGE or self._flaw:
            return self.records()
        from cstore.records.huge import printed

        return self._passing_by(source, printed(self.kind))

    def _passing_by(self, source: Cut, printed: Callable[[bytes], object] | None = None) -> Iterator[R | bytes]:
        """All records, and none of them kept: all of a file so large would take five times its size."""
        from cstore.records.huge import blocks, in_passing

        for first, last in blocks(self._base_rows):
            block = source.block(first, last)
            if printed and printed(block) and {tuple}.issuperset(map(type, self._rows[first:last])):
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
        """All records in whose fields `text` may stand, and perhaps others.

        Raises:
            RecordsDamaged: one has a field that makes no sense (not if `degraded`).
        """
        rows = self._source.mentioning(text) if self._source and text else None
        if rows is None:
            return self.records()
        written_since = {*self._originals, *range(self._base_rows, len(self._rows))}
        found = (self._record(number) for number in sorted(written_since.union(rows)))
        return (record for record in found if record is not None)

    def ids(self) -> KeysView[str]:
        """The IDs, each once, in no order that counts; for asking whether one is there."""
        return self._by_id().keys()

    def get(self, identifier: str, *, last: bool) -> R | None:
        """Return the first, or the last, record with that ID.

        Raises:
            RecordsDamaged: the record has a field that makes no sense (not if `degraded`).
        """
        row = self._row_of(identifier, last=last)
        return None if row is None else self._record(row)

    def _row_of(self, identifier: str, *, last: bool) -> int | None:
        row = self._by_id().get(identifier)
        return self._repeated[identifier][0] if self._repeated.get(identifier) and not last else row

    def _record(self, number: int) -> R | None:
        """Read what a row holds; None if it was removed, or cannot be read in a degraded view."""
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
        """ID → its last row. The few IDs that several rows have are in `_repeated` as well, with all their rows."""
        if self._index is None:
            index = {
                (row[0] if isinstance(row, tuple) else row.id): number
                for number, row in enumerate(self._rows)
                if row is not None
            }
            self._index, self._repeated = index, {}
            if len(index) < len(self._rows):
                self._find_repeated(index)
        return self._index

    def _find_repeated(self, index: dict[str, int]) -> None:
        rows = ((number, row) for number, row in enumerate(self._rows) if row is not None)
        for number, identifier in ((number, row[0] if isinstance(row, tuple) else row.id) for number, row in rows):
            if index[identifier] != number or identifier in self._repeated:
                self._repeated.setdefault(identifier, []).append(number)

    @property
    def repeats(self) -> bool:
        """Whether an ID occurs more than once."""
        self._by_id()
        return bool(self._repeated)

    # ── changing ──

    def append(self, record: R) -> None:
        """Put a new record at the end."""
        self._by_id()[record.id] = len(self._rows)
        self._rows.append(record)

    def replace(self, record: R, *, last: bool) -> None:
        """Put `record` in the place of the first, or the last, that has its ID. There must be one."""
        row = self._row_of(record.id, last=last)
        if row is None:
            raise KeyError(record.id)
        old = self._record(row)
        if old is not None and row < self._saved:
            self._originals.setdefault(row, old)
        self._base_changed |= row < self._base_rows
        self._rows[row] = record

    def remove(self, identifier: str) -> None:
        """Take out every record with that ID: a hidden duplicate must not come back in its place."""
        row = self._by_id().pop(identifier, None)
        for number in self._repeated.pop(identifier, [] if row is None else [row]):
            self._removed |= number < self._saved
            self._base_changed |= number < self._base_rows
            self._rows[number] = None

    # ── writing ──

    def establish(self, *, sync: bool) -> None:
        """Create an empty list in place of a missing or empty file. Call it before any change."""
        before = self.identity
        if not (self._base or self._rows or self.flaws):
            try:
                self._write([b"[]"], sync=sync)
            finally:
                if self.identity is not None and self.identity != before:
                    self._start_from(b"[]", [])

    def save(self, *, sync: bool) -> None:
        """Replace the file on disk, if anything was changed.

        Raises:
            RecordsDamaged: what was read could not be trusted; it stays as it is.
            RecordsChanged: another process wrote the file meanwhile.
            SystemFailure: it could not be written; the old file is untouched. If only the sync of the directory failed,
                the new one is there, and this section tells of that.
        """
        if not self.changed:
            return
        if self.flaws:
            raise self.flaws[0]
        if not self.is_current():
            raise errors.RecordsChanged(self.path)
        try:
            pieces = self._pieces() if self._base_changed and len(self._base) >= HUGE else None
            texts = self._base_texts() if self._base_changed and pieces is None else []
            tail = self._render_tail()
        except RecursionError:
            raise errors.RecordsDamaged(self.path, "a record to be written is nested too deeply") from None
        base = b"[" + b",".join(texts) if self._base_changed else self._kept_base()
        parts = [base] if pieces is None else [b"[", *pieces]
        comma = b"," if tail and (len(base) > 1 or pieces) else b""
        parts.append(comma + b",".join(tail) + b"]")
        before = self.identity
        try:
            self._write(parts, sync=sync)
        finally:
            if self.identity != before:  # also if only the sync failed: who takes it back changes what is there now
                self._take_note(texts, tail, parts)

    def _take_note(self, texts: list[bytes], tail: list[bytes], parts: list[bytes | memoryview]) -> None:
        """Remember what the file on disk holds now."""
        rows: list[R | Head | None] = [row for row in self._rows if row is not None]
        if self._base_changed:
            self._start_from(b"".join(parts), rows)
            self._slices = [*texts, *tail] if len(texts) + len(tail) == len(rows) else None
        elif self._removed:
            self._rows, self._tail = rows, tail
            self._settle()
        else:
            self._tail, self._originals = tail, {}

    def _write(self, parts: Sequence[bytes | memoryview], *, sync: bool) -> None:
        """Replace the file. Whatever is raised, `identity` is that of the file which is there then."""
        from cstore.fs.atomic import PendingFile, sync_directory
        from cstore.fs.lockfile import make_directory

        directory = os.path.dirname(self.path)
        make_directory(directory, sync=sync)
        if sync and self.identity is None:
            sync_directory(os.path.dirname(directory))  # its creator may not have done that
        with PendingFile(self.path, sync=sync) as pending:
            for part in parts:
                pending.write(part)
            try:
                pending.commit()
            finally:
                if pending.published is not None:
                    self.identity = identity_of(pending.published)

    def _kept_base(self) -> bytes | memoryview:
        """The first rows as they were read, up to the closing bracket.

        Most often one record joins thousands: theirs need not even be told apart.
        """
        return memoryview(self._base.strip(_BLANK))[:-1] if self._base_rows else b"["

    def _base_texts(self) -> list[bytes]:
        texts = [*self._base_slices()]
        for number, old in self._originals.items():
            row = self._rows[number]
            if number < self._base_rows and row is not None and not isinstance(row, tuple):
                texts[number] = codec.rewrite(texts[number], old, row)
        return [text for text, row in zip(texts, self._rows, strict=False) if row is not None]

    def _pieces(self) -> list[bytes | memoryview] | None:
        """The same for a huge file, which is not copied: the bytes between two changes are one slice of it."""
        from cstore.records.huge import pieces

        source = self._source or cut_at_seams(self._base)  # none is kept of what was written last
        if not isinstance(source, Cut) or len(source.heads()) != self._base_rows:
            return None
        changed: dict[int, bytes | None] = dict.fromkeys(n for n in range(self._base_rows) if self._rows[n] is None)
        for number, old in self._originals.items():
            row = self._rows[number]
            if number < self._base_rows and row is not None and not isinstance(row, tuple):
                changed[number] = codec.rewrite(source.raw(number), old, row)
        return pieces(source, self._base, self._base_rows, changed)

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
