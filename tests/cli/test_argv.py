"""Go's manners of writing options, row by row (cli spec, 1.2)."""

from __future__ import annotations

import click
import pytest

from cstore.cli.argv import Switch, rewrite

PARAMS = [
    Switch(["-j", "--json"]),
    Switch(["-t", "--tree"]),
    click.Option(["-i", "--id"]),
    click.Option(["-n", "--name"], multiple=True),
    click.Option(["-b", "--bzip2", "--bz2"], is_flag=True),
    click.Option(["-h", "--help"], is_flag=True),
    click.Argument(["word"]),
]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([], ["--"], id="nothing"),
        pytest.param(["a", "b"], ["--", "a", "b"], id="words only"),
        pytest.param(["--json"], ["--json=true", "--"], id="a switch is on"),
        pytest.param(["-j"], ["--json=true", "--"], id="a short switch"),
        pytest.param(["--json=false"], ["--json=false", "--"], id="a switch is told to be off"),
        pytest.param(["-j=F"], ["--json=false", "--"], id="a short switch is told to be off"),
        pytest.param(["--json=T", "--json=0"], ["--json=true", "--json=false", "--"], id="the last one will win"),
        pytest.param(["--json", "true"], ["--json=true", "--", "true"], id="a switch never takes the next word"),
        pytest.param(["--id", "v"], ["--id=v", "--"], id="two words"),
        pytest.param(["--id=v"], ["--id=v", "--"], id="equals"),
        pytest.param(["-i", "v"], ["--id=v", "--"], id="short, two words"),
        pytest.param(["-i=v"], ["--id=v", "--"], id="short, equals"),
        pytest.param(["-i=a=b"], ["--id=a=b", "--"], id="the first equals sign counts"),
        pytest.param(["--id="], ["--id=", "--"], id="an empty value"),
        pytest.param(["--id", ""], ["--id=", "--"], id="an empty word as a value"),
        pytest.param(["--id", "-x"], ["--id=-x", "--"], id="a value may begin with a dash"),
        pytest.param(["--id", "--"], ["--id=--", "--"], id="even two dashes can be a value"),
        pytest.param(['--id="a b"'], ["--id=a b", "--"], id="double quotes go"),
        pytest.param(["--id='a'"], ["--id=a", "--"], id="single quotes go"),
        pytest.param(["--id='a\""], ["--id='a\"", "--"], id="unlike quotes stay"),
        pytest.param(["--id=''a''"], ["--id='a'", "--"], id="one pair goes"),
        pytest.param(['--id="'], ['--id="', "--"], id="a lone quote stays"),
        pytest.param(["--id", '"a"'], ['--id="a"', "--"], id="quotes in a word of its own stay"),
        pytest.param(['--json="false"'], ["--json=false", "--"], id="quotes around a switch's value go"),
        pytest.param(["-tj"], ["--tree=true", "--json=true", "--"], id="a bundle"),
        pytest.param(["-ti", "v"], ["--tree=true", "--id=v", "--"], id="a bundle's letter takes the next word"),
        pytest.param(["-it", "v"], ["--id=v", "--tree=true", "--"], id="also in the middle"),
        pytest.param(["-tj=false"], ["--tree=true", "--json=true", "--"], id="a value on a bundle is dropped"),
        pytest.param(["-n", "a", "--name=b"], ["--name=a", "--name=b", "--"], id="a list"),
        pytest.param(["--bz2"], ["--bzip2", "--"], id="a second long spelling, and a flag of click's own"),
        pytest.param(["--bz2=false"], ["--"], id="a flag of click's own that is off"),
        pytest.param(["-help"], ["--help", "--"], id="the old spelling of help"),
        pytest.param(["-j", "a", "-t"], ["--json=true", "--", "a", "-t"], id="options end at the first word"),
        pytest.param(["-j", "--", "-t"], ["--json=true", "--", "-t"], id="two dashes end options"),
        pytest.param(["-j", "-", "-t"], ["--json=true", "--", "-", "-t"], id="a lone dash is a word"),
        pytest.param(["-j", "", "-t"], ["--json=true", "--", "", "-t"], id="so is an empty one"),
    ],
)
def test_options_are_rewritten_in_full(words: list[str], expected: list[str]) -> None:
    """Every option becomes `--long=value`, in its order, and `--` stands before the words."""
    assert rewrite(words, PARAMS) == expected


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
def test_what_the_peer_refuses_is_a_usage_error(words: list[str]) -> None:
    """A mistyped option is refused before anything happens."""
    with pytest.raises(click.UsageError) as caught:
        rewrite(words, PARAMS)

    assert caught.value.exit_code == 2


def test_a_near_miss_is_suggested() -> None:
    """An unknown option comes with the one that may have been meant."""
    with pytest.raises(click.NoSuchOption) as caught:
        rewrite(["--jsn"], PARAMS)

    assert "--json" in caught.value.format_message()


def test_the_words_given_are_left_alone() -> None:
    """The caller's list is not changed."""
    words = ["-i", "v", "x"]

    rewrite(words, PARAMS)

    assert words == ["-i", "v", "x"]
