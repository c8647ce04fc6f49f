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
    """As with the Go tool; options among them are read."""
    assert named("add-names", "l2", "-n", "x", "l1").ok().out == ""
    assert named("get-names", "l2").lines == ["x"]
    assert named("get-names", "l1").lines == ["a", "b"]


@pytest.mark.parametrize(
    "words", [["get-names"], ["set-names", "-n", "x"], ["add-names"], ["remove-names"]], ids=" ".join
)
def test_unknown_items(named: CommandLine, words: list[str]) -> None:
    """They are named."""
    told = named(*words, "nope")

    assert (told.code, told.out) == (1, "")
    assert "'nope'" in told.err


@pytest.fixture
def tagged(cli: CommandLine) -> CommandLine:
    """An image with a name, and another without."""
    cli("create-image", "-i", "11", "-n", "localhost/app:latest").ok()
    cli("create-image", "-i", "22").ok()
    return cli


def test_tag_adds_names_as_podman_writes_them(tagged: CommandLine) -> None:
    """Short names are completed, of the image and for it; a name that another image has moves."""
    assert tagged("tag", "app", "app:1.0", "registry.example.org/app").ok().out == ""
    names = ["localhost/app:1.0", "registry.example.org/app:latest", "localhost/app:latest"]
    assert tagged("get-names", "11").lines == names

    tagged("tag", "22", "app:1.0").ok()
    assert tagged("get-names", "22").lines == ["localhost/app:1.0"]
    assert tagged("get-names", "11").lines == names[1:]
    assert tagged("tag", "22", "UPPER case").code == 1


def test_untag_takes_names_or_all_of_them(tagged: CommandLine) -> None:
    """A name that the image does not have is an error, and nothing is taken then."""
    tagged("tag", "app", "a", "b", "c").ok()

    refused = tagged("untag", "app", "a", "nope")
    assert (refused.code, "image 11 has no name 'localhost/nope:latest'" in refused.err) == (1, True)
    tagged("untag", "app", "a", "localhost/b").ok()
    assert tagged("get-names", "11").lines == ["localhost/c:latest", "localhost/app:latest"]
    tagged("untag", "11").ok()
    assert tagged("get-names", "11").lines == []
