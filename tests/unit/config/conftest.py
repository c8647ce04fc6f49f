"""Fixtures of the configuration room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.config.settings_files import Machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without any configuration."""
    return Machine(tmp_path.resolve())
