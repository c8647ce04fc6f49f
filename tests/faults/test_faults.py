"""A system call that fails, or is the last: the store is the old or the new one, and everything still works."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.faults.commands import COMMANDS
from tests.faults.lab import Case, Laboratory
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

SEED = 20261129
SHARE = 1
"""How many faults of each command to try here; `make faults` tries all."""
MOST = 12
"""How many of a command's many opening steps to try here."""


@pytest.fixture(scope="module", params=["overlay", "vfs"])
def laboratory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A laboratory for each driver."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    work: Path = tmp_path_factory.mktemp("faults")
    yield Laboratory(str(work), request.param)
    detach_all(str(work))
    shutil.rmtree(work, ignore_errors=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_sample_of_faults(laboratory: Laboratory, command: str) -> None:
    """After any fault, the command says why, the store is old or new, a retry works, and gc leaves nothing."""
    cases = laboratory.cases(command)
    choice = random.Random(f"{SEED} {laboratory.driver} {command} {os.environ.get('FAULTS_SEED', '')}")

    wrong = {str(case): said for case in choice.sample(cases, SHARE) if (said := laboratory.trial(case))}

    assert not wrong


@pytest.mark.parametrize(
    ("command", "call", "fault"),
    [
        ("import-layer", "rename", "SIGKILL"),
        ("import-layer", "fsync", "EIO"),
        ("create-container", "fsync", "EIO"),
        ("set-item", "rename", "ENOSPC"),
        ("set-item", "rename", "SIGKILL"),
        ("container-item", "rename", "SIGKILL"),
        ("delete-image", "rename", "SIGKILL"),
        ("load", "rename", "SIGKILL"),
        ("load", "rename", "ENOSPC"),
        ("undo-keep", "fsync", "SIGKILL"),
        ("undo-keep", "rename", "EIO"),
        ("unmount", "open", "EMFILE"),
        ("unmount", "rename", "EIO"),
    ],
)
def test_each_step_that_makes_something_visible(laboratory: Laboratory, command: str, call: str, fault: str) -> None:
    """These steps once left something incomplete: names that block, records without trees, lost digests."""
    steps = {(case.call, case.number) for case in laboratory.cases(command) if case.call in {call, f"{call}at"}}
    assert steps
    tried = sorted(steps) if call != "open" else random.Random(SEED).sample(sorted(steps), min(MOST, len(steps)))
    cases = [Case(laboratory.driver, command, *step, fault) for step in tried]

    wrong = {str(case): said for case in cases if (said := laboratory.trial(case))}

    assert not wrong
