"""The output of every command, on terminals, in pipes and as JSON, equals the files in tests/data/golden."""

from __future__ import annotations

import difflib
import json
import os
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from tests import golden
from tests.schema import ANY, Schema

if TYPE_CHECKING:
    from tests.golden import Record

COMMANDS = [name for name in golden.commands() if name not in golden.ELSEWHERE]


@pytest.fixture(scope="module")
def record() -> Record:
    """The output of all command lines, each run once in each form."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the store has to be at a fixed place, in a mount namespace")
    return golden.run_all()


@pytest.fixture(scope="module")
def schema() -> Schema:
    """The schema in docs/json.md."""
    return Schema()


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_prints(command: str, record: Record) -> None:
    """The output is unchanged; `python -m tests.golden` records the present output."""
    try:
        with open(os.path.join(golden.DATA, f"{command}.txt"), encoding="utf-8") as file:
            was = file.read()
    except FileNotFoundError:
        was = ""
    now = golden.page(command, record)

    assert was == now, "".join(difflib.unified_diff(was.splitlines(True), now.splitlines(True), "was", "is", n=1))


def test_no_file_outlives_its_command() -> None:
    """There is no file for a removed command."""
    assert {name.removesuffix(".txt") for name in os.listdir(golden.DATA)} == set(COMMANDS)


def test_documents_are_as_described(record: Record, schema: Schema) -> None:
    """Each document has the keys that docs/json.md names, no others, and values of the described types."""
    problems: list[str] = []
    checked: set[str] = set()
    for line, forms in record.items():
        if "json" not in forms or not forms["json"].out or "--columns" in line:
            continue
        words = line.split()
        names = [f"{words[0]} {word}" for word in words[1:]] + [words[0]]
        shape = next((schema.commands[name] for name in names if name in schema.commands), None)
        if shape is None:
            problems.append(f"{line}: docs/json.md has no row for its document")
            continue
        checked |= {words[0]} if shape != ANY else set()
        problems += [f"{line}{each}" for each in schema.problems(shape, json.loads(forms["json"].out))]

    assert problems == []
    assert len(checked) > 45, sorted(checked)


ONE_BY_ONE = {"layer", "image", "container"}
"""Commands that print full values for copying, however long."""
TABLES = ("NAMES ", "NAME ", "ID ", "COUNT ", "STEP ", "CHAINID ", "BYTES ", "CHANGE ", "CASE ", "IMAGE ", "KIND ")


def test_no_table_is_wider_than_the_terminal(record: Record) -> None:
    """No cell wraps at the edge of the terminal, except with --no-trunc."""
    tables = [
        (line, form, forms[form].out.splitlines())
        for line, forms in record.items()
        for form in golden.FORMS[:2]
        if forms[form].out.startswith(TABLES) and "--no-trunc" not in line and line.split()[0] not in ONE_BY_ONE
    ]

    assert len(tables) > 20
    assert [
        (line, form, text) for line, form, shown in tables for text in shown if cell_len(text) > int(form.split()[2])
    ] == []
