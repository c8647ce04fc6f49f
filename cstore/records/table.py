"""All records of one kind, from all the files they live in.

A table is loaded without a lock and is consistent all the same. Changing it and saving it needs the kind's exclusive
lock, which the caller holds, having written a fresh token first (store-format 2.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from cstore.errors import IDTaken, NameTaken, RecordsDamaged
from cstore.records import codec
from cstore.records.model import R
from cstore.records.section import Location, Section
from cstore.records.snapshot import Identity, read_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cstore.errors import UnknownItem

__all__ = ["Kind", "Location", "NameConflict", "Table"]


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """What a table must know about its kind of record.

    Attributes:
        noun: "layer", "image" or "container".
        record: the class of its records.
        unknown: the error for an ID or name that nothing answers to.
        alias: a second ID by which a record is found, or "".
        renamed: the record with new names and whatever else that changes, if there is more to it.
        flaw: what makes a record unusable although its types are right, or "".
        duplicates: list all records of an ID that occurs twice, and let the last answer; else the first hides the rest.
    """

    noun: str
    record: type[R]
    unknown: type[UnknownItem]
    alias: Callable[[R], str] = lambda _: ""
    renamed: Callable[[R, tuple[str, ...]], R] | None = None
    flaw: Callable[[R], str] | None = None
    duplicates: bool = False


@dataclass(frozen=True, slots=True)
class NameConflict:
    """A name that two records of a kind have: the later one, `keeper`, is the one that answers to it."""

    name: str
    keeper: str
    loser: str


@dataclass(slots=True)
class Table(Generic[R]):
    """The records of one kind, in load order: stable, image store, volatile."""

    kind: Kind[R]
    _sections: list[Section[R]]
    _names: dict[str, str] | None = None
    _conflicts: list[NameConflict] = field(default_factory=list)
    _losers: set[Location] = field(default_factory=set)

    # ── loading ──

    @classmethod
    def load(
        cls,
        kind: Kind[R],
        files: Mapping[Location, str],
        *,
        empty_is_damage: Callable[[str], bool] | None = None,
        degraded: bool = False,
    ) -> Table[R]:
        """Read the records of one moment. Needs no lock, and writes nothing.

        Args:
            kind: the kind of record.
            files: the paths by location. A file that is absent holds no records.
            empty_is_damage: whether the file of that path cannot be empty, because data of its records exists.
            degraded: keep what can be known of a damaged file, and note the damage in `flaws`.

        Raises:
            RecordsDamaged: a file cannot be trusted (not if `degraded`).
            SystemFailure: a file cannot be read, or the files do not stop changing.
        """
        places = [location for location in Location if location in files]
        contents = read_together([files[location] for location in places])
        sections = []
        for location, (data, identity) in zip(places, contents, strict=True):
            section = _read_section(kind, location, files[location], data, identity)
            if identity and not data and empty_is_damage and empty_is_damage(section.path):
                section.flaws.append(RecordsDamaged(section.path, "it is empty, but what it should describe exists"))
            if section.flaws and not degraded:
                raise section.flaws[0]
            sections.append(section)
        return cls(kind, sections)

    @property
    def flaws(self) -> list[RecordsDamaged]:
        """What could not be read. A file with a flaw is never written."""
        return [flaw for section in self._sections for flaw in section.flaws]

    def is_current(self) -> bool:
        """Whether all files on disk still are those that were read or last saved."""
        return all(section.is_current() for section in self._sections)

    # ── asking ──

    def __iter__(self) -> Iterator[R]:
        seen: set[str] = set()
        for section in self._sections:
            for record in section.records():
                if self.kind.duplicates or record.id not in seen:
                    seen.add(record.id)
                    yield record

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, identifier: object) -> bool:
        return isinstance(identifier, str) and self.get(identifier) is not None

    def ids(self) -> list[str]:
        """All IDs, in load order, each once."""
        return list(dict.fromkeys(record.id for record in self))

    def get(self, identifier: str) -> R | None:
        """Return the record with exactly that ID."""
        for section in self._sections:
            record = section.find(identifier, last=self.kind.duplicates)
            if record is not None:
                return record
        return None

    def named(self, name: str) -> R | None:
        """Return the record that has exactly that name; if several have it, the last."""
        identifier = self._name_index().get(name)
        return None if identifier is None else self.get(identifier)

    def resolve(self, word: str) -> R | None:
        """Find a record by ID, name, alias or unique prefix of its ID, in this order (semantics 4).

        Any prefix will do, but an ID with a space is not found by its prefix; an ambiguous prefix finds nothing.
        """
        if not word:
            return None
        return self.get(word) or self.named(word) or self._by_alias(word) or self._by_prefix(word)

    def _by_alias(self, word: str) -> R | None:
        return next((record for record in self if self.kind.alias(record) == word), None)

    def _by_prefix(self, word: str) -> R | None:
        found = {record.id for record in self if record.id.startswith(word) and " " not in record.id}
        return self.get(found.pop()) if len(found) == 1 else None

    def location(self, identifier: str) -> Location:
        """Say in which file a record lives.

        Raises:
            UnknownItem: there is none with that ID (the kind's own class).
        """
        return self._section_of(identifier).location

    def _section_of(self, identifier: str) -> Section[R]:
        for section in self._sections:
            if section.find(identifier, last=False) is not None:
                return section
        raise self.kind.unknown(identifier)

    def _name_index(self) -> dict[str, str]:
        if self._names is None:
            self._names, self._conflicts = {}, []
            for record in self:
                self._enter(record)
        return self._names

    def _enter(self, record: R) -> None:
        names = self._name_index()
        for name in record.names:
            other = names.get(name, record.id)
            if other != record.id:
                self._conflicts.append(NameConflict(name, record.id, other))
            names[name] = record.id

    def _forget(self, record: R) -> None:
        if self._conflicts:
            self._names = None  # another holder of the name may come to light
            return
        names = self._name_index()
        for name in record.names:
            if names.get(name) == record.id:
                del names[name]

    # ── changing ──

    def add(self, record: R, location: Location = Location.STABLE) -> None:
        """Add a new record at the end of a file.

        Raises:
            IDTaken: its ID is in use.
            NameTaken: one of its names is in use.
            ValueError: the table was loaded without that file.
        """
        if record.id in self:
            raise IDTaken(self.kind.noun, record.id)
        self._refuse_taken(record.id, record.names)
        section = next((section for section in self._sections if section.location is location), None)
        if section is None:
            raise ValueError(f"this table has no {location.value} file")
        section.append(record)
        self._enter(record)

    def replace(self, record: R) -> None:
        """Put a record in the place of the one with its ID.

        Raises:
            UnknownItem: there is none (the kind's own class).
            NameTaken: a name that is new to it is in use.
        """
        old = self.get(record.id)
        if old is None:
            raise self.kind.unknown(record.id)
        if record == old:
            return
        self._refuse_taken(record.id, set(record.names) - set(old.names))
        self._swap(old, record)

    def _swap(self, old: R, record: R) -> None:
        self._name_index()
        self._section_of(record.id).replace(record, last=self.kind.duplicates)
        if old.names != record.names:
            self._forget(old)
            if self._names is not None:
                self._enter(record)

    def remove(self, identifier: str) -> R:
        """Remove a record, and any hidden by it, and return it.

        Raises:
            UnknownItem: there is none (the kind's own class).
        """
        record = self.get(identifier)
        if record is None:
            raise self.kind.unknown(identifier)
        self._forget(record)
        for section in self._sections:
            section.remove(identifier)
        return record

    def assign_names(self, identifier: str, names: Iterable[str]) -> R:
        """Give a record exactly these names, taking them away from whoever has them (semantics 9).

        Raises:
            UnknownItem: there is no record with that ID (the kind's own class).
        """
        record = self.get(identifier)
        if record is None:
            raise self.kind.unknown(identifier)
        wanted = tuple(dict.fromkeys(names))
        losers = [other for other in self if other.id != identifier and not set(wanted).isdisjoint(other.names)]
        for loser in losers:
            self._take_away(loser, set(wanted))
        changed = self.kind.renamed(record, wanted) if self.kind.renamed else record.with_(names=wanted)
        if changed != record:
            self._swap(record, changed)
        return changed

    def _take_away(self, loser: R, names: set[str]) -> None:
        self._losers.add(self.location(loser.id))
        self._swap(loser, loser.with_(names=tuple(name for name in loser.names if name not in names)))

    def _refuse_taken(self, identifier: str, names: Iterable[str]) -> None:
        for name in names:
            holder = self.named(name)
            if holder is not None and holder.id != identifier:
                raise NameTaken(self.kind.noun, name, holder.id)

    def names_in_conflict(self) -> list[NameConflict]:
        """List the names that several records have."""
        self._name_index()
        return list(self._conflicts)

    def repair_names(self) -> list[NameConflict]:
        """Let the later record keep a name that several have (semantics 3.2), and say what was taken away."""
        conflicts = self.names_in_conflict()
        for conflict in conflicts:
            loser = self.get(conflict.loser)
            if loser is not None:
                self._take_away(loser, {conflict.name})
        return conflicts

    # ── saving ──

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


def _read_section(
    kind: Kind[R], location: Location, path: str, data: bytes, identity: Identity | None
) -> Section[R]:
    contents = codec.decode(kind.record, data) if data else codec.Contents[R]([])
    flaws = [RecordsDamaged(path, flaw.reason, offset=flaw.offset) for flaw in contents.flaws]
    if kind.flaw:
        for record in contents.records:
            reason = kind.flaw(record)
            if reason:
                flaws.append(RecordsDamaged(path, f"{kind.noun} {record.id}: {reason}"))
    return Section(location, path, identity, data, list(contents.records), flaws)
