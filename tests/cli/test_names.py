"""get-names, set-names, add-names, remove-names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


@pytest.fixture
def named(cli: CommandLine) -> CommandLine:
    """One layer with two names, one with none."""
    cli("create-layer", "-i", "l1", "-n", "a", "-n", "b").ok()
    cli("create-layer", "-i", "l2").ok()
    return cli


def test_get_names(named: CommandLine) -> None:
    """One a line; in JSON a list, which may be empty."""
    assert named("get-names", "a").ok().lines == ["a", "b"]
    assert named("getnames", "-j", "a").ok().json == ["a", "b"]
    assert named("get-names", "-j", "l2").ok().json == []


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (["add-names", "-n", "c", "-n", "a"], ["c", "a", "b"]),
        (["addnames"], ["a", "b"]),
        (["set-names", "-n", "x", "-n", "x"], ["x"]),
        (["setnames"], None),
        (["remove-names", "-n", "a", "-n", "zzz"], ["b"]),
        (["removenames", "-n", "a", "-n", "b"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_changing_names(named: CommandLine, words: list[str], result: list[str] | None) -> None:
    """JSON shows the names that result, or null; text shows nothing."""
    command, *options = words

    assert named(command, "--json", *options, "l1").ok().json == result
    assert named("get-names", "-j", "l1").json == (result or [])
    assert named(command, *options, "l1").ok().out == ""


@pytest.mark.parametrize("command", ["add-names", "set-names"])
def test_a_name_moves_to_whom_it_is_given(named: CommandLine, command: str) -> None:
    """A name belongs to one layer."""
    named(command, "-n", "a", "l2").ok()

    assert named("get-names", "l2").lines == ["a"]
    assert named("get-names", "l1").lines == ["b"]


def test_words_after_the_first_are_ignored(named: CommandLine) -> None:
    """As with the peer: options there are no options."""
    assert named("add-names", "l2", "-n", "x").ok().out == ""
    assert named("get-names", "l2").out == ""


@pytest.mark.parametrize(
    "words", [["get-names"], ["set-names", "-n", "x"], ["add-names"], ["remove-names"]], ids=" ".join
)
def test_unknown_items(named: CommandLine, words: list[str]) -> None:
    """They are named."""
    told = named(*words, "nope")

    assert (told.code, told.out) == (1, "")
    assert "'nope'" in told.err
