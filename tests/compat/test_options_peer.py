"""Every command of the Go tool, by the list that it prints: cstore has it, with the same options."""

from __future__ import annotations

import re
import subprocess

import pytest

from cstore.cli.root import GLOBAL_OPTIONS, find
from tests.conftest import StoreRoots, find_peer

pytestmark = pytest.mark.peer

_COMMAND = re.compile(r"^  ([a-z-]+) {2,}\S", re.MULTILINE)
_SPELLING = re.compile(r"(?:^  |, )(--?[a-z0-9-]+|-[A-Za-z])(?=[, =\n])", re.MULTILINE)


def test_every_command_of_the_peer_is_there_with_its_options(store_roots: StoreRoots) -> None:
    """By any of their spellings; and --json is accepted just where the peer accepts it."""
    tool = [find_peer("containers-storage"), *store_roots.options]
    commands = _COMMAND.findall(_said([tool[0], "--help"]).partition("\nOptions:")[0])
    assert len(commands) > 45

    for name in commands:
        help_text = _said([*tool, name, "--help"]).partition("Options:")[2]
        theirs = {
            spelling for line in help_text.splitlines() for spelling in _SPELLING.findall(line.split("=")[0] + "\n")
        }
        command = find(name)
        assert command is not None, name
        own = {spelling for option in command.options for spelling in option.spellings}
        ours = own.union(*(option.spellings for option in GLOBAL_OPTIONS))
        if "panic:" in help_text:
            assert name == "copy"  # 1.43 breaks down over its help
            continue
        assert theirs
        assert theirs <= ours, f"{name} lacks {theirs - ours}"
        assert ("--json" in theirs) == ("--json" in ours), name


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
