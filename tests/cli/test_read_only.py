"""Reading never writes: every command is named here as one that reads, changes, or does either, and reading is watched.

A new command fails the first test until it is put on one of the lists; one that reads is then run on all stores below.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.cli.root import entries, find
from cstore.docker.imagestore import ImageStore
from cstore.kernel import mount
from tests.builders import paths_below
from tests.cli.test_docker import ONE, digest
from tests.damage.specimen import copy, look, make
from tests.mounts import detach_all, mounts_below
from tests.unit.docker.dataroots import DataRoot
from tests.unit.transfer.archives import as_tar, docker_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.damage.specimen import Specimen

pytestmark = pytest.mark.usefixtures("needs_root")

READING = """
    layers | layers --tree | layers --json | layer layer-a | layer --json layer-c | storage-layers
    layer-parent-owners layer-a
    images | images --json | image localhost/d:1 | images-by-digest DIGEST
    containers | containers --json | container box | container-parent-owners box
    delete-image --test localhost/f:1
    changes layer-c | changes BOX | diff layer-c | diff --uncompressed layer-a | diff BOX | diffsize layer-c
    diffsize BOX | mounted layer-a box
    exists layer-a | exists --image localhost/d:1 | exists box
    get-names layer-a | metadata layer-a box
    list-layer-data layer-a | get-layer-data layer-a notes
    list-image-data localhost/d:1 | get-image-data localhost/d:1 manifest
    get-image-data-size localhost/d:1 manifest | get-image-data-digest localhost/d:1 manifest
    list-container-data box | get-container-data box config
    get-container-data-size box config | get-container-data-digest box config
    save localhost/d:1 | save --format oci-archive localhost/f:1
    docker-images DOCKER | docker-layers DOCKER | docker-containers DOCKER | docker-export DOCKER base:1
    chains | export-chain layer-a | writables | search CONFIGURED
    lineage CONFIGURED | children CONFIGURED | heads | history CONFIGURED
    check | check --quick | check --image localhost/d:1 | repair --dry-run | repair --list
    gc --dry-run | dedup --dry-run
    df | df -v | df --json -v | df --freed-by localhost/f:1 | why localhost/d:1 layer-a box | whois layer-a BOX
    rm --dry-run --force localhost/d:1 | prune --dry-run --unused | prune --dry-run --max-size 1g --keep box
    ls layer-c | ls -l -R localhost/d:1 | stat layer-a:/ | cat layer-a:/bin/tool | find --all | find --type d box
    compare layer-a layer-c | inspect layer-a localhost/d:1 box | report --quick
    report | blame layer-c:/ | blame --waste | blame --waste localhost/d:1
    status | status --json | config | version | doctor | doctor --json | completion bash
    pull --dry-run ARCHIVED | copy-image --dry-run ARCHIVED moved:1 | copy-image --dry-run localhost/d:1 ELSEWHERE
    push --dry-run localhost/d:1 ELSEWHERE | sync --dry-run containers-storage: ELSEWHERE
"""
"""Command lines that read."""

CHANGING = """
    create-layer import-layer delete-layer create-storage-layer create-image delete-image create-container import
    delete-container applydiff applydiff-using-staging-dir copy mount unmount
    get-image-dir get-image-run-dir get-container-dir get-container-run-dir
    create-writable delete-writable commit register-image release-image lineage
    set-names add-names remove-names set-metadata set-layer-data set-image-data set-container-data
    delete-layer-data delete-image-data delete-container-data
    load docker-import register release repair check gc dedup delete wipe shutdown unshare rm prune
    tag untag batch browse
    pull push copy-image sync relocate login logout tags
"""
"""Commands that change a store, or can, or that deal with registries. copy mounts the layers it works on, and a
directory is made for whoever asks where it is: scripts written for the peer count on both."""

EITHER = {
    "delete-image",
    "lineage",
    "repair",
    "check",
    "gc",
    "dedup",
    "rm",
    "prune",
    "pull",
    "push",
    "copy-image",
    "sync",
}
"""Commands that are on both lists, since an option or an argument tells which it shall be."""

DRY = {"--dry-run", "--test"}

LINES = [one.split() for row in READING.splitlines() for one in row.split("|") if one.strip()]

CONFIG = b'{"os":"linux","history":[{"empty_layer":true}],"rootfs":{"type":"layers","diff_ids":[]}}'
"""Of an image that has its ID from it, as Docker's have."""

DRIVERS = ("overlay", "vfs")


def test_every_command_is_known_to_read_or_to_change() -> None:
    """Each command of the table is on a list, and on both only if it can do both."""
    reading, changing = {line[0] for line in LINES}, set(CHANGING.split())

    assert reading | changing == {entry.name for entry in entries()}
    assert reading & changing == EITHER


def test_every_dry_run_is_watched() -> None:
    """Whatever can be asked what it would do is run that way here."""
    watched = {(line[0], word) for line in LINES for word in line[1:]}

    for entry in entries():
        command = find(entry.name)
        assert command is not None
        for option in command.options:
            for spelling in DRY.intersection(option.spellings):
                assert (entry.name, spelling) in watched


# ── stores that must not be touched ───────────────────────────────────────────────────────────────────────────────────


def as_it_is(store: Specimen) -> None:
    """Change nothing."""
    del store


def after_a_reboot(store: Specimen) -> None:
    """Take the run root away."""
    shutil.rmtree(store.run)


def of_another_user(store: Specimen) -> None:
    """Give it all to somebody else, as if that user had made it."""
    for path in [os.fsencode(store.root), *paths_below(os.fsencode(store.root))]:
        os.lchown(path, 1234, 1234)


def read_only(store: Specimen) -> None:
    """Mount it read-only."""
    mount.mount(store.root, store.root, flags=mount.MS_BIND)
    mount.mount("", store.root, flags=mount.MS_BIND | mount.MS_REMOUNT | mount.MS_RDONLY)


def read_only_after_a_reboot(store: Specimen) -> None:
    """Do both."""
    after_a_reboot(store)
    read_only(store)


CASES = (as_it_is, after_a_reboot, of_another_user, read_only, read_only_after_a_reboot)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Specimen]:
    """Make a store of each driver, with something of everything."""
    made = {driver: make(driver, str(tmp_path_factory.mktemp(driver))) for driver in DRIVERS}
    for store in made.values():
        ImageStore(store.open()).create(CONFIG)
    return made


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory without mounts, afterwards."""
    yield tmp_path / "store"
    detach_all(str(tmp_path / "store"))


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_reading_changes_nothing(
    driver: str,
    case: Callable[[Specimen], None],
    originals: dict[str, Specimen],
    place: Path,
    tmp_path: Path,
    bare_cli: CommandLine,
) -> None:
    """No reading command makes, changes, touches or mounts anything in a store, and each does its work there."""
    store = copy(originals[driver], place)
    docker = DataRoot(tmp_path, "vfs")
    docker.layer(ONE)
    docker.image(digest(ONE), names=("base:1",))
    library = store.open()
    stand_ins = {
        "DOCKER": docker.path,
        "DIGEST": library.images.get("localhost/d:1").digest,
        "CONFIGURED": digest(CONFIG).removeprefix("sha256:"),
        "BOX": library.containers.get("box").layer,
        "ARCHIVED": f"docker-archive:{tmp_path / 'image.tar'}",
        "ELSEWHERE": f"dir:{tmp_path / 'elsewhere'}",
    }
    (tmp_path / "image.tar").write_bytes(as_tar(docker_archive()))
    case(store)
    options = ("--graph", store.graph, "--run", store.run, "--storage-driver", driver)
    before, mounts = look(store.root, docker.path), mounts_below(store.root)

    for line in LINES:
        words = [stand_ins.get(word, word) for word in line]
        told = bare_cli(*options, *words)
        assert told.code == 0, (line, told.err)
        assert look(store.root, docker.path) == before, line
        assert mounts_below(store.root) == mounts, line
