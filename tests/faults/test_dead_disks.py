"""A disk that dies under a command, and is there again: the old store or the new one, and everything goes on."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.disk import can_make_disks
from tests.faults.dead import WAYS, DeadDisk
from tests.faults.injection import KILLED
from tests.mounts import detach_all

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]


def test_a_disk_that_dies(tmp_path: Path) -> None:
    """Whatever was synced: a sentence, the old store or the new one, and the command works on the disk again."""
    if not can_make_disks() or shutil.which("strace") is None:
        pytest.skip("no loop files can be mounted, or strace is not installed")
    choice = random.Random(os.environ.get("FAULTS_SEED", "3"))
    laboratory = DeadDisk(str(tmp_path), "overlay")
    try:
        cases = [case for case in laboratory.cases("undo-keep") if case.fault == KILLED]
        tried = [(choice.choice(cases), how) for how in WAYS]

        wrong = {f"{case}, {how}": said for case, how in tried if (said := laboratory.dies(case, WAYS[how]))}
    finally:
        detach_all(str(tmp_path))

    assert not wrong
