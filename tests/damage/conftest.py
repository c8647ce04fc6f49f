"""The store that experiments copy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.damage.specimen import Specimen, copy, make
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Specimen]:
    """Make the store of a driver when it is first asked for."""
    if os.geteuid() != 0:
        pytest.skip("needs root: owners, devices and trusted xattrs cannot be made otherwise")
    made: dict[str, Specimen] = {}

    def original(driver: str) -> Specimen:
        if driver not in made:
            made[driver] = make(driver, str(tmp_path_factory.mktemp(f"original-{driver}")))
        return made[driver]

    return original


@pytest.fixture
def fresh(originals: Callable[[str], Specimen], tmp_path: Path) -> Iterator[Callable[[str], Specimen]]:
    """Copy the store of a driver."""
    yield lambda driver: copy(originals(driver), tmp_path / driver)
    detach_all(str(tmp_path))
