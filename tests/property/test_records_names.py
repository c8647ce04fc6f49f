"""Data items under any key, and JSON of any value."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cstore import gojson
from cstore.errors import InvalidDataName
from cstore.records.bigdata import file_name

keys = st.text(max_size=20) | st.text("./aA?\0é", max_size=6) | st.sampled_from([".", "..", "userdata", "userdata/"])


@given(keys, st.sampled_from(["layer", "image", "container"]))
def test_no_key_leaves_its_directory(key: str, noun: str) -> None:
    """A key is refused, or names a file directly in the directory."""
    try:
        name = file_name(key, noun)
    except InvalidDataName:
        return

    assert os.path.dirname(os.path.normpath(os.path.join("/owner/id", name))) == "/owner/id"
    assert name not in {"", ".", ".."}
    assert "\0" not in name
    assert len(os.fsencode(name)) <= 255


@given(keys)
def test_a_name_is_the_key_or_its_base64(key: str) -> None:
    """Apart from a slash lost at the end, the key can be told from the name."""
    try:
        name = file_name(key)
    except InvalidDataName:
        return

    encoded = base64.b64encode(key.encode()).decode()
    assert name in {key, key.rstrip("/"), "=" + encoded, "=" + encoded.rstrip("/")}


# Go writes floats from 2**53 to 1e21 like integers, but with zeros where the digits end; read as integers they differ.
floats = st.floats(-(2**53), 2**53) | st.floats(1e21, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values, st.booleans(), st.booleans())
def test_json_means_what_it_was_made_of(value: Any, record_file: bool, sort_keys: bool) -> None:
    """Whatever the dialect, a parser reads the value back; nothing in it would make HTML or JavaScript stumble."""
    text = gojson.encode(value, record_file=record_file, sort_keys=sort_keys)

    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029\n\t") & set(text.decode())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_the_shortest_that_read_back(number: float) -> None:
    """No digit too many, none too few, whatever the exponent."""
    text = gojson.encode(number).decode()

    assert float(text) == number
    digits = text.lstrip("-").partition("e")[0].replace(".", "").strip("0")
    assert len(digits) <= len(repr(number).lstrip("-").partition("e")[0].replace(".", "").strip("0"))
