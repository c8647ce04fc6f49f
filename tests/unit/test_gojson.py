"""JSON as Go writes it."""

from __future__ import annotations

import math
from collections import OrderedDict
from enum import Enum, IntEnum

import pytest

from cstore import gojson


def test_compact_and_in_the_order_given() -> None:
    """No spaces, no newline, keys as they come."""
    value = {"b": [1, True, False, None], "a": {"y": [], "x": {}}, "c": ("t", -5)}

    assert gojson.encode(value) == b'{"b":[1,true,false,null],"a":{"y":[],"x":{}},"c":["t",-5]}'


def test_sorted_bytewise_at_every_depth_when_asked() -> None:
    """Go sorts the keys of a map by their UTF-8 bytes, so a private-use character comes before an emoji."""
    value = {"b": 1, "\U0001f600": 2, "\uf000": 3, "B": {"z": 1, "a": 2}, "é": 4}

    encoded = gojson.encode(value, sort_keys=True)

    assert encoded == '{"B":{"a":2,"z":1},"b":1,"é":4,"\uf000":3,"\U0001f600":2}'.encode()


@pytest.mark.parametrize(
    ("text", "printed", "recorded"),
    [
        ("plain", "plain", "plain"),
        ('"\\/', '\\"\\\\/', '\\"\\\\/'),
        ("\n\r\t", "\\n\\r\\t", "\\n\\r\\t"),
        ("\b\f", "\\b\\f", "\\u0008\\u000c"),
        ("\0\x01\x1f", "\\u0000\\u0001\\u001f", "\\u0000\\u0001\\u001f"),
        ("<a href=x>&", "\\u003ca href=x\\u003e\\u0026", "\\u003ca href=x\\u003e\\u0026"),
        ("\u2028\u2029", "\\u2028\\u2029", "\\u2028\\u2029"),
        ("\x7f é 😀", "\x7f é 😀", "\x7f é 😀"),
        ("a\ud800b\udcffc", "a\\ufffdb\\ufffdc", "a\\ufffdb\\ufffdc"),
    ],
)
def test_strings_are_escaped_as_go_does(text: str, printed: str, recorded: str) -> None:
    """The two dialects differ in backspace and form feed; what is not Unicode becomes U+FFFD, spelled out."""
    assert gojson.encode(text) == f'"{printed}"'.encode()
    assert gojson.encode(text, record_file=True) == f'"{recorded}"'.encode()


def test_keys_are_escaped_like_strings() -> None:
    """A key is a string."""
    assert gojson.encode({"<\b": 1}) == b'{"\\u003c\\b":1}'


@pytest.mark.parametrize(
    ("number", "printed", "recorded"),
    [
        (1.0, "1", "1"),
        (-0.0, "-0", "-0"),
        (0.1, "0.1", "0.1"),
        (1e16, "10000000000000000", "10000000000000000"),
        (12345678901234567890.0, "12345678901234567000", "12345678901234567000"),
        (1e20, "100000000000000000000", "100000000000000000000"),
        (1e21, "1e+21", "1e+21"),
        (-1.5e300, "-1.5e+300", "-1.5e+300"),
        (1e-6, "0.000001", "0.000001"),
        (1.25e-05, "0.0000125", "0.0000125"),
        (9.5e-7, "9.5e-7", "9.5e-07"),
        (5e-324, "5e-324", "5e-324"),
        (1e-10, "1e-10", "1e-10"),
    ],
)
def test_floats_look_like_gos(number: float, printed: str, recorded: str) -> None:
    """Plain from 1e-6 up to 1e21; small exponents have two digits in record files only."""
    assert gojson.encode(number).decode() == printed
    assert gojson.encode(number, record_file=True).decode() == recorded
    assert float(printed) == number


def test_integers_of_any_size_are_exact() -> None:
    """Go would make a float of it and lose the end."""
    assert gojson.encode(2**80) == b"1208925819614629174706176"


def test_members_of_enumerations_are_their_values() -> None:
    """So are named tuples and the like."""

    class Number(IntEnum):
        ONE = 1

    class Word(str, Enum):  # noqa: UP042  - its own text is `Word.LESS`, unlike that of a StrEnum
        LESS = "<"

    assert gojson.encode({"a": [Number.ONE, Word.LESS], "b": OrderedDict(c=1)}) == b'{"a":[1,"\\u003c"],"b":{"c":1}}'


def test_what_json_cannot_say_is_refused() -> None:
    """Neither a float without a value nor an object of a foreign type gets through."""
    for value in (math.inf, -math.inf, math.nan):
        with pytest.raises(ValueError, match="no form in JSON"):
            gojson.encode({"a": [value]})
    with pytest.raises(TypeError, match="bytes has no form in JSON"):
        gojson.encode([b"x"])


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"null", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, "text"])
def test_what_is_no_object_is_none(data: bytes | str) -> None:
    """However it is broken: what a program keeps in a store may be anything."""
    assert gojson.object_in(data) is None
    assert gojson.object_in(b'{"a":[1]}') == {"a": [1]}
