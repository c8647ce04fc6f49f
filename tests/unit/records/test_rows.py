"""Large record files, cut at the seams between records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cstore.errors import RecordsDamaged
from cstore.records import codec, rows
from cstore.records.layers import LAYERS, children, incomplete
from cstore.records.model import Layer
from cstore.records.rows import cut_at_seams
from cstore.records.table import Location, Table

from .sample_files import SAMPLES, put, read, sample

if TYPE_CHECKING:
    from pathlib import Path

FOUR = [
    Layer(id="a", names=("one", "é <n>"), diff_size=5),
    Layer(id="b", parent="a", uids=(0, 5)),
    Layer(id="c", flags={"incomplete": True}),
    Layer(id="d", names=("four",), metadata='},{"id":"x'),
]


def written(*layers: Layer) -> bytes:
    """A file as every writer writes it."""
    return b"[%s]" % b",".join(map(codec.encode, layers))


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table[Layer]:
    """A table that was read from a file as if that were large."""
    monkeypatch.setattr(rows, "LARGE", 1)
    return Table.load(LAYERS, {Location.STABLE: put(str(tmp_path / "layers.json"), written(*FOUR))})


def test_a_large_table_answers_like_a_small_one(table: Table[Layer]) -> None:
    """By ID, by name, by prefix, in order, and by what is mentioned."""
    assert table.ids() == ["a", "b", "c", "d"]
    assert [(identifier, tuple(names)) for identifier, names in table.heads()] == [(one.id, one.names) for one in FOUR]
    assert [table.get(one.id) for one in FOUR] == FOUR
    assert table.named("é <n>") == table.resolve("one") == FOUR[0]
    assert children(table, "a") == [FOUR[1]]
    assert incomplete(table) == [FOUR[2]]
    assert list(table) == FOUR


def test_a_large_table_is_changed_like_a_small_one(table: Table[Layer], tmp_path: Path) -> None:
    """What is new stands at the end, and what nobody touched keeps its bytes."""
    table.add(Layer(id="e"))
    table.save()
    assert read(str(tmp_path / "layers.json")) == written(*FOUR, Layer(id="e"))

    table.replace(FOUR[1].with_(metadata="m"))
    table.remove("c")
    table.save()
    assert read(str(tmp_path / "layers.json")) == written(FOUR[0], FOUR[1].with_(metadata="m"), FOUR[3], Layer(id="e"))


def test_damage_in_a_record_is_told_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its place. The other records answer."""
    monkeypatch.setattr(rows, "LARGE", 1)
    data = written(*FOUR).replace(b'"uidset":[0,5]', b'"uidset":[0,,5]')
    damaged = Table.load(LAYERS, {Location.STABLE: put(str(tmp_path / "layers.json"), data)})

    assert damaged.get("a") == FOUR[0]
    with pytest.raises(RecordsDamaged, match=r"record 2 \(ID b\)") as caught:
        damaged.get("b")
    assert caught.value.offset == data.index(b'{"id":"b"')
    with pytest.raises(RecordsDamaged):
        damaged.verify()


@pytest.mark.parametrize("name", [name for name, kind in SAMPLES.items() if kind is LAYERS])
def test_files_of_other_programs_can_be_cut(name: str) -> None:
    """They have the shape."""
    cut = cut_at_seams(sample(name))

    assert cut is not None
    assert [cut.raw(number) for number in range(len(cut.heads()))] == codec.split(sample(name))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'[{"id":"a"}',
        b'[{"id":"a"},{"id":"b"',
        b'[{"id":"a"},{"id":"b"}]\0\0',
        b'[{"id":"a","x":"\0\0\0"},{"id":"b"}]',
        b'[{"id":"a"}, {"id":"b"}]',
        b'[{"id":"a"},{"names":["n"],"id":"b"}]',
        b'[{"id":"a"},{"id":"b","parent":"a","names":["n"]}]',
        b'[{"id":"a","Names":["n"]}]',
        b'[{"id":"a","ID":"b"}]',
        b'[{"id":"a","id":"b"}]',
        b'[{"id":"a","\\u006eames":["n"]}]',
        b'[{"id":"a","\\u0069d":"b"}]',
        b'[{"id":"a\\n"}]',
        b'[{"id":""}]',
        b'[{"id":"a","names":null}]',
        b'[{"id":"a","names":[7]}]',
        b'[{"id":"a","names":["n"}]',
        b'[{"id":"a\xff"}]',
        b'[{"id":"a","flags":{"x":[{"id":"b"},{"id":"c"}]}}]',
    ],
)
def test_what_has_another_shape_is_not_cut(data: bytes) -> None:
    """Files that were cut short or zeroed, other orders and spellings, seams that are none."""
    assert cut_at_seams(data) is None


odd_texts = st.sampled_from(["id", "names", "ID", "a", '},{"id":"', '{"id":"', "{", "}", "[", "]", '"', "\\", "é", ","])
odd_values = st.recursive(
    odd_texts | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=6,
)
odd_layers = st.builds(
    Layer,
    id=odd_texts,
    names=st.lists(odd_texts, max_size=2, unique=True).map(tuple),
    metadata=odd_texts,
    flags=st.dictionaries(odd_texts, odd_values, max_size=2),
)


@given(st.lists(odd_layers, max_size=3))
@example([Layer(id="a", flags={"x": [{"a": 1}, {"id": "b"}], "y": "}]}"})])
def test_a_cut_is_right_or_not_made(layers: list[Any]) -> None:
    """Whatever is in the records: their heads and their bytes are those that a parser finds."""
    data = written(*layers)

    cut = cut_at_seams(data)

    if cut is not None:
        assert [(identifier, tuple(names)) for identifier, names in cut.heads()] == [
            (one.id, one.names) for one in layers
        ]
        assert [cut.raw(number) for number in range(len(layers))] == codec.split(data)
