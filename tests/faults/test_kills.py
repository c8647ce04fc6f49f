"""Commands killed at random moments: a seeded sample of what `python -m tests.faults kills` does for hours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.disk import fresh_disk
from tests.faults.kills import Killing

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

SEED = 20261129
KILLS = 25
"""How many commands to hit."""


@pytest.fixture(params=["overlay", "vfs"])
def laboratory(request: pytest.FixtureRequest) -> Iterator[Killing]:
    """A laboratory for each driver, on a separate disk."""
    with fresh_disk() as disk:
        os.mkdir(work := os.path.join(disk, "work"))
        laboratory = Killing(work, request.param, SEED)
        yield laboratory
        laboratory.close()


COMMANDS = ("import-layer", "load", "delete-image", "set-names", "create-container", "copy", "keep", "gc", "repair")


def test_a_sample_of_kills(laboratory: Killing) -> None:
    """Nothing is lost or left behind, and the same command works immediately."""
    wrong = {}
    while laboratory.hits < KILLS:
        done, found = laboratory.any_trial(COMMANDS)
        if found:
            wrong[done] = found

    assert not wrong
