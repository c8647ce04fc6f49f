"""All records of one kind, from all the files they live in.

A table is loaded without a lock and is consistent all the same. Changing it and saving it needs the kind's exclusive
lock, which the caller holds, having written a fresh token first (store-format 2.2).
"""

from __future__ import annotations

from itertools import chain

from cstore import errors
from cstore.records import codec
from cstore.records.model import Generic, Kind, Location, NameConflict, R
from cstore.records.section import Section
from cstore.records.snapshot import read_readable, read_together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence

    from cstore.records.rows import Head

__all__ = ["Kind", "Location", "NameConflict", "Table"]


class Table(Generic[R]):
    """The records of one kind, in load order: stable, image store, volatile.

    Any question about a record may raise RecordsDamaged: of a file that is sound JSON, only IDs and names are looked at
    before somebody asks for the rest, and a large one need only have the shape of one. `verify` asks for everything.
    """

    def __init__(self, kind: Kind[R], sections: list[Section[R]]) -> None:
        """Use `load`."""
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
        """Read the records of one moment. Needs no lock, and writes nothing.

        Args:
            kind: the kind of record.
            files: the paths by location. A file that is absent holds no records.
            empty_is_damage: whether the file of that path cannot be empty, because data of its records exists.
            absence_is_damage: whether the absent file of that path was there once, given what the others hold.
            whole: read all of every record at once: right for who will go over all of them, or wants to trust them all.
            degraded: leave out what cannot be read of a damaged file, and note the damage in `flaws`.

        Raises:
            RecordsDamaged: a file cannot be trusted (not if `degraded`).
            SystemFailure: a file cannot be read, or the files do not stop changing.
        """
        places = [location for location in Location if location in files]
        whole = whole or (kind.flaw is not None and not degraded)
        paths, sections = [files[location] for location in places], []
        contents, unreadable = read_readable(paths) if degraded else (read_together(paths), {})
        for location, content in zip(places, contents, strict=True):
            section = Section(kind.record, location, files[location], content, degraded=degraded, flaw=_flaw_of(kind))
            section.flaws += filter(None, [unreadable.get(section.path)])
            section.read(whole=whole)
            if section.empty and empty_is_damage and empty_is_damage(section.path):
                section.flaws.append(errors.RecordsDamaged(section.path, "it is empty, but its items exist"))
            sections.append(section)
        table = cls(kind, sections)
        if absence_is_damage:
            table._look_for_absent(absence_is_damage)
        if table.flaws and not degraded:
            raise table.flaws[0]
        return table

    def _look_for_absent(self, is_damage: Callable[[str, Container[str]], bool]) -> None:
        for section in self._sections:
            if section.identity is None and not section.flaws and is_damage(section.path, self):
                section.flaws.append(errors.RecordsDamaged(section.path, "it is missing, but its items exist"))

    def promote(self) -> bool:
        """Make a table that was read degraded one to write by, if there is no difference: it is whole, and current.

        From then on it raises what is wrong with a record. Call it with the lock held.
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

    @property
    def flaws(self) -> list[errors.RecordsDamaged]:
        """The flaws found so far: all of them after `verify`. A file with a flaw is never written."""
        return [flaw for section in self._sections for flaw in section.flaws]

    def verify(self) -> None:
        """Look at every field of every record.

        Raises:
            RecordsDamaged: one makes no sense (not if the table was loaded degraded).
        """
        for section in self._sections:
            for _ in section.documents():
                pass

    def is_current(self) -> bool:
        """Whether all files on disk still are those that were read or last saved."""
        return all(section.is_current() for section in self._sections)

    # ── asking ──

    def __iter__(self) -> Iterator[R]:
        every = chain.from_iterable([section.records() for section in self._sections])
        if not self._hides():
            return every
        firsts: dict[str, R] = {}
        for record in every:
            firsts.setdefault(record.id, record)
        return iter(firsts.values())

    def documents(self) -> Iterator[R | bytes]:
        """Go over the records to print them: in the place of many there may be their JSON documents, with commas."""
        if self._hides():
            return iter(self)
        return chain.from_iterable([section.documents() for section in self._sections])

    def texts(self, field: str) -> Iterator[str]:
        """Go over what a field of text holds, where it is not empty: in a fraction of the time that records take."""
        from cstore.records.huge import texts_in

        for each in self.documents():
            if isinstance(each, bytes):
                yield from texts_in(each, field)
            elif text := getattr(each, field):
                yield text

    def heads(self) -> Iterator[Head]:
        """Go over the records, in load order, with no more than their IDs and names: cheap for thousands."""
        every = chain.from_iterable([section.heads() for section in self._sections])
        if not self._hides():
            return every
        firsts: dict[str, Head] = {}
        for head in every:
            firsts.setdefault(head[0], head)
        return iter(firsts.values())

    def mentioning(self, text: str) -> Iterator[R]:
        """Go over all records in whose fields `text` may stand, and perhaps some others: cheap if there are few.

        Who wants to know which layers build on another, say, compares the parents of these instead of those of all.
        """
        if self._hides():
            return iter(self)  # only among all of them is it known which are hidden
        return chain.from_iterable(section.mentioning(text) for section in self._sections)

    def _hides(self) -> bool:
        """Whether records are hidden by others of the same ID. Only foreign writers bring that about."""
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
        """All IDs, in load order, each once."""
        return list(dict.fromkeys(identifier for identifier, _ in self.heads()))

    def get(self, identifier: str) -> R | None:
        """Return the record with exactly that ID."""
        for section in self._sections:
            record = section.get(identifier, last=self.kind.duplicates)
            if record is not None:
                return record
        return None

    def named(self, name: str) -> R | None:
        """Return the record that has exactly that name; if several have it, the last."""
        identifier = self._name_index().get(name)
        return None if identifier is None else self.get(identifier)

    def resolve(self, ref: str) -> R | None:
        """Find a record by ID, name, alias or unique prefix of its ID, in this order (semantics 4).

        Any prefix will do, but an ID with a space is not found by its prefix; an ambiguous prefix finds nothing.
        """
        return self.exact(ref) or self.by_prefix(ref)

    def exact(self, ref: str) -> R | None:
        """Find a record by its whole ID, by name or by alias."""
        if not ref:
            return None
        alias = self.kind.alias
        aliased = (one for one in self.mentioning(ref) if alias(one) == ref) if alias else iter(())
        return self.get(ref) or self.named(ref) or next(aliased, None)

    def by_prefix(self, ref: str) -> R | None:
        """Find the one record whose ID begins with `ref`. For callers that know of no exact match, of any kind."""
        found = {known for known, _ in self.heads() if known.startswith(ref) and " " not in known} if ref else ()
        return self.get(*found) if len(found) == 1 else None

    def location(self, identifier: str) -> Location:
        """Say in which file a record lives.

        Raises:
            UnknownItem: no record has that ID (the kind's own class).
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

    def _enter(self, index: dict[str, str], identifier: str, names: Sequence[str]) -> None:
        for name in names:
            other = index.get(name, identifier)
            if other != identifier:
                self._conflicts.append(NameConflict(name, identifier, other))
            index[name] = identifier

    def _leave(self, head: R) -> None:
        if self._names is None:
            return
        if self._conflicts:
            self._names = None  # another holder of a name may come to light
            return
        for name in head.names:
            if self._names.get(name) == head.id:
                del self._names[name]

    def names_in_conflict(self) -> list[NameConflict]:
        """List the names that several records have."""
        self._name_index()
        return list(self._conflicts)

    def repair_names(self) -> list[NameConflict]:
        """Let the later record keep a name that several have (semantics 3.2), and say what was taken away."""
        for conflict in (conflicts := self.names_in_conflict()):
            self._take_away(self._known(conflict.loser), {conflict.name})
        return conflicts

    def assign_names(self, identifier: str, names: Iterable[str]) -> R:
        """Set a record's names, and remove them from other records (semantics 9).

        Raises:
            UnknownItem: there is no record with that ID (the kind's own class).
        """
        record = self._known(identifier)
        wanted = dict.fromkeys(names)
        losers = [holder for holder, held in self.heads() if not wanted.keys().isdisjoint(held)]
        for loser in losers:
            if loser != identifier:
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

    # ── changing ──

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
        """Put a record in the place of the one with its ID.

        Raises:
            UnknownItem: there is none (the kind's own class).
            NameTaken: a name that is new to it is in use.
        """
        old = self._known(record.id)
        self._refuse_taken(record.id, set(record.names).difference(old.names))
        self._swap(old, record)

    def _swap(self, old: R, new: R) -> None:
        if codec.same(new, old):
            return
        self._section_of(new.id).replace(new, last=self.kind.duplicates)
        if old.names != new.names:
            self._leave(old)
            if self._names is not None:
                self._enter(self._names, new.id, new.names)

    def remove(self, identifier: str) -> R:
        """Remove a record, and any hidden by it, and return it.

        Raises:
            UnknownItem: there is none (the kind's own class).
        """
        record = self._known(identifier)
        self._leave(record)
        for section in self._sections:
            section.remove(identifier)
        return record

    # ── saving ──

    def is_established(self) -> bool:
        """Whether the stable file exists and is not empty; it may be an empty list."""
        stable = (section for section in self._sections if section.location is Location.STABLE)
        return not any(section.identity is None or section.empty for section in stable)

    def establish(self, *, sync: bool = True) -> None:
        """Write the stable file, with no records in it, if it is not there yet."""
        for section in self._sections:
            if section.location is Location.STABLE:
                section.establish(sync=sync)

    @property
    def changed(self) -> set[Location]:
        """The files that `save` would write."""
        return {section.location for section in self._sections if section.changed}

    def save(self, *, sync: bool = True) -> None:
        """Write the files that were changed. Volatile ones are never synced, as a reboot ends their life anyway.

        Records gain a name on disk before others lose it: a crash between two files leaves a name twice, not nowhere.

        Raises:
            RecordsDamaged: a file that would be written could not be trusted when it was read.
            RecordsChanged: somebody wrote one of the files meanwhile.
            SystemFailure: a file could not be written. Files before it in load order may have been.
        """
        for section in sorted(self._sections, key=lambda section: section.location in self._losers):
            section.save(sync=sync and section.location is not Location.VOLATILE)
        self._losers.clear()


def _flaw_of(kind: Kind[R]) -> Callable[[R], str] | None:
    if (flaw := kind.flaw) is None:
        return None
    return lambda record: f"{kind.noun} {record.id}: {reason}" if (reason := flaw(record)) else ""
