"""All records of one kind, from all their files: loaded consistently without a lock, changed and saved with one."""

from __future__ import annotations

from cstore import errors
from cstore.records import codec
from cstore.records.model import Generic, Kind, Location, NameConflict, R
from cstore.records.section import Section
from cstore.records.snapshot import read_readable, read_together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
    from typing import Any

    from cstore.records.rows import Head

__all__ = ["Kind", "Location", "NameConflict", "Table"]


class Table(Generic[R]):
    """The records of one kind, in load order: stable, image store, volatile.

    Any method that reads a record may raise RecordsDamaged: of a file in valid JSON, only IDs and names are read at
    first, and of a large file only the outline is checked. `verify` reads everything.

    Attributes:
        tokens: the tokens in the lock files since this process last saved the records; None if it never did.
    """

    tokens: tuple[bytes, ...] | None = None

    def __init__(self, kind: Kind[R], sections: list[Section[R]]) -> None:
        """Create a table from its sections; callers use `load`."""
        self.kind = kind
        self._sections = sections
        self._names: dict[str, str] | None = None
        self._conflicts: list[NameConflict] = []
        self._losers: set[Location] = set()
        self._overlap: bool | None = None

    # ── loading ──

    @classmethod
    def load(
        cls,
        kind: Kind[R],
        files: Mapping[Location, str],
        *,
        empty_is_damage: Callable[[str], bool] | None = None,
        absence_is_damage: Callable[[str, Container[str]], bool] | None = None,
        whole: bool = False,
        degraded: bool = False,
    ) -> Table[R]:
        """Read a consistent state of the records. This needs no lock, and writes nothing.

        Args:
            kind: the kind of record.
            files: the paths by location. A missing file has no records.
            empty_is_damage: returns whether an empty file at a path is damaged, because data of its records exists.
            absence_is_damage: returns whether a missing file existed before, given its path and the other records.
            whole: read all fields of all records now, for callers that use or verify all of them.
            degraded: leave out unreadable records of a damaged file, and record the damage in `flaws`.

        Raises:
            RecordsDamaged: a file is damaged (not if `degraded`).
            SystemFailure: a file cannot be read, or the files keep changing.
        """
        places = [location for location in Location if location in files]
        whole = whole or (kind.flaw is not None and not degraded)
        paths, sections = [files[location] for location in places], []
        contents, unreadable = read_readable(paths) if degraded else (read_together(paths), {})
        for location, content in zip(places, contents, strict=True):
            section = Section(kind.record, location, files[location], content, degraded=degraded, flaw=kind.told_flaw())
            section.flaws += filter(None, [unreadable.get(section.path)])
            section.read(whole=whole)
            if section.empty and empty_is_damage and empty_is_damage(section.path):
                section.flaws.append(errors.RecordsDamaged(section.path, "it is empty, but its items exist"))
            sections.append(section)
        table = cls(kind, sections)
        for section in [each for each in sections if each.identity is None and not each.flaws]:
            if absence_is_damage and absence_is_damage(section.path, table):
                section.flaws.append(errors.RecordsDamaged(section.path, "it is missing, but its items exist"))
        if table.flaws and not degraded:
            raise table.flaws[0]
        return table

    def promote(self) -> bool:
        """Make a degraded table writable if it is complete and current; return whether it is.

        Afterwards, damaged records raise errors. Call this with the lock held.
        """
        there = all(
            section.location is Location.VOLATILE or not (section.identity is None or section.empty)
            for section in self._sections
        )
        if self.flaws or not there or not self.is_current():
            return False
        for section in self._sections:
            section.degraded = False
        return True

    def demote(self) -> bool:
        """Start to collect flaws instead of raising them; return False if there are flaws, or the table is outdated."""
        if self.flaws or not self.is_current():
            return False
        for section in self._sections:
            section.degraded = True
        return True

    def settle(self, *, degraded: bool) -> bool:
        """Return whether the table may be kept while the files are current; if `degraded`, start to collect flaws."""
        repeats = self._overlap or (self.kind.duplicates and any(section.repeats for section in self._sections))
        if self.flaws or self.changed or self._conflicts or repeats:
            return False
        for section in self._sections:
            section.degraded = degraded
        return True

    @property
    def flaws(self) -> list[errors.RecordsDamaged]:
        """The flaws found so far; all flaws after `verify`. A file with a flaw is never written."""
        return [flaw for section in self._sections for flaw in section.flaws]

    def verify(self) -> None:
        """Check every field of every record.

        Raises:
            RecordsDamaged: a field is invalid (not if the table was loaded degraded).
        """
        for section in self._sections:
            for _ in section.documents():
                pass

    def is_current(self) -> bool:
        """Return whether all files on disk are still those that were read or last saved."""
        return all(section.is_current() for section in self._sections)

    # ── queries ──

    def __iter__(self) -> Iterator[R]:
        every = (record for records in [section.records() for section in self._sections] for record in records)
        if not self._hides():
            return every
        firsts: dict[str, R] = {}
        for record in every:
            firsts.setdefault(record.id, record)
        return iter(firsts.values())

    def documents(self) -> Iterator[R | bytes]:
        """Iterate over the records for printing; many of them may be bytes: their JSON documents with commas."""
        if self._hides():
            return iter(self)
        return (each for documents in [section.documents() for section in self._sections] for each in documents)

    def columns(self, *fields: str) -> Iterator[tuple[Any, ...]]:
        """Yield the values of some fields of all records, in load order, much faster than reading records."""
        from cstore.records.huge import columns

        return columns(self.kind.record, self.documents(), fields)

    def heads(self) -> Iterator[Head]:
        """Iterate over the IDs and names of the records, in load order; this is cheap for thousands of records."""
        every = (head for heads in [section.heads() for section in self._sections] for head in heads)
        if not self._hides():
            return every
        firsts: dict[str, Head] = {}
        for head in every:
            firsts.setdefault(head[0], head)
        return iter(firsts.values())

    def mentioning(self, text: str) -> Iterator[R]:
        """Iterate over all records that contain `text` in a field, and possibly others; cheap if there are few."""
        if self._hides():
            return iter(self)  # only all records together show which are hidden
        return (record for section in self._sections for record in section.mentioning(text))

    def _hides(self) -> bool:
        """Return whether records are hidden by others with the same ID, which only other programs write."""
        if self.kind.duplicates:
            return False
        if self._overlap is None:
            ids = [section.ids() for section in self._sections if section.ids()]
            repeats = any(section.repeats for section in self._sections)
            self._overlap = repeats or (len(ids) > 1 and sum(map(len, ids)) > len(set().union(*ids)))
        return self._overlap

    def __len__(self) -> int:
        return sum(1 for _ in self.heads())

    def __contains__(self, identifier: object) -> bool:
        return any(identifier in section.ids() for section in self._sections)

    def ids(self) -> list[str]:
        """Return all IDs, in load order, each once."""
        return list(dict.fromkeys(identifier for identifier, _ in self.heads()))

    def get(self, identifier: str) -> R | None:
        """Return the record with exactly that ID; None if there is none."""
        found = (section.get(identifier, last=self.kind.duplicates) for section in self._sections)
        return next((record for record in found if record is not None), None)

    def named(self, name: str) -> R | None:
        """Return the record with exactly that name, the last one if there are several; None if there is none."""
        return self.get(self._name_index().get(name, ""))

    def resolve(self, ref: str) -> R | None:
        """Find a record by ID, name, alias or unique prefix of its ID, in this order (semantics 4).

        A prefix may have any length, but does not find an ID with a space; an ambiguous prefix finds nothing.
        """
        return self.exact(ref) or self.by_prefix(ref)

    def exact(self, ref: str) -> R | None:
        """Find a record by its full ID, by name or by alias."""
        if not ref:
            return None
        alias = self.kind.alias
        aliased = (one for one in self.mentioning(ref) if alias(one) == ref) if alias else iter(())
        return self.get(ref) or self.named(ref) or next(aliased, None)

    def by_prefix(self, ref: str) -> R | None:
        """Find the only record whose ID begins with `ref`. Call this only if no kind has an exact match."""
        found = {known for known, _ in self.heads() if known.startswith(ref) and " " not in known} if ref else ()
        return self.get(*found) if len(found) == 1 else None

    def location(self, identifier: str) -> Location:
        """Return the location of a record.

        Raises:
            UnknownItem: there is no record with that ID (the kind's own class).
        """
        return self._section_of(identifier).location

    def _section_of(self, identifier: str) -> Section[R]:
        for section in self._sections:
            if identifier in section.ids():
                return section
        raise self.kind.unknown(identifier)

    def _known(self, identifier: str) -> R:
        record = self.get(identifier)
        if record is None:
            raise self.kind.unknown(identifier)
        return record

    # ── names ──

    def _name_index(self) -> dict[str, str]:
        if self._names is None:
            self._names, self._conflicts = {}, []
            for identifier, names in self.heads():
                if names:
                    self._enter(self._names, identifier, names)
        return self._names

    def _enter(self, index: dict[str, str], identifier: str, names: Collection[str]) -> None:
        if index.keys().isdisjoint(names):
            index.update(dict.fromkeys(names, identifier))
            return
        for name in names:
            other = index.get(name, identifier)
            if other != identifier:
                self._conflicts.append(NameConflict(name, identifier, other))
            index[name] = identifier

    def _leave(self, identifier: str, names: Iterable[str]) -> None:
        if self._names is None:
            return
        if self._conflicts:
            self._names = None  # another record may now own the name
            return
        for name in names:
            if self._names.get(name) == identifier:
                del self._names[name]

    def names_in_conflict(self) -> list[NameConflict]:
        """Return the names that several records have."""
        self._name_index()
        return list(self._conflicts)

    def repair_names(self) -> list[NameConflict]:
        """Let only the last record keep a name that several have (semantics 3.2); return the resolved conflicts."""
        for conflict in (conflicts := self.names_in_conflict()):
            self._take_away(self._known(conflict.loser), {conflict.name})
        return conflicts

    def assign_names(self, identifier: str, names: Iterable[str]) -> R:
        """Set a record's names to exactly these, and remove them from other records (semantics 9).

        Raises:
            UnknownItem: there is no record with that ID (the kind's own class).
        """
        record = self._known(identifier)
        wanted = dict.fromkeys(names)
        losers = dict.fromkeys(map(self._name_index().get, wanted))
        losers |= dict.fromkeys(conflict.loser for conflict in self._conflicts if conflict.name in wanted)
        for loser in losers:
            if loser and loser != identifier:
                self._take_away(self._known(loser), wanted)
        renamed = self.kind.renamed or (lambda old, given: old.with_(names=given))
        changed = renamed(record, tuple(wanted))
        self._swap(record, changed)
        return changed

    def _take_away(self, loser: R, names: Collection[str]) -> None:
        self._losers.add(self.location(loser.id))
        self._swap(loser, loser.with_(names=tuple(name for name in loser.names if name not in names)))

    def _refuse_taken(self, identifier: str, names: Iterable[str]) -> None:
        for name in names:
            holder = self._name_index().get(name, identifier)
            if holder != identifier:
                raise errors.NameTaken(self.kind.noun, name, holder)

    # ── changes ──

    def add(self, record: R, location: Location = Location.STABLE) -> None:
        """Add a new record at the end of a file.

        Raises:
            IDTaken: its ID is in use.
            NameTaken: one of its names is in use.
            ValueError: the table was loaded without that file.
        """
        if record.id in self:
            raise errors.IDTaken(self.kind.noun, record.id)
        self._refuse_taken(record.id, record.names)
        section = next((section for section in self._sections if section.location is location), None)
        if section is None:
            raise ValueError(f"this table has no {location.value} file")
        section.append(record)
        if self._names is not None:
            self._enter(self._names, record.id, record.names)

    def replace(self, record: R) -> None:
        """Replace the record with the same ID.

        Raises:
            UnknownItem: there is no such record (the kind's own class).
            NameTaken: one of its new names is in use.
        """
        old = self._known(record.id)
        self._refuse_taken(record.id, set(record.names).difference(old.names))
        self._swap(old, record)

    def _swap(self, old: R, new: R) -> None:
        if codec.same(new, old):
            return
        self._section_of(new.id).replace(new, last=self.kind.duplicates)
        if old.names != new.names:
            self._leave(old.id, set(old.names).difference(new.names))
            if self._names is not None:
                self._enter(self._names, new.id, set(new.names).difference(old.names))

    def remove(self, identifier: str) -> R:
        """Remove a record, and all records hidden by it; return it.

        Raises:
            UnknownItem: there is no such record (the kind's own class).
        """
        record = self._known(identifier)
        self._leave(record.id, record.names)
        for section in self._sections:
            section.remove(identifier)
        return record

    # ── saving ──

    def is_established(self) -> bool:
        """Return whether the stable file exists and has contents, possibly an empty list."""
        stable = [section for section in self._sections if section.location is Location.STABLE]
        return not any(section.identity is None or section.empty for section in stable)

    def establish(self, *, sync: bool = True) -> None:
        """Write the stable file without records if it does not exist or is empty."""
        for section in self._sections:
            if section.location is Location.STABLE:
                section.establish(sync=sync)

    @property
    def changed(self) -> set[Location]:
        """The locations whose files `save` would write."""
        return {section.location for section in self._sections if section.changed}

    def save(self, *, sync: bool = True) -> None:
        """Write the files with changes, volatile ones without sync; the caller wrote a new token (store-format 2.2).

        Files in which records lose names are written last, so that a crash in between leaves a name twice, not nowhere.

        Raises:
            RecordsDamaged: a file to be written has flaws.
            RecordsChanged: another process wrote one of the files in the meantime.
            SystemFailure: a file could not be written. Files written before it have changed.
        """
        for section in sorted(self._sections, key=lambda section: section.location in self._losers):
            section.save(sync=sync and section.location is not Location.VOLATILE)
        self._losers.clear()
