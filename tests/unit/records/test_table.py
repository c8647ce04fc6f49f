"""Tables of records: finding, changing, names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.errors import IDTaken, LayerUnknown, NameTaken, RecordsDamaged
from cstore.records.layers import LAYERS
from cstore.records.model import Layer
from cstore.records.table import Location, NameConflict, Table

from .sample_files import files_in, layers_in, put, read

if TYPE_CHECKING:
    from pathlib import Path

THREE = b'[{"id":"abc","names":["one"]},{"id":"abd","names":["two","zwei"],"parent":"abc"},{"id":"x y"}]'


def ids(table: Table[Layer]) -> list[str]:
    """The IDs of the records that a table goes over."""
    return [layer.id for layer in table]


def load(directory: str, **contents: bytes) -> Table[Layer]:
    """Load a table from up to three files: `stable`, `image_store`, `volatile`."""
    files = files_in(directory)
    for name, data in contents.items():
        path = files[Location[name.upper()]]
        if "read-only" in path:
            import os

            os.makedirs(os.path.dirname(path), exist_ok=True)
        put(path, data)
    return Table.load(LAYERS, files)


# ── loading and finding ──


def test_no_files_are_an_empty_table(tmp_path: Path) -> None:
    """Reading a store that has no layers yet finds none and makes nothing."""
    table = Table.load(LAYERS, files_in(str(tmp_path)))

    assert (list(table), table.ids(), len(table), table.flaws) == ([], [], 0, [])
    assert list(tmp_path.iterdir()) == []


def test_records_come_in_load_order(tmp_path: Path) -> None:
    """Stable, image store, volatile, whatever the order of the paths given."""
    load(str(tmp_path), volatile=b'[{"id":"v"}]', image_store=b'[{"id":"i"}]', stable=b'[{"id":"s1"},{"id":"s2"}]')
    table = Table.load(LAYERS, dict(reversed(files_in(str(tmp_path)).items())))

    assert ids(table) == table.ids() == ["s1", "s2", "i", "v"]
    assert [table.location(identifier) for identifier in ("s2", "i", "v")] == list(Location)


def test_the_first_record_of_an_id_hides_the_others(tmp_path: Path) -> None:
    """Within a file and across files."""
    table = load(
        str(tmp_path),
        stable=b'[{"id":"a","metadata":"1"},{"id":"a","metadata":"2"}]',
        image_store=b'[{"id":"b","metadata":"3"}]',
        volatile=b'[{"id":"a","metadata":"4"},{"id":"b","metadata":"5"},{"id":"c","metadata":"6"}]',
    )

    assert [layer.metadata for layer in table] == ["1", "3", "6"]
    assert [getattr(table.get(key), "metadata", None) for key in "abc"] == ["1", "3", "6"]
    assert (table.ids(), len(table)) == (["a", "b", "c"], 3)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("abc", "abc"),
        ("two", "abd"),
        ("zwei", "abd"),
        ("ab", None),
        ("abd", "abd"),
        ("a", None),
        ("x", None),
        ("x y", "x y"),
        ("tw", None),
        ("", None),
        ("nope", None),
    ],
)
def test_words_are_resolved(tmp_path: Path, word: str, found: str | None) -> None:
    """By ID, by name, by unique prefix; not by an ambiguous prefix, the start of a name, or an ID with a space."""
    layer = layers_in(str(tmp_path), THREE).resolve(word)

    assert (layer.id if layer else None) == found


def test_an_exact_id_goes_before_a_name_and_a_name_before_a_prefix(tmp_path: Path) -> None:
    """The first kind of match wins, even if a later kind would match another record."""
    table = layers_in(str(tmp_path), b'[{"id":"a"},{"id":"b","names":["a","cc"]},{"id":"cccc"}]')

    assert table.resolve("a") == Layer(id="a")
    assert table.resolve("cc") == Layer(id="b", names=("a", "cc"))
    assert table.resolve("ccc") == Layer(id="cccc")


def test_a_hidden_record_has_no_names(tmp_path: Path) -> None:
    """A duplicate that does not answer by its ID does not answer by its names either."""
    table = layers_in(str(tmp_path), b'[{"id":"a","names":["x"]},{"id":"a","names":["y"]}]')

    assert table.named("y") is None
    assert table.named("x") is not None


def test_names_in_another_case_of_the_key_are_found(tmp_path: Path) -> None:
    """Go reads `Names` as `names`."""
    table = layers_in(str(tmp_path), b'[{"id":"a","Names":["n"]},{"id":"b"}]')

    assert table.named("n") == Layer(id="a", names=("n",))


# ── damage ──


def test_damaged_json_is_refused_at_once(tmp_path: Path) -> None:
    """With the path, the place and the reason."""
    with pytest.raises(RecordsDamaged) as caught:
        layers_in(str(tmp_path), b'[{"id":"a"},{"id":"b"')

    assert caught.value.parts() == {
        "path": str(tmp_path / "layers.json"),
        "reason": "it ends in record 2",
        "offset": 21,
    }


def test_a_field_that_makes_no_sense_is_told_when_it_is_asked_for(tmp_path: Path) -> None:
    """Other records of the file answer; going over all, and `verify`, do not."""
    table = layers_in(str(tmp_path), b'[{"id":"a"},{"id":"b","diff-size":"x"}]')

    assert table.get("a") == Layer(id="a")
    for question in (lambda: table.get("b"), lambda: list(table), table.verify):
        with pytest.raises(RecordsDamaged, match="diff-size: expected int, got str"):
            question()


def test_reading_whole_finds_such_a_field_at_once(tmp_path: Path) -> None:
    """For who wants to trust all of it."""
    path = put(str(tmp_path / "layers.json"), b'[{"id":"a"},{"id":"b","diff-size":"x"}]')

    with pytest.raises(RecordsDamaged, match=r"at byte 12: record 2 \(ID b\): diff-size"):
        Table.load(LAYERS, {Location.STABLE: path}, whole=True)


def test_reading_degraded_tells_what_can_be_known(tmp_path: Path) -> None:
    """The records before and beside the damage, and every flaw."""
    load(str(tmp_path), volatile=b'[{"id":"v"}]')
    put(str(tmp_path / "layers.json"), b'[{"id":"a"},{"id":"b","names":7},{"id":"c"}')

    table = Table.load(LAYERS, files_in(str(tmp_path)), degraded=True)

    assert ids(table) == table.ids() == ["a", "c", "v"]
    assert [flaw.reason for flaw in table.flaws] == [
        "it ends after record 3",
        "record 2 (ID b): names: expected array, got int",
    ]


def test_reading_degraded_leaves_out_a_record_once_it_turns_out_to_make_no_sense(tmp_path: Path) -> None:
    """Whether it is asked for alone or all are; its flaw is noted once, with its place."""
    data = b'[{"id":"a"},{"id":"b","names":["n"],"diff-size":"x"},{"id":"c","uidset":[-1]},{"id":"d"}]'
    table = layers_in(str(tmp_path), data, degraded=True)

    assert table.get("d") == Layer(id="d")
    assert table.flaws == []
    assert table.get("b") is table.named("n") is table.resolve("b") is None
    assert [(flaw.reason, flaw.offset) for flaw in table.flaws] == [
        ("record 2 (ID b): diff-size: expected int, got str", 12)
    ]
    assert ids(table) == table.ids() == ["a", "d"]
    table.verify()
    assert [flaw.reason for flaw in table.flaws] == [
        "record 2 (ID b): diff-size: expected int, got str",
        "record 3 (ID c): uidset[0]: expected int >= 0",
    ]


def test_an_empty_file_is_an_empty_list_or_damage(tmp_path: Path) -> None:
    """Who loads it knows whether there is anything that it should describe."""
    files = {Location.STABLE: put(str(tmp_path / "layers.json"), b"")}

    assert list(Table.load(LAYERS, files)) == []
    assert list(Table.load(LAYERS, files, empty_is_damage=lambda _: False)) == []
    with pytest.raises(RecordsDamaged, match="it is empty, but its items exist"):
        Table.load(LAYERS, files, empty_is_damage=lambda path: path == files[Location.STABLE])


def test_an_absent_file_is_never_damage(tmp_path: Path) -> None:
    """A store whose volatile file does not exist yet is in order."""
    assert list(Table.load(LAYERS, files_in(str(tmp_path)), empty_is_damage=lambda _: True)) == []


# ── changing ──


def test_added_records_are_found_and_stand_at_the_end(tmp_path: Path) -> None:
    """By ID, by name, by prefix, and in their file's place in load order."""
    table = load(str(tmp_path), stable=THREE, volatile=b'[{"id":"v"}]')

    table.add(Layer(id="new", names=("n",)))
    table.add(Layer(id="zap"), Location.VOLATILE)

    assert ids(table) == ["abc", "abd", "x y", "new", "v", "zap"]
    assert table.resolve("ne") == table.named("n") == table.get("new") == Layer(id="new", names=("n",))
    assert table.changed == {Location.STABLE, Location.VOLATILE}


def test_taken_ids_and_names_are_refused(tmp_path: Path) -> None:
    """And nothing is changed by the attempt."""
    table = layers_in(str(tmp_path), THREE)

    with pytest.raises(IDTaken):
        table.add(Layer(id="abc"))
    with pytest.raises(NameTaken, match="is layer abd"):
        table.add(Layer(id="new", names=("free", "zwei")))
    with pytest.raises(NameTaken, match="is layer abc"):
        table.replace(Layer(id="abd", names=("two", "one")))
    assert table.changed == set()
    assert table.named("free") is None


def test_a_record_needs_a_file(tmp_path: Path) -> None:
    """A table without a volatile file takes no volatile record."""
    with pytest.raises(ValueError, match="no volatile file"):
        layers_in(str(tmp_path), THREE).add(Layer(id="new"), Location.VOLATILE)


def test_replaced_records_keep_their_place(tmp_path: Path) -> None:
    """And names follow."""
    table = layers_in(str(tmp_path), THREE)
    assert table.named("two")

    table.replace(Layer(id="abd", names=("deux", "zwei")))

    assert ids(table) == ["abc", "abd", "x y"]
    assert table.named("two") is None
    assert table.named("deux") == table.named("zwei") == Layer(id="abd", names=("deux", "zwei"))


def test_replacing_a_record_by_itself_changes_nothing(tmp_path: Path) -> None:
    """No file is written for it."""
    table = layers_in(str(tmp_path), THREE)

    for layer in list(table):
        table.replace(layer)

    assert table.changed == set()


def test_true_is_not_one(tmp_path: Path) -> None:
    """Though Python thinks so: a flag that changes from 1 to true is a change, and is written."""
    table = layers_in(str(tmp_path), b'[{"id":"a","flags":{"incomplete":1}}]')

    table.replace(Layer(id="a", flags={"incomplete": True}))
    table.save()

    assert b'"flags":{"incomplete":true}' in read(str(tmp_path / "layers.json"))


def test_removed_records_are_gone(tmp_path: Path) -> None:
    """And so are their names."""
    table = layers_in(str(tmp_path), THREE)

    removed = table.remove("abd")

    assert removed.names == ("two", "zwei")
    assert ids(table) == table.ids() == ["abc", "x y"]
    assert "abd" not in table
    assert table.get("abd") is table.named("two") is None
    table.add(Layer(id="abd", names=("two",)))
    assert ids(table) == ["abc", "x y", "abd"]


def test_unknown_ids_are_refused(tmp_path: Path) -> None:
    """With the error of the kind."""
    table = layers_in(str(tmp_path), THREE)

    for change in (
        lambda: table.remove("ab"),
        lambda: table.replace(Layer(id="q")),
        lambda: table.location("q"),
        lambda: table.assign_names("one", ["q"]),
    ):
        with pytest.raises(LayerUnknown):
            change()


def test_removing_a_record_does_not_bring_back_a_hidden_one(tmp_path: Path) -> None:
    """What was removed has no data any more, so a second record of it, in the same or in another file, goes too."""
    files = files_in(str(tmp_path))
    table = load(
        str(tmp_path), stable=b'[{"id":"a"},{"id":"b"},{"id":"a","metadata":"x"}]', volatile=b'[{"id":"a"},{"id":"c"}]'
    )

    table.remove("a")
    table.save()

    assert table.ids() == Table.load(LAYERS, files).ids() == ["b", "c"]
    assert b'"a"' not in read(files[Location.STABLE]) + read(files[Location.VOLATILE])


# ── names ──


def test_assigned_names_are_taken_from_their_holders(tmp_path: Path) -> None:
    """In all files, and both files are written."""
    files = files_in(str(tmp_path))
    table = load(str(tmp_path), stable=THREE, volatile=b'[{"id":"v","names":["vol","temp"]}]')

    layer = table.assign_names("abc", ["vol", "new", "two", "vol"])

    assert layer == table.get("abc") == Layer(id="abc", names=("vol", "new", "two"))
    assert table.changed == {Location.STABLE, Location.VOLATILE}
    table.save()
    again = Table.load(LAYERS, files)
    assert {layer.id: layer.names for layer in again} == {
        "abc": ("vol", "new", "two"),
        "abd": ("zwei",),
        "x y": (),
        "v": ("temp",),
    }
    assert table.named("one") is None


def test_a_name_moves_to_its_new_holder_before_the_old_one_loses_it(tmp_path: Path) -> None:
    """A crash between the two files leaves the name twice, and not nowhere."""
    for holder, taker in (("s", "v"), ("v", "s")):
        files = files_in(str(tmp_path))
        table = load(str(tmp_path), stable=b'[{"id":"s","names":["sn"]}]', volatile=b'[{"id":"v","names":["vn"]}]')
        table.assign_names(taker, [f"{holder}n"])
        lost = files[table.location(holder)]
        put(lost, read(lost) + b" ")  # so that saving the loser's file is refused

        with pytest.raises(Exception, match="without the lock changed"):
            table.save()

        taken = read(files[table.location(taker)])
        assert f'"{holder}n"'.encode() in taken


def test_of_two_holders_the_later_answers(tmp_path: Path) -> None:
    """As it will keep the name once somebody repairs it."""
    table = load(
        str(tmp_path),
        stable=b'[{"id":"a","names":["n","m"]},{"id":"b","names":["n"]}]',
        volatile=b'[{"id":"c","names":["m","n","n"]}]',
    )

    assert table.named("n") == table.named("m") == Layer(id="c", names=("m", "n", "n"))
    assert table.names_in_conflict() == [
        NameConflict("n", "b", "a"),
        NameConflict("m", "c", "a"),
        NameConflict("n", "c", "b"),
    ]


def test_repairing_names_heals_them_on_disk(tmp_path: Path) -> None:
    """The file of the loser is saved, so that the next load finds no conflict."""
    files = files_in(str(tmp_path))
    table = load(
        str(tmp_path),
        stable=b'[{"id":"a","names":["n","m"]},{"id":"b","names":["n","o"]}]',
        volatile=b'[{"id":"c","names":["m","n"]}]',
    )

    repaired = table.repair_names()
    table.save()

    assert len(repaired) == 3
    assert table.names_in_conflict() == []
    again = Table.load(LAYERS, files)
    assert again.names_in_conflict() == []
    assert [layer.names for layer in again] == [(), ("o",), ("m", "n")]


def test_removing_one_holder_leaves_the_name_to_the_other(tmp_path: Path) -> None:
    """Whichever goes."""
    for gone, left in (("a", "b"), ("b", "a")):
        table = layers_in(str(tmp_path), b'[{"id":"a","names":["n"]},{"id":"b","names":["n"]}]')
        assert table.names_in_conflict()

        table.remove(gone)

        assert table.named("n") == Layer(id=left, names=("n",))
        assert table.names_in_conflict() == []


def test_a_degraded_table_is_not_written_by_once_its_file_was_replaced(tmp_path: Path) -> None:
    """It is of an earlier moment, and would undo what somebody has written since."""
    files = {Location.STABLE: str(tmp_path / "layers.json")}
    put(files[Location.STABLE], THREE)
    stale, current = (Table.load(LAYERS, files, degraded=True) for _ in range(2))
    assert current.promote()
    put(files[Location.STABLE], THREE)

    assert not stale.promote()


def test_a_damaged_or_missing_file_is_never_written_by_as_if_it_were_whole(tmp_path: Path) -> None:
    files = {Location.STABLE: str(tmp_path / "layers.json")}
    assert not Table.load(LAYERS, files, degraded=True).promote()
    put(files[Location.STABLE], THREE[:-9])

    assert not Table.load(LAYERS, files, degraded=True).promote()
