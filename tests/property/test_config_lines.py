"""Whatever a TOML file looks like, each of its keys is found on the line it stands on."""

from __future__ import annotations

import tomllib
from typing import Any

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.config.lines import key_lines

NAMES = st.text(st.sampled_from("abcABC019-_ #[]{}=.,"), min_size=1, max_size=5)
TEXTS = st.text(st.sampled_from("ab =.[]{},\"'#\n\r\t\\\x01\x7fé猫"), max_size=12)
SCALARS = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.datetimes() | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=6)


def paths(value: Any, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Every key of a document, tables in arrays included, in lower case."""
    if isinstance(value, list):
        return set().union(*(paths(item, above) for item in value)) if value else set()
    if not isinstance(value, dict):
        return set()
    found: set[tuple[str, ...]] = set()
    for name, inner in value.items():
        path = (*above, name.lower())
        found |= {path} | paths(inner, path)
    return found


@settings(max_examples=200)
@given(TABLES, st.booleans())
def test_exactly_the_keys_are_found(document: dict[str, Any], multiline: bool) -> None:
    """The scanner sees the keys that the parser sees, no more and no fewer, whatever the strings contain."""
    text = tomli_w.dumps(document, multiline_strings=multiline)

    assert set(key_lines(text)) == paths(tomllib.loads(text))


@settings(max_examples=100)
@given(st.dictionaries(NAMES.map(str.lower), SCALARS, min_size=1, max_size=6), st.booleans())
def test_each_line_holds_its_key(document: dict[str, Any], multiline: bool) -> None:
    """Cut off just before its line, a file no longer has the key; cut off before the next key, it has."""
    text = tomli_w.dumps(document, multiline_strings=multiline)
    lines = text.split("\n")
    order = sorted(key_lines(text).items(), key=lambda item: item[1])

    for place, (path, line) in enumerate(order):
        end = order[place + 1][1] - 1 if place + 1 < len(order) else len(lines)
        assert path not in paths(tomllib.loads("\n".join(lines[: line - 1])))
        assert path in paths(tomllib.loads("\n".join(lines[:end])))


@settings(max_examples=200)
@given(st.text(st.sampled_from("ab =.[]{},\"'#\n\\"), max_size=40))
def test_any_text_comes_to_an_end(text: str) -> None:
    """Text that is no TOML at all neither crashes nor hangs the scanner."""
    assert all(1 <= line <= text.count("\n") + 1 for line in key_lines(text).values())
