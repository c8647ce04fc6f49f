"""Bytes of record files and records."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from cstore.records import codec
from cstore.records.model import Container, IDMapEntry, Image, Layer
from cstore.records.rows import read_rows

from .sample_files import SAMPLES, sample


@pytest.mark.parametrize("name", SAMPLES)
def test_foreign_files_come_out_as_they_went_in(name: str) -> None:
    """Every record of the peers, decoded and encoded canonically, gives the peers' own bytes."""
    data = sample(name)

    contents = codec.decode(SAMPLES[name].record, data)

    assert contents.flaws == []
    assert b"[%s]" % b",".join(map(codec.encode, contents.records)) == data


@pytest.mark.parametrize("name", SAMPLES)
def test_rewriting_a_record_unchanged_gives_its_bytes(name: str) -> None:
    """What a rewrite keeps, and what it writes, do not differ for canonical records."""
    data = sample(name)

    for record, raw in zip(codec.decode(SAMPLES[name].record, data).records, codec.split(data), strict=True):
        assert codec.rewrite(raw, record, record) == bytes(raw)


def test_all_keys_of_a_layer_in_their_order() -> None:
    """The order is that of the format, and everything is there once it is not empty."""
    layer = Layer(
        id="i",
        names=("n",),
        parent="p",
        metadata="m",
        mount_label="l",
        created="2020-01-01T00:00:00Z",
        compressed_digest="c",
        compressed_size=1,
        diff_digest="d",
        toc_digest="t",
        diff_size=-1,
        compression=4,
        uids=(0,),
        gids=(1,),
        flags={"incomplete": True, "a": 1.0},
        uid_map=(IDMapEntry(0, 1, 2),),
        gid_map=(IDMapEntry(3, 4, 5),),
        data_names=("k",),
    )

    assert codec.encode(layer) == (
        b'{"id":"i","names":["n"],"parent":"p","metadata":"m","mountlabel":"l","created":"2020-01-01T00:00:00Z",'
        b'"compressed-diff-digest":"c","compressed-size":1,"diff-digest":"d","toc-digest":"t","diff-size":-1,'
        b'"compression":4,"uidset":[0],"gidset":[1],"flags":{"a":1,"incomplete":true},'
        b'"uidmap":[{"container_id":0,"host_id":1,"size":2}],"gidmap":[{"container_id":3,"host_id":4,"size":5}],'
        b'"big-data-names":["k"]}'
    )


def test_all_keys_of_an_image_in_their_order() -> None:
    """Maps are sorted bytewise, lists are not."""
    image = Image(
        id="i",
        digest="d",
        names=("b", "a"),
        names_history=("h",),
        layer="l",
        mapped_layers=("m",),
        metadata="x",
        data_names=("k", "A"),
        data_sizes={"k": 0, "A": 2},
        data_digests={"k": "e", "A": "f"},
        created="2020-01-01T00:00:00Z",
        flags={"f": None},
    )

    assert codec.encode(image) == (
        b'{"id":"i","digest":"d","names":["b","a"],"names-history":["h"],"layer":"l","mapped-layers":["m"],'
        b'"metadata":"x","big-data-names":["k","A"],"big-data-sizes":{"A":2,"k":0},"big-data-digests":{"A":"f","k":"e"},'
        b'"created":"2020-01-01T00:00:00Z","flags":{"f":null}}'
    )


def test_what_is_never_omitted() -> None:
    """`created` is there with Go's zero time; a container has `image` and `layer` even if empty."""
    zero = b'"created":"0001-01-01T00:00:00Z"}'

    assert codec.encode(Layer(id="a")) == b'{"id":"a",' + zero
    assert codec.encode(Image(id="a")) == b'{"id":"a",' + zero
    assert codec.encode(Container(id="a")) == b'{"id":"a","image":"","layer":"",' + zero


def test_missing_fields_have_zero_values() -> None:
    """A record may consist of an ID."""
    (layer,) = codec.decode(Layer, b'[{"id":"a"}]').records

    assert layer == Layer(id="a")
    assert not layer.incomplete


def test_rewriting_keeps_what_we_do_not_know() -> None:
    """Keys of a newer writer stay, with the very bytes of their values, at the end."""
    raw = b'{"id":"a","new":{"b" : [1.0, 1e3]},"metadata":"m","created":"0001-01-01T00:00:00Z","Other":null}'
    old = codec.decode_one(Layer, raw)

    changed = codec.rewrite(raw, old, old.with_(parent="p", metadata=""))

    assert changed == (
        b'{"id":"a","parent":"p","created":"0001-01-01T00:00:00Z","new":{"b" : [1.0, 1e3]},"Other":null}'
    )


def test_rewriting_keeps_the_bytes_of_fields_that_did_not_change() -> None:
    """Flags that a float cannot hold, and unknown parts of an ID map, outlive a change of another field."""
    raw = (
        b'{"id":"a","created":"2020-01-01T00:00:00.100+01:00","flags":{"n":12345678901234567890,"f":1.50},'
        b'"uidmap":[{"container_id":0,"host_id":1,"size":2,"later":3}]}'
    )
    old = codec.decode_one(Layer, raw)
    new = old.with_(metadata="m")

    changed = codec.rewrite(raw, old, new)

    assert changed == raw.replace(b'"created"', b'"metadata":"m","created"')
    assert codec.decode_one(Layer, changed) == new


def test_flags_keep_big_integers_exactly() -> None:
    """Go loses the end of a number above 2**53; we do not, even when the flags are written anew."""
    layer = codec.decode_one(Layer, b'{"id":"a","flags":{"n":12345678901234567890123}}')

    assert b'"n":12345678901234567890123' in codec.encode(layer.with_(flags={**layer.flags, "x": 1}))


@pytest.mark.parametrize(("value", "incomplete"), [("true", True), ("false", False), ('"true"', False), ("1", False)])
def test_only_json_true_makes_a_layer_incomplete(value: str, incomplete: bool) -> None:
    """A number or a text in its place does not count."""
    layer = codec.decode_one(Layer, b'{"id":"a","flags":{"incomplete":%s}}' % value.encode())

    assert layer.incomplete is incomplete


def test_integers_at_their_bounds() -> None:
    """Sizes are 64 bits with a sign, owners 32 bits without."""
    smallest, largest = b'"diff-size":-9223372036854775808', b'"compressed-size":9223372036854775807'
    good = b'[{"id":"a",%s,%s,"uidset":[0,4294967295]}]' % (smallest, largest)

    (layer,) = codec.decode(Layer, good).records

    assert (layer.diff_size, layer.compressed_size, layer.uids) == (-(2**63), 2**63 - 1, (0, 2**32 - 1))
    zero = b'"created":"0001-01-01T00:00:00Z"'
    assert codec.encode(layer) == b'{"id":"a",%s,%s,%s,"uidset":[0,4294967295]}' % (zero, largest, smallest)


def test_heads_are_those_of_the_whole_records() -> None:
    """The short way reads the same IDs and names."""
    for name in ("layers.json", "volatile-layers.json", "overlay-layers.json"):
        data = sample(name)
        rows = read_rows(Layer, data)

        assert rows is not None
        assert [(identifier, tuple(names)) for identifier, names in rows.heads()] == [
            (layer.id, layer.names) for layer in codec.decode(Layer, data).records
        ]


@pytest.mark.parametrize(
    "data",
    [
        b'[{"id":"a","Names":["n"]}]',
        b'[{"ID":"a"}]',
        b'[{"id":"\\ud800"}]',
        b'[{"id":"a","names":null}]',
        b'[{"id":""}]',
        b"[null]",
        b"[",
    ],
)
def test_heads_are_not_read_where_they_would_be_wrong(data: bytes) -> None:
    """Keys in another case, nulls, lone surrogates and damage are left to the thorough way."""
    assert read_rows(Layer, data) is None


def test_now_is_written_as_go_writes_it() -> None:
    """RFC 3339 in UTC, nanoseconds, no trailing zeros."""
    text = codec.now()

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", text)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(text[:19] + "+00:00")).total_seconds()) < 60
