"""What Go accepts, and how damage is told."""

from __future__ import annotations

import pytest

from cstore.records import codec
from cstore.records.model import Container, IDMapEntry, Image, Layer


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'[{"ID":"a","Names":["n"],"PARENT":"p"}]', Layer(id="a", names=("n",), parent="p")),
        (b'[{"id":"a","id":"b"}]', Layer(id="b")),
        (b'[{"id":"a","ID":"b"}]', Layer(id="b")),
        (b'[{"ID":"a","id":"b","metadata":"x","metadata":"y"}]', Layer(id="b", metadata="y")),
        (b'[{"id":"a","names":null,"parent":null,"diff-size":null,"flags":null,"created":null}]', Layer(id="a")),
        (b'[{"id":"a","names":[null,"n"],"uidset":[null,5]}]', Layer(id="a", names=("", "n"), uids=(0, 5))),
        (
            b'[{"id":"a","uidmap":[null,{"Container_ID":1,"size":null,"x":[]}]}]',
            Layer(id="a", uid_map=(IDMapEntry(), IDMapEntry(1))),
        ),
        (b'[{"id":"a","metadata":"\\ud800-\\udc00"}]', Layer(id="a", metadata="\ufffd-\ufffd")),
        (b'[{"id":"a","metadata":"x\xff\xc3("}]', Layer(id="a", metadata="x\ufffd\ufffd(")),
        (
            b'[{"id":"a","flags":{"k\xff":["\xff",{"\xff":null}]}}]',
            Layer(id="a", flags={"k\ufffd": ["\ufffd", {"\ufffd": None}]}),
        ),
        (b' \t\r\n[ { "id" : "a" , "zz" : "\xff" } ] \n', Layer(id="a")),
        (b'[{"id":"a","zz":{"deep":[1,2,{"x":null}]},"metadata":"m"}]', Layer(id="a", metadata="m")),
        (b'[{"\\u0069d":"a"}]', Layer(id="a")),
    ],
)
def test_what_go_reads_is_read(data: bytes, expected: Layer) -> None:
    """Keys of any case, repeated keys, nulls, texts that are not Unicode, white space."""
    contents = codec.decode(Layer, data)

    assert (contents.records, contents.flaws) == ([expected], [])


def test_nulls_in_maps_are_zero() -> None:
    """A size of null is 0, a digest of null is empty."""
    data = b'[{"id":"a","big-data-sizes":{"k":null},"big-data-digests":{"k":null}}]'

    for kind in (Image, Container):
        (record,) = codec.decode(kind, data).records
        assert record == kind(id="a", data_sizes={"k": 0}, data_digests={"k": ""})


@pytest.mark.parametrize("data", [b"null", b" null\n", b"[]", b" [ ] "])
def test_lists_without_records(data: bytes) -> None:
    """The peer writes `null` after saving no records at all."""
    assert codec.decode(Layer, data) == codec.Contents([], [])


@pytest.mark.parametrize(
    ("data", "records", "reason", "offset"),
    [
        (b" \n", 0, "it contains only white space", 2),
        (b"\0\0\0\0", 0, "it is filled with NUL bytes", 0),
        (b'[{"id":"a"},\0\0\0', 1, "it contains NUL bytes, as files may after a crash", 12),
        (b'{"id":"a"}', 0, "it is not a list", 0),
        (b'"layers"', 0, "it is not a list", 0),
        (b"\xef\xbb\xbf[]", 0, "it is not a list", 0),
        (b"[", 0, "it ends in record 1", 1),
        (b'[{"id":"a"}', 1, "it ends after record 1", 11),
        (b'[{"id":"a"},', 1, "it ends in record 2", 12),
        (b'[{"id":"a"},{"id":"b","names":["x', 1, "it ends in record 2", 31),
        (b'[{"id":"a"},{"id":"b","x":tru', 1, "it ends in record 2", 26),
        (b'[{"id":"\xc3\xa9"},{"id":', 1, "it ends in record 2", 19),
        (b'[{"id":"a"}]]', 1, "there is data after the list", 12),
        (b'[{"id":"a"}][{"id":"b"}]', 1, "there is data after the list", 12),
        (b'[{"id":"a"} {"id":"b"}]', 1, "after record 1 there is neither ',' nor ']'", 12),
        (b'[{"id":"a"},]', 1, "record 2: expecting value", 12),
        (b'[{"id":"a","x":NaN}]', 0, "record 1: NaN is not JSON", 1),
        (b'[{"id":"a","x":' + b"[" * 5000 + b"]" * 5000 + b"}]", 0, "record 1 is nested too deeply", 1),
        (b"[null]", 0, "record 1: it is null, not an object", 1),
        (b'[{"id":"a"},7]', 1, "record 2: it is a number, not an object", 12),
        (b"[{}]", 0, "record 1: it has no ID", 1),
        (b'[{"id":""}]', 0, "record 1: it has no ID", 1),
        (b'[{"id":null}]', 0, "record 1: it has no ID", 1),
        (b'[{"id":5}]', 0, "record 1: id: expected str, got int", 1),
        (b'[{"id":"a","names":"n"}]', 0, "record 1 (ID a): names: expected array, got str", 1),
        (b'[{"id":"a","names":[["n"]]}]', 0, "record 1 (ID a): names[0]: expected str, got array", 1),
        (b'[{"id":"a","flags":[]}]', 0, "record 1 (ID a): flags: expected object, got array", 1),
        (b'[{"id":"a","diff-size":"1"}]', 0, "record 1 (ID a): diff-size: expected int, got str", 1),
        (b'[{"id":"a","diff-size":1.5}]', 0, "record 1 (ID a): diff-size: expected int, got float", 1),
        (b'[{"id":"a","compression":true}]', 0, "record 1 (ID a): compression: expected int, got bool", 1),
        (
            b'[{"id":"a","diff-size":9223372036854775808}]',
            0,
            "record 1 (ID a): diff-size: expected int <= 9223372036854775807",
            1,
        ),
        (b'[{"id":"a","gidset":[-1]}]', 0, "record 1 (ID a): gidset[0]: expected int >= 0", 1),
        (b'[{"id":"a","uidmap":[7]}]', 0, "record 1 (ID a): uidmap[0]: expected object, got int", 1),
        (b'[{"id":"a","flags":{"x":1e999}}]', 0, "record 1: number out of range: 1e999", 1),
        (b'[{"id":"a","flags":{"x":%s}}]' % (b"9" * 5000), 0, f"record 1: number out of range: {'9' * 20}…", 1),
        (b'[{"id":"a","metadata":"\x01"}]', 0, "record 1: invalid control character", 23),
    ],
)
def test_damage_is_told_with_its_place(data: bytes, records: int, reason: str, offset: int) -> None:
    """Which record, which field, what was expected, at which byte; records before the damage are known."""
    contents = codec.decode(Layer, data)

    assert [(flaw.reason, flaw.offset) for flaw in contents.flaws] == [(reason, offset)]
    assert len(contents.records) == records


def test_one_bad_record_does_not_hide_the_others() -> None:
    """In a file that is sound JSON, each record stands for itself, and every flaw is told."""
    contents = codec.decode(Layer, b'[{"id":"a"},{"id":"b","names":1},{"id":"c"},{"id":2},{"id":"d"}]')

    assert [layer.id for layer in contents.records] == ["a", "c", "d"]
    assert [(flaw.reason, flaw.offset) for flaw in contents.flaws] == [
        ("record 2 (ID b): names: expected array, got int", 12),
        ("record 4: id: expected str, got int", 44),
    ]


def test_rewriting_a_record_that_is_not_unicode() -> None:
    """It is written as Go would write it; unknown keys stay."""
    raw = b'{"ID":"a","metadata":"\xff","Zed":"\xff\\ud800","new":[1]}'
    old = codec.decode_one(Layer, raw)

    changed = codec.rewrite(raw, old, old.with_(parent="p"))

    assert changed == (
        b'{"id":"a","parent":"p","metadata":"\\ufffd","created":"0001-01-01T00:00:00Z",'
        b'"Zed":"\\ufffd\\ufffd","new":[1]}'
    )
