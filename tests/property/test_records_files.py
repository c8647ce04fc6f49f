"""Record files of any content: what nobody changed survives, and nothing but our errors comes out."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cstore.errors import CstoreError, RecordsDamaged
from cstore.records import codec
from cstore.records.containers import CONTAINERS
from cstore.records.images import IMAGES
from cstore.records.layers import LAYERS
from cstore.records.model import ZERO_TIME, Container, IDMapEntry, Image, Layer
from cstore.records.mounts import MountTable
from cstore.records.rows import read_rows
from cstore.records.table import Kind, Location, Table

KINDS: tuple[Kind[Any], ...] = (LAYERS, IMAGES, CONTAINERS)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.lists(texts, max_size=3, unique=True).map(tuple)
int64 = st.integers(-(2**63), 2**63 - 1)
owners = st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple)
maps = st.lists(st.builds(IDMapEntry, int64, int64, int64), max_size=2).map(tuple)
# Go writes floats from 2**53 to 1e21 like integers, but with zeros where the digits end; read as integers they differ.
# And -0 is read as the integer 0.
floats = st.floats(-(2**53), 2**53).map(lambda number: number or 0.0) | st.floats(1e21, allow_infinity=False)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
flags = st.dictionaries(texts, anything, max_size=3)
times = st.sampled_from([ZERO_TIME, "2026-11-20T21:45:57.058030443Z", "2026-11-20T21:45:57+01:00", "no time"])
identifiers = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)

layers = st.builds(
    Layer, id=identifiers, names=names, parent=texts, metadata=texts, mount_label=texts, created=times,
    compressed_digest=texts, compressed_size=int64, diff_digest=texts, toc_digest=texts, diff_size=int64,
    compression=int64, uids=owners, gids=owners, flags=flags, uid_map=maps, gid_map=maps, data_names=names,
)  # fmt: skip
images = st.builds(
    Image, id=identifiers, digest=texts, names=names, names_history=names, layer=texts, mapped_layers=names,
    metadata=texts, data_names=names, data_sizes=st.dictionaries(texts, int64, max_size=3),
    data_digests=st.dictionaries(texts, texts, max_size=3), created=times, flags=flags,
)  # fmt: skip
containers = st.builds(
    Container, id=identifiers, names=names, image=texts, layer=texts, metadata=texts, data_names=names,
    data_sizes=st.dictionaries(texts, int64, max_size=3), data_digests=st.dictionaries(texts, texts, max_size=3),
    created=times, uid_map=maps, gid_map=maps, flags=flags,
)  # fmt: skip

unknown = st.dictionaries(texts.map("x-".__add__), anything, max_size=2)


def loose(value: object, draw: st.DrawFn) -> str:
    """Spell a value as JSON in one of the many ways there are: white space, escapes."""
    spelled: str = json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")])),
    )
    return spelled


@st.composite
def loose_files(draw: st.DrawFn) -> tuple[bytes, list[Layer]]:
    """A file of layers that no program would spell so, and the layers in it."""
    records = draw(st.lists(layers, max_size=4, unique_by=lambda layer: layer.id))
    spelled = []
    for record in records:
        fields = list({**json.loads(codec.encode(record)), **draw(unknown)}.items())
        spelled.append(loose(dict(draw(st.permutations(fields))), draw))
    blank = draw(st.sampled_from(["", " ", "\n\t"]))
    text = f"{blank}[{blank}{f'{blank},{blank}'.join(spelled)}{blank}]{blank}"
    return text.encode(), records


def load(data: bytes, kind: Kind[Any] = LAYERS, *, degraded: bool = False) -> tuple[Table[Any], str]:
    """Load a table from a file with these bytes."""
    path = os.path.join(tempfile.mkdtemp(dir=_SCRATCH), "file.json")
    with open(path, "wb") as file:
        file.write(data)
    return Table.load(kind, {Location.STABLE: path}, degraded=degraded), path


_SCRATCH: str | None = None


@pytest.fixture(autouse=True, scope="module")
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _SCRATCH  # noqa: PLW0603  - hypothesis and function-scoped fixtures do not go together
    _SCRATCH = str(tmp_path_factory.mktemp("records"))


def read(path: str) -> bytes:
    """The bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


@given(st.one_of(layers, images, containers))
def test_every_record_comes_back(record: Layer | Image | Container) -> None:
    """Written canonically and read again it is the same; written once more, the bytes are."""
    raw = codec.encode(record)

    again = codec.decode(type(record), b"[%s]" % raw)

    assert again.flaws == []
    assert again.records == [record]
    assert codec.encode(again.records[0]) == raw


@given(loose_files())
def test_however_a_file_is_spelled_it_is_read(case: tuple[bytes, list[Layer]]) -> None:
    """Order, white space, escapes and unknown keys make no difference; heads say the same as records."""
    data, records = case

    table, _ = load(data)

    assert table.ids() == [layer.id for layer in records]
    assert [table.get(layer.id) for layer in records] == records
    assert list(table) == records
    assert list(load(data)[0]) == records


@given(loose_files(), st.data())
def test_what_nobody_changed_keeps_its_bytes(case: tuple[bytes, list[Layer]], data: st.DataObject) -> None:
    """After any additions, changes and removals, each untouched record stands in the file as it stood before."""
    content, records = case
    table, path = load(content)
    raws = {layer.id: bytes(raw) for layer, raw in zip(records, codec.split(content), strict=True)}
    expected = {layer.id: layer for layer in records}
    for layer in records:
        match data.draw(st.sampled_from(["leave", "leave", "change", "remove"])):
            case "change":
                changed = layer.with_(metadata=data.draw(texts), names=(), diff_size=data.draw(int64))
                table.replace(changed)
                expected[layer.id] = changed
                if changed != layer:
                    raws.pop(layer.id)
            case "remove":
                table.remove(layer.id)
                expected.pop(layer.id)
                raws.pop(layer.id)
    for layer in data.draw(st.lists(layers, max_size=2)):
        if layer.id not in table and all(table.named(name) is None for name in layer.names):
            table.add(layer)
            expected[layer.id] = layer

    table.save(sync=False)

    written = read(path)
    again = Table.load(LAYERS, {Location.STABLE: path}, whole=True)
    assert {layer.id: layer for layer in again} == expected
    assert list(again) == list(table)
    slices = {layer.id: bytes(raw) for layer, raw in zip(again, codec.split(written), strict=True)}
    assert {identifier: slices[identifier] for identifier in raws} == raws
    if not table.changed and expected == {layer.id: layer for layer in records}:
        assert written == content


@given(loose_files(), texts)
def test_a_changed_record_keeps_what_we_do_not_know(case: tuple[bytes, list[Layer]], metadata: str) -> None:
    """Its unknown keys and their values are still there."""
    content, records = case
    for record, raw in zip(records, codec.split(content), strict=True):
        changed = codec.rewrite(raw, record, record.with_(metadata=metadata))

        before, after = json.loads(bytes(raw)), json.loads(changed)
        assert {key: value for key, value in after.items() if key.startswith("x-")} == {
            key: value for key, value in before.items() if key.startswith("x-")
        }
        assert codec.decode_one(Layer, changed) == record.with_(metadata=metadata)


def pokes(table: Table[Any]) -> None:
    """Ask everything of a table that a command might ask, and change it."""
    for word in [*table.ids(), "a", "\ufffd"]:
        table.get(word)
        table.resolve(word)
        table.named(word)
    for record in list(table):
        table.replace(record.with_(metadata="changed", names=()))
    table.repair_names()
    if "brand new" not in table:
        table.add(table.kind.record(id="brand new"))
    table.assign_names("brand new", ["n"])
    table.save(sync=False)


WORDS = [
    *b'[ ] { } , : "id" "ID" "names" "flags" "uidmap" "created" "a" "b" null true 1 -1.5e-9 1e999'.split(),
    *b'"container_id" "manifest" "big-data-digests" {"id":"a"} {"id":"b","names":["a"]},'.split(),
    *[b" ", b"\0", b'"\xff"', b'"\\ud800"', b'"', b"\\"],
]
near_json = st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join)


@given(st.binary(max_size=60) | near_json | near_json.map(lambda inner: b"[{%s}]" % inner), st.sampled_from(KINDS))
@example(b'[{"id":"a","id":"b"},{"id":"\xff"},{"id":"\xfe"}]', LAYERS)
@example(b"[" * 3000, LAYERS)
@example(b'[{"id":"a","x":' + b"[" * 3000 + b"]" * 3000 + b"}]", LAYERS)
@example(b'[{"id":"a","flags":{"x":' + b"[" * 600 + b"]" * 600 + b"}}]", LAYERS)
@example(b'[{"id":"a","flags":{"\xff":' + b"[" * 600 + b"]" * 600 + b"}}]", LAYERS)
@example(b'[{"id":' + b"[" * 600 + b"]" * 600 + b"}]", LAYERS)
@example(b'[{"id":"\xff","x":' + b"[" * 600 + b"]" * 600 + b"}]", LAYERS)
@example(b'[{"id":"a","flags":{"x":' + b"9" * 5000 + b"}}]", LAYERS)
@example(b'[{"id":"a","big-data-digests":{"manifest":"x"}}]', IMAGES)
def test_any_bytes_give_records_or_our_errors(data: bytes, kind: Kind[Any]) -> None:
    """Nothing else is raised, a file with flaws is not written, and what was written can be read."""
    try:
        table, path = load(data, kind)
        pokes(table)
    except RecordsDamaged as caught:
        damage = caught
    else:
        assert Table.load(kind, {Location.STABLE: path}, whole=True).named("n")
        return
    assert damage.reason
    assert damage.offset is None or 0 <= damage.offset <= len(data)
    degraded, path = load(data, kind, degraded=True)
    degraded.verify()
    assert degraded.flaws
    with pytest.raises(CstoreError):
        pokes(degraded)
    assert read(path) == data


@given(loose_files(), st.data())
def test_a_cut_file_is_always_noticed(case: tuple[bytes, list[Layer]], data: st.DataObject) -> None:
    """A file that ends too early is damage wherever it was cut, and so is one with zeros at its end."""
    whole = case[0].strip()
    size = data.draw(st.integers(1, max(1, len(whole) - 1)))
    cut = whole[:size]

    for damaged in (cut, cut + b"\0" * (len(whole) - size), whole + b"\0", whole + cut[-1:]):
        assert codec.decode(Layer, damaged).flaws or damaged.strip() == whole
        assert read_rows(Layer, damaged) is None or damaged.strip() == whole


@given(st.binary(max_size=60) | near_json | near_json.map(lambda inner: b"[{%s}]" % inner))
def test_any_bytes_give_mounts_or_our_errors(data: bytes) -> None:
    """The mount table is no exception."""
    path = os.path.join(tempfile.mkdtemp(dir=_SCRATCH), "mountpoints.json")
    with open(path, "wb") as file:
        file.write(data)
    try:
        table = MountTable.load(path)
    except RecordsDamaged:
        return
    mounts = list(table)
    table.save(sync=False)
    assert list(MountTable.load(path)) == mounts
