"""What help texts and the README show does what it says: each line is run, in a world made for it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.cli import reference
from tests.world import empty_world, furnish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.world import World

pytestmark = pytest.mark.usefixtures("needs_root")

EXAMPLES = [(one.entry.name, line) for one in reference.described() for line in one.command.example.splitlines()]

PREPARED = {
    "cstore create-layer --name base": "cstore wipe",
    "cstore create-layer --name app base": "cstore delete-layer app",
    "import-layer": "cstore delete-layer app base",
    "create-image": "cstore delete web debian",
    "delete-image": "cstore delete-container web old-container",
    "create-container": "cstore delete-container web",
    "applydiff-using-staging-dir": "cstore wipe; sed -i s/vfs/overlay/ storage.conf; cstore create-layer --name app",
    "cstore register -f app": "cstore register -f base.tar",
    "release": "cstore register -f base.tar",
    "unmount": "cstore mount base",
}
"""What has to be done before an example, by the command or the beginning of the line."""

PROGRAMS = ("jq", "podman", "zcat", "curl")
"""What examples pipe from or to."""


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world, made once."""
    return furnish(empty_world(tmp_path_factory.mktemp("world")))


@pytest.fixture
def world(furnished: World, tmp_path: Path) -> Iterator[World]:
    """A world of the test's own, whose store is gone afterwards."""
    copy = furnished.copy(str(tmp_path / "world"))
    yield copy
    shutil.rmtree(copy.place)


@pytest.mark.parametrize(("command", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_examples_do_what_they_say(command: str, line: str, world: World) -> None:
    """Every example in a help text ends well."""
    for program in PROGRAMS:
        if program in line.split() and shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    for start, script in PREPARED.items():
        if start == command or line.startswith(start):
            assert world.run(script).returncode == 0

    done = world.run(line)

    assert done.returncode == 0, done.stderr
