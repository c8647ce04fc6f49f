"""gc, wipe, shutdown."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cstore.kernel import ioctl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

ORPHAN = "e" * 64
"""An ID as every tool makes them."""


@pytest.fixture
def littered(cli: CommandLine) -> CommandLine:
    """A store with a layer, and a tree that no record owns."""
    cli("create-layer", "-i", "l1").ok()
    cli("create-storage-layer", "-i", ORPHAN).ok()
    return cli


def test_gc_is_silent_like_the_peer(littered: CommandLine) -> None:
    """It removes what nobody owns and leaves the rest."""
    told = littered("gc").ok()

    assert (told.out, told.err) == ("", "")
    assert littered("storage-layers").lines == ["l1"]


def test_gc_in_json(littered: CommandLine) -> None:
    """An empty string, unless a list is asked for."""
    assert littered("gc", "--json").ok().json == ""
    littered("create-storage-layer", "-i", ORPHAN).ok()
    assert [leftover["kind"] for leftover in littered("gc", "-jv").ok().json] == ["layer"]
    assert littered("gc", "-jv").ok().json == []


def test_gc_lists_when_asked(littered: CommandLine, store_roots: StoreRoots) -> None:
    """Kind, bytes and path, a tab between."""
    kind, size, path = littered("gc", "--verbose").ok().lines[0].split("\t")

    assert (kind, path) == ("layer", store_roots.tree(ORPHAN))
    assert size.isdecimal()


def test_a_dry_run_removes_nothing(littered: CommandLine, store_roots: StoreRoots) -> None:
    """It says what would go."""
    told = littered("gc", "--dry-run").ok()

    assert told.lines[0].endswith(store_roots.tree(ORPHAN))
    assert littered("gc", "--dry-run", "--json").ok().json[0]["path"] == store_roots.tree(ORPHAN)
    assert littered("storage-layers").lines == [ORPHAN, "l1"]


def test_wipe_removes_everything(littered: CommandLine) -> None:
    """Records and trees, without a word."""
    assert littered("wipe").ok().out == ""
    assert littered("layers").out == ""
    assert littered("storage-layers").out == ""
    assert littered("wipe", "-j").ok().json == ""


def test_shutdown_waits_for_nobody(littered: CommandLine) -> None:
    """Mounted layers are in its way and named; --force unmounts them and succeeds."""
    littered("mount", "l1").ok()
    refused = littered("shutdown")
    in_json = littered("shutdown", "-j")

    assert (refused.code, refused.out) == (1, "")
    assert refused.err == "cstore: a layer is mounted: l1 (cstore unmount l1, or shutdown --force)\n"
    assert in_json.error["layers"] == ["l1"]
    assert littered("shutdown", "--force").ok().out == ""
    assert littered("mounted", "l1").ok().out == ""
    assert littered("shutdown", "-j").ok().json == ""


def test_gc_and_wipe_of_no_store(cli: CommandLine, store_roots: StoreRoots) -> None:
    """Nothing to do is no failure."""
    cli("gc", "--dry-run").ok()

    assert not os.path.exists(store_roots.graph)


# ── where no store is ──


@pytest.mark.parametrize("line", ["layers", "images --json", "check", "gc", "wipe", "exists nothing", "shutdown"])
def test_a_graph_root_where_nothing_is_is_told(cli: CommandLine, store_roots: StoreRoots, line: str) -> None:
    """On standard error, and with the exit status of the Go tool; nothing is made."""
    told = cli(*line.split())

    assert told.code == (1 if line.startswith("exists") else 0)
    assert f"cstore: warning: there is no store at {store_roots.graph}\n" in told.err
    assert "no store" not in told.out
    assert not os.path.exists(store_roots.graph)


def test_an_unknown_item_of_no_store_is_one_document_in_json(cli: CommandLine) -> None:
    """A program that reads the error reads nothing else."""
    assert cli("get-names", "--json", "nothing").error["kind"] == "LayerUnknown"
    assert "no store" in cli("get-names", "nothing").err


def test_check_may_require_a_store(cli: CommandLine, store_roots: StoreRoots) -> None:
    """Without one nothing can be said about its state, and the exit status is that of this; an empty one is a store."""
    told = cli("check", "--require-store")
    assert (told.code, f"there is no store at {store_roots.graph}" in told.err) == (3, True)
    cli("create-layer", "-i", "l1").ok()
    cli("delete-layer", "l1").ok()
    assert cli("check", "--require-store").ok().err == ""


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("words", [["delete-image", "img"], ["wipe"]])
def test_gc_says_what_keeps_unfinished_work(cli: CommandLine, store_roots: StoreRoots, words: list[str]) -> None:
    """What a failed command left and no writer could remove fails gc, until it can be removed."""
    cli("create-layer", "-i", "base").ok()
    cli("create-image", "-n", "img", "base").ok()
    home = os.path.dirname(store_roots.tree("base"))
    with immutable(home):
        failed, told = cli(*words), cli("gc")

    assert failed.code == told.code == 1
    assert "Operation not permitted" in told.err
    cli("gc").ok()
    assert cli("layers", "-q").lines == cli("images", "-q").lines == []
    assert cli("check").ok().lines == []


@contextmanager
def immutable(folder: str) -> Iterator[None]:
    """Let nobody add or remove anything in a directory, or skip."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        before = ioctl.file_flags(fd)
        ioctl.set_file_flags(fd, before | ioctl.FLAG_IMMUTABLE)
    except OSError:
        os.close(fd)
        pytest.skip("this file system has no such flags")
    try:
        yield
    finally:
        ioctl.set_file_flags(fd, before)
        os.close(fd)
