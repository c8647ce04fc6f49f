"""metadata and set-metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine


@pytest.fixture
def two(cli: CommandLine) -> CommandLine:
    """Two layers, the first one with metadata."""
    cli("create-layer", "-i", "l1", "-n", "base").ok()
    cli("create-layer", "-i", "l2").ok()
    cli("set-metadata", "-m", "some\ntext\n", "l1").ok()
    return cli


def test_metadata_follows_the_name(two: CommandLine) -> None:
    """In the order of the words, without the last newline."""
    assert two("metadata", "l2", "base").ok().out == "l2: \nbase: some\ntext\n"
    assert two("metadata", "-q", "l2", "base").ok().out == "\nsome\ntext\n"


def test_metadata_in_json_holds_what_was_found(two: CommandLine) -> None:
    """As in text without the last newline. Unknown items are left out, and named on standard error."""
    told = two("metadata", "-j", "l2", "nope", "l1")

    assert told.code == 1
    assert told.out == '{"l1":"some\\ntext","l2":""}\n'
    assert told.error["word"] == "nope"
    assert two("metadata", "-j", "nope").out == "{}\n"


def test_metadata_of_the_unknown_is_an_empty_line_and_an_error(two: CommandLine) -> None:
    """Lines keep their places."""
    told = two("metadata", "nope", "l2")

    assert (told.code, told.lines) == (1, ["nope: ", "l2: "])
    assert told.err.startswith("nope: identifier is not a layer, image, or container: 'nope'")


def test_set_metadata_from_a_file(two: CommandLine, tmp_path: Path) -> None:
    """The file wins over the option; an empty one clears."""
    (tmp_path / "new").write_text("from file\n")
    (tmp_path / "empty").write_text("")

    assert two("setmetadata", "-m", "no", "-f", str(tmp_path / "new"), "base").ok().out == ""
    assert two("metadata", "-q", "l1").lines == ["from file"]
    two("set-metadata", "-f", str(tmp_path / "empty"), "base").ok()
    assert two("metadata", "-q", "l1").lines == [""]


@pytest.mark.parametrize(
    "words", [["l1"], ["-m", "", "l1"], ["-f", "/nonexistent", "l1"], ["-m", "x", "nope"]], ids=" ".join
)
def test_set_metadata_refuses(two: CommandLine, words: list[str]) -> None:
    """Nothing new, no file, no item: one sentence each, nothing changed."""
    told = two("set-metadata", *words)

    assert (told.code, told.out) == (1, "")
    assert told.err.count("\n") == 1
    assert two("metadata", "-q", "l1").out == "some\ntext\n"
