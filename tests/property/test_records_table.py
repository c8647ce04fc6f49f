"""A table against the plainest model of one: lists of records, searched from the front."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cstore.errors import IDTaken, NameTaken
from cstore.records import codec
from cstore.records.containers import CONTAINERS
from cstore.records.images import IMAGES
from cstore.records.layers import LAYERS, children, incomplete
from cstore.records.table import Kind, Location, Table

IDS = ["a", "ab", "abc", "b c", "é", "x" * 64]
NAMES = ["one", "two", 'q"', "a", "é"]
some_names = st.lists(st.sampled_from(NAMES), max_size=3, unique=True).map(tuple)
some_id = st.sampled_from(IDS)
flags = st.sampled_from([{}, {"incomplete": True}, {"x": "incomplete", "n": 1.5}])
STABLE, VOLATILE = Location.STABLE, Location.VOLATILE


class TableMachine(RuleBasedStateMachine):
    """Do to a table and to lists what commands do, and compare."""

    kind: Kind[Any]

    @initialize(kind=st.sampled_from([LAYERS, IMAGES, CONTAINERS]), data=st.data())
    def begin(self, kind: Kind[Any], data: st.DataObject) -> None:
        """Start from files that a foreign writer may have made: IDs and names may occur twice across files."""
        self.kind = kind
        self.directory = tempfile.mkdtemp()
        self.files = {place: os.path.join(self.directory, f"{place.name}.json") for place in (STABLE, VOLATILE)}
        self.model: dict[Location, list[Any]] = {STABLE: [], VOLATILE: []}
        for place, path in self.files.items():
            identifiers = data.draw(st.lists(some_id, max_size=4, unique=True))
            records = [kind.record(id=identifier, names=data.draw(some_names)) for identifier in identifiers]
            if kind.duplicates:
                records = records if place is STABLE else []
            self.model[place] = records
            comma: bytes = data.draw(st.sampled_from([b",", b" , "]))
            if records or comma == b",":
                with open(path, "wb") as file:
                    file.write(b"[%s]" % comma.join(map(codec.encode, records)))
        self.load()

    def load(self) -> None:
        """Read the files anew."""
        self.table: Table[Any] = Table.load(self.kind, self.files)

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "directory"):
            shutil.rmtree(self.directory)

    # ── the model ──

    def visible(self) -> list[Any]:
        """What the table should show: of each ID the first."""
        shown: dict[str, Any] = {}
        for record in [*self.model[STABLE], *self.model[VOLATILE]]:
            shown.setdefault(record.id, record)
        return list(shown.values())

    def holder(self, name: str) -> Any:
        """Who answers to a name: the last that has it."""
        return next((record for record in reversed(self.visible()) if name in record.names), None)

    def put(self, record: Any) -> None:
        """Replace the first record of an ID."""
        for records in self.model.values():
            for row, old in enumerate(records):
                if old.id == record.id:
                    records[row] = record
                    return

    def find(self, identifier: str) -> Any:
        """The record of an ID."""
        return next((record for record in self.visible() if record.id == identifier), None)

    # ── what commands do ──

    @rule(identifier=some_id, names=some_names, flags=flags, place=st.sampled_from([STABLE, VOLATILE]))
    def add(self, identifier: str, names: tuple[str, ...], flags: dict[str, Any], place: Location) -> None:
        """Add a record, if ID and names are free."""
        record = self.kind.record(id=identifier, names=names, flags=flags)
        if self.find(identifier):
            with pytest.raises(IDTaken):
                self.table.add(record, place)
        elif any(self.holder(name) for name in names):
            with pytest.raises(NameTaken):
                self.table.add(record, place)
        else:
            self.table.add(record, place)
            self.model[place].append(record)

    @rule(identifier=some_id, metadata=st.sampled_from(["", "m", "a"]), flags=flags)
    def change(self, identifier: str, metadata: str, flags: dict[str, Any]) -> None:
        """Change a field or two."""
        old = self.find(identifier)
        if old:
            self.table.replace(old.with_(metadata=metadata, flags=flags))
            self.put(old.with_(metadata=metadata, flags=flags))

    @rule(identifier=some_id)
    def remove(self, identifier: str) -> None:
        """Remove a record and those that it hides."""
        if self.find(identifier):
            self.table.remove(identifier)
            for place, records in self.model.items():
                self.model[place] = [record for record in records if record.id != identifier]

    @rule(identifier=some_id, names=some_names)
    def rename(self, identifier: str, names: tuple[str, ...]) -> None:
        """Give a record names, whoever has them."""
        record = self.find(identifier)
        if record:
            for other in self.visible():
                if other.id != identifier:
                    self.put(other.with_(names=tuple(name for name in other.names if name not in names)))
            renamed = self.kind.renamed(record, names) if self.kind.renamed else record.with_(names=names)
            self.put(renamed)
            assert self.table.assign_names(identifier, names) == renamed

    @rule()
    def repair(self) -> None:
        """Let later records keep their names."""
        self.table.repair_names()
        for record in self.visible():
            names = tuple(name for name in record.names if self.holder(name).id == record.id)
            self.put(record.with_(names=names))
        assert self.table.names_in_conflict() == []

    @rule(again=st.booleans())
    def save(self, again: bool) -> None:
        """Save, and find the same on disk."""
        changed = self.table.changed
        before = {place: os.path.exists(path) and os.stat(path).st_ino for place, path in self.files.items()}
        self.table.save(sync=False)
        assert self.table.changed == set()
        assert self.table.is_current()
        after = {place: os.path.exists(path) and os.stat(path).st_ino for place, path in self.files.items()}
        assert {place for place in self.files if before[place] != after[place]} == changed
        for place, path in self.files.items():
            data = b"[]"
            if os.path.exists(path):
                with open(path, "rb") as file:
                    data = file.read()
            assert codec.decode(self.kind.record, data).records == self.model[place]
        if again:
            self.load()

    @precondition(lambda self: self.table.changed == set())
    @rule()
    def reload(self) -> None:
        """Forget all that was read."""
        self.load()

    # ── what questions say ──

    @invariant()
    def answers_are_those_of_the_model(self) -> None:
        """By ID, name, prefix, in order; all the quick ways say what the slow way says."""
        if not hasattr(self, "table"):
            return
        shown = self.visible()
        table = self.table
        assert table.ids() == [record.id for record in shown]
        assert len(table) == len(shown)
        for identifier in IDS:
            assert (identifier in table) == (self.find(identifier) is not None)
        for name in NAMES:
            assert table.named(name) == self.holder(name)
        for word in ("a", "x", "b"):
            longer = [record for record in shown if record.id.startswith(word) and " " not in record.id]
            prefixed = longer[0] if len(longer) == 1 else None
            assert table.resolve(word) == (self.find(word) or self.holder(word) or prefixed)
        if self.kind is LAYERS:
            unfinished = [record.id for record in shown if record.flags.get("incomplete") is True]
            assert [layer.id for layer in incomplete(table)] == unfinished
            assert children(table, "a") == []

    @rule(identifier=some_id)
    def ask_for_one(self, identifier: str) -> None:
        """Whole records, one at a time, which leaves the others unread."""
        assert self.table.get(identifier) == self.find(identifier)

    @rule()
    def ask_for_all(self) -> None:
        """All records whole."""
        assert list(self.table) == self.visible()


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
