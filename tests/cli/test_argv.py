"""Go's manners of writing options, row by row (cli spec, 1.2)."""

from __future__ import annotations

import pytest

from cstore.cli.command import SWITCH, TEXTS, Option
from cstore.cli.reading import Misspelt, split_options

OPTIONS = [
    Option(spellings=("-j", "--json"), takes=SWITCH, help=""),
    Option(spellings=("-t", "--tree"), takes=SWITCH, help=""),
    Option(spellings=("-i", "--id"), help=""),
    Option(spellings=("-n", "--name"), takes=TEXTS, help=""),
    Option(spellings=("-b", "--bzip2", "--bz2"), takes=SWITCH, help=""),
    Option(spellings=("-h", "--help"), takes=SWITCH, help=""),
]


@pytest.mark.parametrize(
    ("words", "expected", "rest"),
    [
        pytest.param([], [], [], id="nothing"),
        pytest.param(["a", "b"], [], ["a", "b"], id="words only"),
        pytest.param(["--json"], [("json", True)], [], id="a switch is on"),
        pytest.param(["-j"], [("json", True)], [], id="a short switch"),
        pytest.param(["--json=false"], [("json", False)], [], id="a switch is told to be off"),
        pytest.param(["-j=F"], [("json", False)], [], id="a short switch is told to be off"),
        pytest.param(["--json=T", "--json=0"], [("json", True), ("json", False)], [], id="the last one will win"),
        pytest.param(["--json", "true"], [("json", True)], ["true"], id="a switch never takes the next word"),
        pytest.param(["--id", "v"], [("id", "v")], [], id="two words"),
        pytest.param(["--id=v"], [("id", "v")], [], id="equals"),
        pytest.param(["-i", "v"], [("id", "v")], [], id="short, two words"),
        pytest.param(["-i=v"], [("id", "v")], [], id="short, equals"),
        pytest.param(["-i=a=b"], [("id", "a=b")], [], id="the first equals sign counts"),
        pytest.param(["--id="], [("id", "")], [], id="an empty value"),
        pytest.param(["--id", ""], [("id", "")], [], id="an empty word as a value"),
        pytest.param(["--id", "-x"], [("id", "-x")], [], id="a value may begin with a dash"),
        pytest.param(["--id", "--"], [("id", "--")], [], id="even two dashes can be a value"),
        pytest.param(['--id="a b"'], [("id", "a b")], [], id="double quotes go"),
        pytest.param(["--id='a'"], [("id", "a")], [], id="single quotes go"),
        pytest.param(["--id='a\""], [("id", "'a\"")], [], id="unlike quotes stay"),
        pytest.param(["--id=''a''"], [("id", "'a'")], [], id="one pair goes"),
        pytest.param(['--id="'], [("id", '"')], [], id="a lone quote stays"),
        pytest.param(["--id", '"a"'], [("id", '"a"')], [], id="quotes in a word of its own stay"),
        pytest.param(['--json="false"'], [("json", False)], [], id="quotes around a switch's value go"),
        pytest.param(["-tj"], [("tree", True), ("json", True)], [], id="a bundle"),
        pytest.param(["-ti", "v"], [("tree", True), ("id", "v")], [], id="a bundle's letter takes the next word"),
        pytest.param(["-it", "v"], [("id", "v"), ("tree", True)], [], id="also in the middle"),
        pytest.param(["-tj=false"], [("tree", True), ("json", True)], [], id="a value on a bundle is dropped"),
        pytest.param(["-n", "a", "--name=b"], [("name", "a"), ("name", "b")], [], id="a list"),
        pytest.param(["--bz2"], [("bzip2", True)], [], id="a second long spelling"),
        pytest.param(["-help"], [("help", True)], [], id="the old spelling of help"),
        pytest.param(["-j", "a", "-t"], [("json", True)], ["a", "-t"], id="options end at the first word"),
        pytest.param(["-j", "--", "-t"], [("json", True)], ["-t"], id="two dashes end options"),
        pytest.param(["-j", "-", "-t"], [("json", True)], ["-", "-t"], id="a lone dash is a word"),
        pytest.param(["-j", "", "-t"], [("json", True)], ["", "-t"], id="so is an empty one"),
    ],
)
def test_options_are_split_off(words: list[str], expected: list[tuple[str, str | bool]], rest: list[str]) -> None:
    """Each option with its value, in their order, then the words."""
    given, behind = split_options(words, OPTIONS)

    assert [(option.spellings[1][2:], value) for option, value in given] == expected
    assert behind == rest


@pytest.mark.parametrize(
    ("words", "expected", "rest"),
    [
        pytest.param(["a", "-t"], ["tree"], ["a"], id="behind a word"),
        pytest.param(["a", "-i", "v", "b", "-j"], ["id", "json"], ["a", "b"], id="between words"),
        pytest.param(["a", "-t", "--", "-j", "b"], ["tree"], ["a", "-j", "b"], id="two dashes end options"),
        pytest.param(["a", "-", "", "-t"], ["tree"], ["a", "-", ""], id="a lone dash is a word"),
    ],
)
def test_options_are_found_anywhere(words: list[str], expected: list[str], rest: list[str]) -> None:
    """Where a command's words are nobody else's."""
    given, behind = split_options(words, OPTIONS, anywhere=True)

    assert [option.spellings[1][2:] for option, _ in given] == expected
    assert behind == rest


@pytest.mark.parametrize(
    "words",
    [
        ["--bogus"],
        ["--jso"],  # no abbreviations
        ["--JSON"],  # upper and lower case differ
        ["-z"],
        ["-tz"],
        ["-iV"],  # two options in a bundle, not a value
        ["-json"],
        ["--json=maybe"],
        ["--json=yes"],
        ["-j="],
        ["--id"],
        ["-ti"],
        ["-=x"],
        ["--=x"],
        ["---json"],
    ],
    ids=" ".join,
)
def test_what_the_peer_refuses_is_refused(words: list[str]) -> None:
    """A mistyped option is noticed, and told from one that there is not."""
    with pytest.raises(Misspelt) as caught:
        split_options(words, OPTIONS)

    assert caught.value.sentence or caught.value.option


def test_the_words_given_are_left_alone() -> None:
    """The caller's list is not changed."""
    words = ["-i", "v", "x"]

    split_options(words, OPTIONS)

    assert words == ["-i", "v", "x"]
