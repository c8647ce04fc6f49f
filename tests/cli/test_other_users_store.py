"""Root in an ordinary user's store: what root would make there, its owner could not use, so nothing is written."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, paths_below, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")

NAMELESS = 3_999_999_999

WRITING = """
    create-layer | import-layer --file ARCHIVE | create-storage-layer | applydiff --file ARCHIVE base
    delete-layer base | create-image base | delete-image image | create-container image | delete-container box
    delete box | mount base | mount -r image | unmount base | copy ARCHIVE base:/q | create-writable base
    get-image-dir image | get-image-run-dir image | get-container-dir box | get-container-run-dir box
    add-names --name q base | set-metadata --metadata x base | set-layer-data --file ARCHIVE base key
    set-image-data --file ARCHIVE image key | set-container-data --file ARCHIVE box key | import ARCHIVE
    gc | dedup | wipe | shutdown | check -r | repair --yes | repair --undo CASE
"""
READING = "layers|images|diff base|changes base|check|gc --dry-run|dedup --dry-run|repair --dry-run|exists box"


@pytest.fixture
def theirs(cli: CommandLine, store_roots: StoreRoots, tmp_path: Path) -> str:
    """A store with an item of each kind that was given to a user; its path."""
    archive = tmp_path / "layer.tar"
    archive.write_bytes(make_tar(regular("f", b"x")))
    cli("import-layer", "--id", "base", "--file", str(archive)).ok()
    cli("create-image", "--id", "image", "base").ok()
    cli("create-container", "--id", "box", "image").ok()
    give(store_roots, pwd.getpwnam("daemon").pw_uid)
    return store_roots.graph


def give(roots: StoreRoots, user: int) -> None:
    """Let a store belong to a user."""
    for top in (roots.graph, roots.run):
        for path in (os.fsencode(top), *paths_below(os.fsencode(top))):
            full = os.path.join(os.fsencode(top), path)
            os.chown(full, user, user, follow_symlinks=False)


def facts(top: str) -> list[tuple[bytes, int, int, int]]:
    """What shows that something was made, removed, written or given away."""
    found = []
    for path in (b".", *paths_below(os.fsencode(top))):
        status = os.lstat(os.path.join(os.fsencode(top), path))
        found.append((path, status.st_uid, status.st_mode, status.st_mtime_ns))
    return sorted(found)


@pytest.mark.parametrize("line", [one.strip() for row in WRITING.splitlines() for one in row.split("|") if one.strip()])
def test_what_writes_is_refused_before_it_writes(cli: CommandLine, theirs: str, tmp_path: Path, line: str) -> None:
    """With the command that runs it as the owner."""
    before = facts(theirs)
    told = cli(*line.replace("ARCHIVE", str(tmp_path / "layer.tar")).split())
    assert told.code == 1
    assert "runuser -u daemon -- cstore" in told.err
    assert facts(theirs) == before


def test_what_reads_works(cli: CommandLine, theirs: str) -> None:
    """And leaves no trace."""
    before = facts(theirs)
    for line in READING.split("|"):
        assert "runuser" not in cli(*line.split()).ok().err, line
    assert facts(theirs) == before


def test_a_user_without_a_name_has_a_command_too(cli: CommandLine, theirs: str, store_roots: StoreRoots) -> None:
    """By number."""
    give(store_roots, NAMELESS)
    assert f"setpriv --reuid={NAMELESS}" in cli("gc").err
    assert theirs


def test_a_users_directory_without_a_store_is_roots_to_use(cli: CommandLine, store_roots: StoreRoots) -> None:
    """So a directory of a user is given to root's store, in a container for instance."""
    os.makedirs(store_roots.graph)
    os.chown(store_roots.graph, NAMELESS, NAMELESS)
    cli("create-layer", "--id", "own").ok()
    assert cli("layers").ok().lines == ["own"]
