"""The examples in help texts and the README work: each line runs in an environment made for it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from cstore.cli import reference
from tests.mounts import detach_all
from tests.world import empty_world, furnish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.world import World

pytestmark = pytest.mark.usefixtures("needs_root")

INTERACTIVE = {"browse"}
"""Interactive commands, which have their own tests."""

ELSEWHERE = {"login", "logout", "pull", "push", "relocate", "sync", "tags"}
"""Commands that access registries or another store; their own tests have local ones."""

EXAMPLES = [
    (one.entry.name, line)
    for one in reference.described()
    for line in one.command.example.splitlines()
    if one.entry.name not in INTERACTIVE | ELSEWHERE and "docker://" not in line
]

PREPARED = {
    "cstore create-layer --name base": "cstore wipe",
    "cstore create-layer --name app base": "cstore delete-layer app",
    "import-layer": "cstore delete-layer app base",
    "create-image": "cstore delete web debian",
    "tar -C root": "mkdir root && tar -C root -xzf rootfs.tar.gz",
    "delete-image": "cstore delete-container web old-container",
    "delete-image-data": "cstore set-image-data -f sbom.json debian note",
    "create-container": "cstore delete-container web",
    "applydiff-using-staging-dir": "cstore wipe; sed -i s/vfs/overlay/ storage.conf; cstore create-layer --name app",
    "cstore register -f app": "cstore register -f base.tar",
    "release": "cstore register -f base.tar",
    "delete-writable": "cstore create-writable scratch",
    "commit": 'cstore create-writable work "$(cstore images -j | jq -r \'.[]|select(.names[]?=="app").layer\')"',
    "register-image": """echo '{"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' > image.json""",
    "unmount": "cstore mount base",
}
"""Preparation for an example, by command or by the beginning of the line."""

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

PROGRAMS = ("jq", "podman", "zcat", "curl")
"""Other programs in the examples."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The environment without a store, created once."""
    return empty_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def furnished(empty: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The environment with a store, created once."""
    return furnish(empty.copy(str(tmp_path_factory.mktemp("furnished") / "world")))


@pytest.fixture
def world(furnished: World, tmp_path: Path) -> Iterator[World]:
    """A separate copy for the test, whose store is removed afterwards."""
    copy = furnished.copy(str(tmp_path / "world"))
    yield copy
    detach_all(copy.place)
    shutil.rmtree(copy.place)


@pytest.mark.parametrize(("command", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_examples_do_what_they_say(command: str, line: str, world: World) -> None:
    """Every example in a help text succeeds."""
    for program in PROGRAMS:
        if program in line.split() and shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    for start, script in PREPARED.items():
        if start == command or line.startswith(start):
            assert world.run(script).returncode == 0

    done = world.run(line)

    assert done.returncode == 0, done.stderr


# ── the README ──


def blocks(section: str, language: str) -> list[str]:
    """Return the code blocks of a section of the README."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read()
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)


def test_the_readme_shows_a_repair_as_it_is(empty: World, tmp_path: Path) -> None:
    """The first example of the README, a damaged store that is checked and repaired, prints what the README shows."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    world = empty.copy(str(tmp_path / "world"))
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        shown = re.findall(r"^```console\n(.*?)^```$", file.read(), re.DOTALL | re.MULTILINE)[0]
    shown = shown.replace("overlay", "vfs")  # vfs needs no root
    assert world.run("cstore import --quiet rootfs.tar.gz debian").returncode == 0

    for block in shown.removeprefix("$ ").split("\n$ "):
        command, _, said = block.partition("\n")
        done = world.run(f'GRAPH=$(cstore status --json | jq -r ".[] | select(.[0] == \\"Root\\") | .[1]"); {command}')

        said = re.sub(r"[0-9a-f]{8}…|20\d{6}T…", "…", said.strip("\n"))  # IDs and times differ from run to run
        expected = re.escape(said).replace("…", ".+").replace(r"\.\.\.", r"(?:.*\n)*?.*")
        assert re.fullmatch(expected, done.stdout.strip("\n")), done.stdout + done.stderr


def test_the_tour_of_the_readme_can_be_taken(empty: World, tmp_path: Path) -> None:
    """The ten commands of the tour, and those for questions and for damage, work in sequence in a new store."""
    world = empty.copy(str(tmp_path / "world"))
    tour, answers, damage = blocks("A tour in ten commands", "sh")

    done = world.run(tour + answers + damage)

    assert done.returncode == 0, done.stderr
    assert len(tour.splitlines()) == 11


def test_the_python_of_the_readme_runs(empty: World, tmp_path: Path) -> None:
    """The program works in a store that did not exist before, and its final check finds nothing."""
    world = empty.copy(str(tmp_path / "world"))
    (program,) = blocks("In Python", "python")

    done = world.run(f"exec {shlex.quote(sys.executable)} -W error - <<'END'\n{program}END\n")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "()"
