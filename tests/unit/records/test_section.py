"""Saving record files: what is written, and what is never overwritten."""

from __future__ import annotations

import json
import os
import random
import stat
from typing import TYPE_CHECKING

import pytest

from cstore import gojson
from cstore.errors import RecordsChanged, RecordsDamaged, SystemFailure
from cstore.records.layers import LAYERS
from cstore.records.model import Layer
from cstore.records.table import Location, Table

from .sample_files import SAMPLES, files_in, layers_in, put, read, sample

if TYPE_CHECKING:
    from pathlib import Path

ZERO = b'"created":"0001-01-01T00:00:00Z"'


@pytest.mark.parametrize("name", SAMPLES)
def test_foreign_files_survive_a_change_and_its_undoing(tmp_path: Path, name: str) -> None:
    """Adding a record, changing it, removing it: the file is what it was, byte for byte."""
    path = put(str(tmp_path / name), sample(name))
    table = Table.load(SAMPLES[name], {Location.STABLE: path})

    table.add(SAMPLES[name].record(id="0"))
    table.save()
    assert read(path) != sample(name)
    table = Table.load(SAMPLES[name], {Location.STABLE: path})
    table.remove("0")
    table.save()

    assert read(path) == sample(name)


def test_nothing_changed_is_nothing_written(tmp_path: Path) -> None:
    """Not even the file's time."""
    table = layers_in(str(tmp_path), b'[ {"id":"a"} ]')
    before = os.stat(tmp_path / "layers.json")

    assert list(table) == [Layer(id="a")]
    table.save()

    assert os.stat(tmp_path / "layers.json") == before


def test_an_added_record_leaves_the_bytes_of_the_others(tmp_path: Path) -> None:
    """Odd white space, unknown keys, floats, another order: nobody touched them."""
    others = b'{"names" : ["n"], "id":"a", "later":1.50e0},\n{"ID":"b","metadata":"\\u0041\xff"}'
    table = layers_in(str(tmp_path), b" [ " + others + b" ]\n")

    table.add(Layer(id="c"))
    table.save()

    assert read(str(tmp_path / "layers.json")) == b"[ " + others + b' ,{"id":"c",' + ZERO + b"}]"


def test_a_changed_record_leaves_the_bytes_of_the_others(tmp_path: Path) -> None:
    """Only the one record is written anew, and even it keeps what we do not know."""
    table = layers_in(str(tmp_path), b'[{"id":"a","later":1.0}, {"id":"b","later":2.0} ,{"id":"c","later":3.0}]')

    table.replace(Layer(id="b", metadata="m"))
    table.remove("a")
    table.save()

    assert read(str(tmp_path / "layers.json")) == (
        b'[{"id":"b","metadata":"m",' + ZERO + b',"later":2.0},{"id":"c","later":3.0}]'
    )


def test_a_hidden_duplicate_stays_on_disk(tmp_path: Path) -> None:
    """A rewrite for another record's sake does not drop it."""
    table = layers_in(str(tmp_path), b'[{"id":"a"},{"id":"a","metadata":"2"},{"id":"b"}]')

    table.replace(Layer(id="b", metadata="m"))
    table.save()

    assert read(str(tmp_path / "layers.json")).startswith(b'[{"id":"a"},{"id":"a","metadata":"2"},{"id":"b"')


@pytest.mark.parametrize("nothing", [b"", b"null", b"[]", b" [ ] "])
def test_the_first_record_of_a_file_without_records(tmp_path: Path, nothing: bytes) -> None:
    """Whatever way of saying "none" stood there before."""
    table = layers_in(str(tmp_path), nothing)

    table.add(Layer(id="a"))
    table.save()

    assert read(str(tmp_path / "layers.json")) == b'[{"id":"a",' + ZERO + b"}]"


def test_the_last_record_leaves_an_empty_list(tmp_path: Path) -> None:
    """Not an empty file, which would look like damage."""
    table = layers_in(str(tmp_path), b'[{"id":"a"}]')

    table.remove("a")
    table.save()

    assert read(str(tmp_path / "layers.json")) == b"[]"


def test_only_changed_files_are_written(tmp_path: Path) -> None:
    """And only those come to exist, with their directories, for the owner alone, whatever the umask."""
    files = files_in(str(tmp_path / "made" / "here"))
    table = Table.load(LAYERS, files)
    old = os.umask(0o077)
    try:
        os.umask(0)
        table.add(Layer(id="a"), Location.IMAGE_STORE)
        table.save()
    finally:
        os.umask(old)

    path = files[Location.IMAGE_STORE]
    assert [os.path.exists(files[place]) for place in Location] == [False, True, False]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    for directory in ("made", "made/here", "made/here/read-only"):
        assert stat.S_IMODE(os.stat(tmp_path / directory).st_mode) == 0o700


def test_a_table_may_be_saved_again_and_again(tmp_path: Path) -> None:
    """Each save starts from what the last one wrote."""
    table = layers_in(str(tmp_path), b'[{"id":"a"},{"id":"b"}]')

    table.add(Layer(id="c"))
    table.save()
    assert table.is_current()
    assert table.changed == set()
    table.replace(Layer(id="c", metadata="1"))
    table.remove("a")
    table.save()
    table.add(Layer(id="d"))
    table.replace(Layer(id="b", metadata="2"))
    table.save()

    assert table.is_current()
    again = Table.load(LAYERS, {Location.STABLE: str(tmp_path / "layers.json")})
    assert list(again) == list(table) == [Layer(id="b", metadata="2"), Layer(id="c", metadata="1"), Layer(id="d")]


def test_a_file_that_somebody_else_wrote_is_not_overwritten(tmp_path: Path) -> None:
    """Whoever ignores the lock does not lose a record through us."""
    path = str(tmp_path / "layers.json")
    table = layers_in(str(tmp_path), b'[{"id":"a"}]')
    put(path, b'[{"id":"b"}]')

    table.add(Layer(id="c"))

    assert not table.is_current()
    with pytest.raises(RecordsChanged):
        table.save()
    assert read(path) == b'[{"id":"b"}]'


def test_a_file_that_came_into_being_is_not_overwritten(tmp_path: Path) -> None:
    """The same, if there was none when we looked."""
    files = files_in(str(tmp_path))
    table = Table.load(LAYERS, files)
    put(files[Location.STABLE], b'[{"id":"b"}]')

    table.add(Layer(id="c"))

    with pytest.raises(RecordsChanged):
        table.save()
    assert read(files[Location.STABLE]) == b'[{"id":"b"}]'


@pytest.mark.parametrize(
    "data", [b"\0" * 50, b'[{"id":"a"}', b'[{"id":"a"}]x', b"[null]", b"{}", b'[{"id":"a","names":1}]', b" "]
)
def test_a_damaged_file_is_never_overwritten(tmp_path: Path, data: bytes) -> None:
    """Not even when it was read degraded."""
    table = layers_in(str(tmp_path), data, degraded=True)

    table.add(Layer(id="new"))

    with pytest.raises(RecordsDamaged):
        table.save()
    assert read(str(tmp_path / "layers.json")) == data


def test_an_empty_file_beside_data_is_never_overwritten(tmp_path: Path) -> None:
    """It is what a crash leaves, and the records may yet be found elsewhere."""
    path = put(str(tmp_path / "layers.json"), b"")
    table = Table.load(LAYERS, {Location.STABLE: path}, empty_is_damage=lambda _: True, degraded=True)

    table.add(Layer(id="new"))

    with pytest.raises(RecordsDamaged):
        table.save()
    assert read(path) == b""


def test_damage_in_one_file_does_not_stop_another(tmp_path: Path) -> None:
    """The sound file can be written."""
    files = files_in(str(tmp_path))
    put(files[Location.VOLATILE], b"[")
    table = Table.load(LAYERS, files, degraded=True)

    table.add(Layer(id="a"))
    table.save()

    assert Table.load(LAYERS, {Location.STABLE: files[Location.STABLE]}).ids() == ["a"]
    assert read(files[Location.VOLATILE]) == b"["


def test_volatile_files_are_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reboot ends the life of what is in them; the others are synced, unless that is not wanted."""
    synced: list[str] = []
    real = os.fdatasync

    def watched(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fdatasync", watched)
    table = Table.load(LAYERS, files_in(str(tmp_path)))
    for sync in (True, False):
        for place in Location:
            table.add(Layer(id=f"{place.name} {sync}"), place)
        table.save(sync=sync)

    assert len(synced) == 2
    assert all("/.tmp-layers.json" in path for path in synced)


def test_a_failed_save_may_be_tried_again(tmp_path: Path) -> None:
    """The table still knows what is to be written."""
    directory = tmp_path / "d"
    directory.write_bytes(b"in the way")
    table = Table.load(LAYERS, {Location.STABLE: str(tmp_path / "d2" / "layers.json")})
    (tmp_path / "d2").write_bytes(b"in the way")
    table.add(Layer(id="a"))

    with pytest.raises(SystemFailure):
        table.save()
    (tmp_path / "d2").unlink()
    table.save()

    assert read(str(tmp_path / "d2" / "layers.json")) == b'[{"id":"a",' + ZERO + b"}]"


@pytest.mark.parametrize("records", [3, 2500])
def test_a_huge_file_is_read_in_passing_and_written_from_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: int
) -> None:
    """And comes out as any other does: some rows changed, others gone, new ones at the end."""
    content = b"[%s]" % b",".join(
        b'{"id":"l%d","names":["n%d"],"created":"2020-01-01T00:00:00Z","future":[%d]}' % (number, number, number)
        for number in range(records)
    )

    def changed() -> tuple[bytes, list[Layer]]:
        path = put(str(tmp_path / "layers.json"), content)
        table = Table.load(LAYERS, {Location.STABLE: path})
        before = list(table)
        table.remove("l0")
        table.replace(before[1].with_(metadata="text"))
        table.replace(before[-1].with_(names=()))
        table.add(Layer(id="new"))
        table.save(sync=False)
        table.remove("l1")
        table.add(Layer(id="newer"))
        table.save(sync=False)
        return read(path), before

    usual = changed()
    monkeypatch.setattr("cstore.records.rows.LARGE", 0)
    monkeypatch.setattr("cstore.records.section.HUGE", 0)

    assert changed() == usual


ODD = [
    {"id": "a", "created": "x"},
    {"id": "a<b", "created": "x"},
    {"id": "a", "names": ["n", "m&m"], "created": "x"},
    {"id": "a", "names": [], "created": "x"},
    {"id": "a", "names": None, "created": "x"},
    {"id": "a", "parent": "", "created": "x"},
    {"id": "a"},
    {"id": "a", "created": "x", "parent": "b"},
    {"id": "a", "created": "x", "diff-size": 0},
    {"id": "a", "created": "x", "diff-size": -1, "compression": 2},
    {"id": "a", "created": "x", "diff-size": 2**63 - 1},
    {"id": "a", "created": "x", "uidset": [0, 42, 2**32 - 1], "gidset": []},
    {"id": "a", "created": "x", "uidset": [0, 42], "gidset": [7]},
    {"id": "a", "created": "x", "flags": {"b": 1, "a": 1.5}},
    {"id": "a", "created": "x", "uidmap": [{"container_id": 0, "host_id": 1, "size": 2}]},
    {"id": "a", "created": "x", "future": [1]},
    {"id": "a", "created": "\u00e9 \u2028 \x7f"},
    {"id": "a", "names": ["n"], "parent": "p", "metadata": "m", "mountlabel": "l", "created": "x",
     "compressed-diff-digest": "d", "compressed-size": 1, "diff-digest": "e", "toc-digest": "t", "diff-size": 2,
     "compression": 2, "uidset": [0], "gidset": [0], "big-data-names": ["k"]},
]  # fmt: skip


@pytest.mark.parametrize("raw", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_a_huge_file_gives_to_be_printed_is_what_its_records_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: dict[str, object], *, ascii_only: bool
) -> None:
    """Whether a record is written as programs print it, or in any other way that can be read."""
    rows = [{**raw, "id": f"{raw['id']}{number}"} for number in range(3)]
    content = json.dumps(rows, separators=(",", ":"), ensure_ascii=ascii_only).encode()
    path = put(str(tmp_path / "layers.json"), content)
    usual = [gojson.encode(layer.document()).strip() for layer in Table.load(LAYERS, {Location.STABLE: path})]
    monkeypatch.setattr("cstore.records.rows.LARGE", 0)
    monkeypatch.setattr("cstore.records.section.HUGE", 0)

    found = Table.load(LAYERS, {Location.STABLE: path}).documents()

    texts = [each if isinstance(each, bytes) else gojson.encode(each.document()).strip() for each in found]
    assert b",".join(texts) == b",".join(usual)


def test_records_written_as_they_are_printed_are_not_taken_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing of very many takes little more than reading their file."""
    rows = [{"id": f"l{number}", "names": [f"n{number}"], "created": "x"} for number in range(2500)]
    path = put(str(tmp_path / "layers.json"), json.dumps(rows, separators=(",", ":")).encode())
    monkeypatch.setattr("cstore.records.rows.LARGE", 0)
    monkeypatch.setattr("cstore.records.section.HUGE", 0)

    assert [type(each) for each in Table.load(LAYERS, {Location.STABLE: path}).documents()] == [bytes] * 3


@pytest.mark.parametrize(
    "fields", [("id",), ("parent",), ("names", "flags", "id", "diff_size"), Layer.field_names()[:10]]
)
@pytest.mark.parametrize("record", ODD, ids=lambda record: json.dumps(record)[:40])
def test_columns_say_what_the_records_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: dict[str, object], fields: tuple[str, ...]
) -> None:
    """However a record is written, and whatever is asked: cut out of the bytes of a block or taken from records."""
    rows = [record, {"id": "b", "names": ["n]", "o"], "parent": "a", "created": "x", "diff-size": -7}]
    path = put(str(tmp_path / "layers.json"), json.dumps(rows, separators=(",", ":")).encode())
    layers = [*Table.load(LAYERS, {Location.STABLE: path})]
    monkeypatch.setattr("cstore.records.rows.LARGE", 0)
    monkeypatch.setattr("cstore.records.section.HUGE", 0)

    found = [*Table.load(LAYERS, {Location.STABLE: path}).columns(*fields)]

    assert found == [tuple(getattr(layer, field) for field in fields) for layer in layers]


def test_columns_of_very_many_layers_make_no_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs what is known from two columns; a plan for one layer makes no object for each of the others."""
    rows = [{"id": f"l{number}", "names": [f"n{number}"], "created": "x"} for number in range(2500)]
    path = put(str(tmp_path / "layers.json"), json.dumps(rows, separators=(",", ":")).encode())
    monkeypatch.setattr("cstore.records.rows.LARGE", 0)
    monkeypatch.setattr("cstore.records.section.HUGE", 0)
    table, made = Table.load(LAYERS, {Location.STABLE: path}), list[object]()
    monkeypatch.setattr("cstore.records.codec.from_row", lambda *row: made.append(row))
    monkeypatch.setattr("cstore.records.huge.from_row", lambda *row: made.append(row))

    table.verify()

    assert len([*table.columns("id", "parent")]) == len([*table.columns("id", "diff_size")]) == 2500
    assert made == []


def test_columns_show_what_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of which a record was replaced, removed or added is no longer what the file says."""
    rows = [{"id": f"l{number}", "created": "x"} for number in range(1500)]
    path = put(str(tmp_path / "layers.json"), json.dumps(rows, separators=(",", ":")).encode())
    monkeypatch.setattr("cstore.records.rows.LARGE", 0)
    monkeypatch.setattr("cstore.records.section.HUGE", 0)
    table = Table.load(LAYERS, {Location.STABLE: path})
    table.verify()

    table.replace(Layer(id="l3", parent="l2", created="x"))
    table.remove("l1400")
    table.add(Layer(id="new", parent="l3", created="x"))

    found = dict(table.columns("id", "parent"))
    assert (found["l3"], found["new"], len(found)) == ("l2", "l3", 1500)
    assert "l1400" not in found


@pytest.mark.parametrize("large", [0, 1 << 17])
@pytest.mark.parametrize("huge", [0, 1 << 24])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_table_that_was_saved_knows_what_one_that_is_read_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int, huge: int, seed: int, *, whole: bool
) -> None:
    """However often it is changed and saved: nobody reads the file again."""
    monkeypatch.setattr("cstore.records.rows.LARGE", large)
    monkeypatch.setattr("cstore.records.section.LARGE", large)
    monkeypatch.setattr("cstore.records.section.HUGE", huge)
    monkeypatch.setattr("cstore.records.section._LONG", 5)
    choice = random.Random(seed)
    rows = [{"id": f"l{number}", "names": [f"n{number}"], "created": "x", "future": [number]} for number in range(12)]
    content = json.dumps(rows, separators=(",", ":") if seed % 2 else (", ", ": "))
    files = {Location.STABLE: put(str(tmp_path / "layers.json"), content.encode())}
    files[Location.VOLATILE] = str(tmp_path / "volatile-layers.json")
    table = Table.load(LAYERS, files, whole=whole)
    for step in range(60):
        for _ in range(choice.randrange(1, 4)):
            known = choice.choice(table.ids() or [""])
            match choice.randrange(6) if known else 0:
                case 0 | 1:
                    place = choice.choice([Location.STABLE, Location.VOLATILE])
                    number = choice.random()
                    table.add(Layer(id=f"new{number}", names=(f"m{number}",)), place)
                case 2:
                    table.remove(known)
                case 3 if (record := table.get(known)) is not None:
                    table.replace(record.with_(parent=choice.choice(table.ids()), metadata='"' * choice.randrange(2)))
                case _:
                    table.assign_names(known, [f"n{choice.randrange(9)}", f"n{choice.randrange(9)}"])
        table.save(sync=False)
        fresh = Table.load(LAYERS, files)
        word = choice.choice([*table.ids(), "n1"])

        assert table.settle(degraded=False)
        assert not table.changed
        assert [(each, tuple(names)) for each, names in table.heads()] == [
            (each, tuple(names)) for each, names in fresh.heads()
        ]
        assert table.named("n3") == fresh.named("n3")
        mentions = {each.id for each in fresh if word in {each.id, each.parent, *each.names}}
        assert mentions <= {each.id for each in table.mentioning(word)}
        if not step % 7:
            assert list(table) == list(fresh)
            assert table.names_in_conflict() == []
