"""JSON that is passed on as it was written, white space aside."""

from __future__ import annotations

import json

from cstore.transfer.rawjson import raw_object, raw_values


def test_values_keep_their_spelling() -> None:
    """Escapes, numbers and the order of inner keys stay; white space goes, and what Go escapes is escaped."""
    text = ' { "b" : { "z" : 1.0 , "a" : "\\u00e9 é \\" , }" } ,\n"a":[ 1e5 , "<&>" ], "\\u0063": null, "d": {} } '

    values = raw_values(text.encode())

    assert values == {
        "b": '{"z":1.0,"a":"\\u00e9 é \\" , }"}',
        "a": '[1e5,"\\u003c\\u0026\\u003e"]',
        "c": "null",
        "d": "{}",
    }
    assert list(json.loads(raw_object(values))) == ["a", "b", "c", "d"]
    assert json.loads(raw_object(values)) == json.loads(text)


def test_an_empty_object_is_empty() -> None:
    """With and without space in it."""
    assert raw_values(b"{}") == raw_values(b" { } ") == {}
    assert raw_object({}) == b"{}"
