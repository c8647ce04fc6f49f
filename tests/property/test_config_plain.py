"""Plain configuration files, read without `tomllib`: whatever the quick reader understands, it understands as TOML."""

from __future__ import annotations

import os
import tomllib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cstore.config.parse import read_plain
from tests.conftest import ROOT

PIECES = [
    "[", "]", "{", "}", "=", ",", ".", "\n", "\n", " ", "\t", "#", "# note\n", "[a]", "[a.b]", "[ b . a ]", "[[a]]",
    "a", "b", "a.b", '"', '""', '"a"', '"é"', "'a'", '"""', "'''", '"\\n"', "true", "false", "0", "7", "01", "+1", "-1",
    "1_0", "1.5", "9" * 19, "2020-01-01", "\r\n", "\x01", "\u00a0", "a = 1\n", 'b = "x" # y\n', 'a = ["x", "y"]\n',
    "a = [\n  'x', # y\n]\n", "b = {a = 1, b = 'x'}\n", "inf", "a =", "= 1", "a = b\n",
]  # fmt: skip


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example("a = 1\na = 1\n")
@example("[a]\n[a]\n")
@example("[a.b]\n[a]\nb = 1\n")
@example("a = {b = 1}\n[a.c]\n")
@example("a = {b = {c = 1}}\n[a.b]\n")
@example("a = [{b = 1}]\n[a]\n")
@example("a = [1,,2]\n")
@example("a = [,]\n")
@example("a = {b = 1,}\n")
@example("a = {\nb = 1}\n")
@example("a = 1 b = 2\n")
@example("[a] b = 1\n")
@example("a = \n1\n")
@example("a\n= 1\n")
@example('a = "x" "y"\n')
@example('a = """"\n')
@example("[a.]\n")
@example("[a]]\n")
@example("[a\n]\n")
def test_what_is_plain_is_read_as_tomllib_reads_it(text: str) -> None:
    """Mistakes included: they are never plain."""
    plain = read_plain(text)

    if plain is not None:
        assert plain == tomllib.loads(text)


keys = st.text("abcXYZ019_-", min_size=1, max_size=5)
words = st.text("abc /.:$é-_", max_size=8)
values = st.one_of(
    words.map('"{}"'.format),
    words.map("'{}'".format),
    st.sampled_from(["true", "false", "0", "12", "65536", "[]", "[\n]", "{}", "inf"]),
    st.lists(words.map('"{}"'.format), max_size=3).map(lambda texts: f"[ {', '.join(texts)} ]"),
    st.lists(words.map('"{}"'.format), max_size=3).map(
        lambda texts: "[\n" + "".join(f"  {text},\n" for text in texts) + "]"
    ),
    st.dictionaries(keys, words, max_size=3).map(
        lambda table: "{" + ", ".join(f'{key} = "{text}"' for key, text in table.items()) + "}"
    ),
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file as people write it: tables, comments, keys and values."""
    lines = []
    for header in draw(
        st.lists(st.lists(keys.map("t{}".format), min_size=1, max_size=3).map(".".join), unique=True, max_size=3)
    ):
        lines += [draw(st.sampled_from(["", "# a note", "  # another"])), f"[{header}]"]
        for key, value in draw(st.dictionaries(keys.map("k{}".format), values, max_size=3)).items():
            lines.append(f"{key} = {value}{draw(st.sampled_from(['', ' # note', '  ']))}")
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


@given(files())
def test_usual_files_are_plain(text: str) -> None:
    """The quick reader is there to be used."""
    assert read_plain(text) == tomllib.loads(text)


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "[a]", "a = 1"])
def test_short_files_are_plain(text: str) -> None:
    """With or without an end of line."""
    assert read_plain(text) == tomllib.loads(text)


def test_the_example_file_is_plain() -> None:
    """Who starts from it starts fast."""
    with open(os.path.join(ROOT, "storage.conf.example"), encoding="utf-8") as file:
        text = file.read()

    assert read_plain(text) == tomllib.loads(text)
