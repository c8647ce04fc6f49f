"""Every row of the documented interfaces works with each driver, or is refused in a documented sentence."""

from __future__ import annotations

import tempfile
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.api import interface
from tests.conformance.lab import STORAGE, Check, Lab
from tests.conformance.table import CHECKS
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


RUNS = [pytest.param(check, driver, id=f"{check.name}-{driver}") for check in CHECKS for driver in check.drivers]


@pytest.fixture
def top(driver: str, needs_root: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A directory on a file system that the driver works on."""
    made = tempfile.mkdtemp(dir=request.getfixturevalue("btrfs_disk")) if driver == "btrfs" else str(tmp_path)
    yield made
    detach_all(made)


@pytest.mark.parametrize(("check", "driver"), RUNS)
def test_the_interface_does_what_it_promises(check: Check, driver: str, top: str) -> None:
    """The call for each row, and what comes of it."""
    check.run(Lab(driver, top))


def test_every_row_stands_in_the_table_once() -> None:
    """And each check says what it holds its rows to."""
    found = Counter((check.interface, row) for check in CHECKS for row in check.rows)

    assert [row for row, count in found.items() if count > 1] == []
    assert [check.name for check in CHECKS if not check.promise] == []
    assert len(found) > 300


def test_every_function_of_the_go_library_is_walked() -> None:
    """What docs/api.md gives a Python name to has a row here."""
    rows = {row for check in CHECKS if check.interface == STORAGE for row in check.rows}
    documented = [name for go, _, _ in interface() for name in go.split(", ")]

    assert [name for name in documented if name not in rows] == []
