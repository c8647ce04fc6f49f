"""How far long work is: a bar for a person, lines for a log, events for a program, and nothing for a pipe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cstore.cli.output import progress
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine

ARCHIVE = make_tar(regular("f", b"x" * 100_000))


@pytest.fixture(autouse=True)
def _as_usual() -> Iterator[None]:
    yield
    progress.style = "auto"


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A layer's archive."""
    (tmp_path / "layer.tar").write_bytes(ARCHIVE)
    return str(tmp_path / "layer.tar")


@pytest.mark.parametrize("options", [(), ("--progress=auto",), ("--progress", "none"), ("--progress=plain",)])
def test_a_pipe_hears_nothing_of_short_work(cli: CommandLine, archive: str, options: tuple[str, ...]) -> None:
    """Unless a minute passes."""
    assert cli(*options, "import-layer", "--file", archive).ok().err == ""


def test_a_program_hears_of_every_event(cli: CommandLine, archive: str) -> None:
    """One document a line: where it begins, where it ends, and of how much."""
    told = cli("import-layer", "--file", archive, "--progress=json").ok()
    events = [json.loads(line)["progress"] for line in told.err.splitlines()]

    assert events[0] == {"work": "importing", "done": 0, "total": len(ARCHIVE)}
    assert events[-1] == {"work": "importing", "done": len(ARCHIVE), "total": len(ARCHIVE)}
    assert [event["done"] for event in events] == sorted(event["done"] for event in events)
    assert len(told.out.splitlines()) == 1


def test_a_log_hears_of_it_now_and_then(cli: CommandLine, archive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a line that says how much of how much."""
    monkeypatch.setitem(progress.EVERY, "plain", 0.0)
    said = cli("import-layer", "--file", archive, "--progress=plain").ok().err.splitlines()

    assert said[-1] == "importing: 101.9 kB of 101.9 kB"
    assert cli("import-layer", "--file", archive, "--progress=plain", "--quiet").ok().err == ""


def test_another_way_is_a_usage_error(cli: CommandLine) -> None:
    """It is named before anything is done."""
    told = cli("layers", "--progress=loud")

    assert (told.code, told.out) == (2, "")
    assert "'loud' is not one of: auto, plain, json, none" in told.err
