"""exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


@pytest.fixture
def one(cli: CommandLine) -> CommandLine:
    """A store with one named layer."""
    cli("create-layer", "-i", "abcdef", "-n", "base").ok()
    return cli


@pytest.mark.parametrize(
    ("words", "lines", "code"),
    [
        (["base"], ["base: true"], 0),
        (["abcdef"], ["abcdef: true"], 0),
        (["abc"], ["abc: true"], 0),
        (["nope"], ["nope: false"], 1),
        ([""], [": false"], 1),
        (["z", "base", "a"], ["z: false", "base: true", "a: true"], 1),
        (["base", "base"], ["base: true"], 0),
        (["-q", "base"], [], 0),
        (["-q", "nope"], [], 1),
        (["-l", "base"], ["base: true"], 0),
        (["-i", "base"], ["base: false"], 1),
        (["-lc", "base"], ["base: false"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value else "",
)
def test_exists(one: CommandLine, words: list[str], lines: list[str], code: int) -> None:
    """A line for each word, in their order; kinds that were asked for count in what is printed."""
    told = one("exists", *words)

    assert (told.lines, told.code, told.err) == (lines, code, "")


def test_exists_in_json(one: CommandLine) -> None:
    """An object, also when quiet; keys are sorted."""
    told = one("exists", "-qj", "nope", "base")

    assert (told.out, told.code) == ('{"base":true,"nope":false}\n', 1)
