"""What help texts and the README show does what it says: each line is run, in a world made for it."""

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
"""Commands that wait for keys, which their own tests press."""

ELSEWHERE = {"login", "logout", "pull", "push", "relocate", "sync", "tags"}
"""Commands that speak to registries of the world, or of another store: their own tests have some of this machine."""

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
"""What has to be done before an example, by the command or the beginning of the line."""

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

PROGRAMS = ("jq", "podman", "zcat", "curl")
"""What examples pipe from or to."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world before there was a store in it, made once."""
    return empty_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def furnished(empty: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world, made once."""
    return furnish(empty.copy(str(tmp_path_factory.mktemp("furnished") / "world")))


@pytest.fixture
def world(furnished: World, tmp_path: Path) -> Iterator[World]:
    """A world of the test's own, whose store is gone afterwards."""
    copy = furnished.copy(str(tmp_path / "world"))
    yield copy
    detach_all(copy.place)
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


# ── the README ──


def blocks(section: str, language: str) -> list[str]:
    """The code that a section of the README shows."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read()
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)


def test_the_readme_shows_a_repair_as_it_is(empty: World, tmp_path: Path) -> None:
    """Its first lines: a store is damaged, checked and repaired, and says what the page says."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    world = empty.copy(str(tmp_path / "world"))
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        shown = re.findall(r"^```console\n(.*?)^```$", file.read(), re.DOTALL | re.MULTILINE)[0]
    shown = shown.replace("overlay", "vfs")  # which needs no root
    assert world.run("cstore import --quiet rootfs.tar.gz debian").returncode == 0

    for block in shown.removeprefix("$ ").split("\n$ "):
        command, _, said = block.partition("\n")
        done = world.run(f'GRAPH=$(cstore status --json | jq -r ".[] | select(.[0] == \\"Root\\") | .[1]"); {command}')

        said = re.sub(r"[0-9a-f]{8}…|20\d{6}T…", "…", said.strip("\n"))  # IDs and times are those of the day
        expected = re.escape(said).replace("…", ".+").replace(r"\.\.\.", r"(?:.*\n)*?.*")
        assert re.fullmatch(expected, done.stdout.strip("\n")), done.stdout + done.stderr


def test_the_tour_of_the_readme_can_be_taken(empty: World, tmp_path: Path) -> None:
    """Its ten commands, and those for answers and for a damaged store, work one after the other in a new store."""
    world = empty.copy(str(tmp_path / "world"))
    tour, answers, damage = blocks("A tour in ten commands", "sh")

    done = world.run(tour + answers + damage)

    assert done.returncode == 0, done.stderr
    assert len(tour.splitlines()) == 11


def test_the_python_of_the_readme_runs(empty: World, tmp_path: Path) -> None:
    """The program does what it says, in a store that was not there before; the check at its end finds nothing."""
    world = empty.copy(str(tmp_path / "world"))
    (program,) = blocks("In Python", "python")

    done = world.run(f"exec {shlex.quote(sys.executable)} -W error - <<'END'\n{program}END\n")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "()"
