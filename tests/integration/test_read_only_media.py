"""A graph root on read-only media: its contents come out, and all that this takes is made in the run root."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import listing, make_tar, regular
from tests.mounts import detach_all, mounts_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture(params=["overlay", "vfs"])
def media(request: pytest.FixtureRequest, run: Runner, store_roots: StoreRoots) -> Iterator[StoreRoots]:
    """A store with a layer, an image and a container, on media that take no changes; its run root is new."""
    roots = replace(store_roots, driver=request.param)
    run("import-layer", "--id", "base", stdin=make_tar(regular("etc/conf", b"one")), roots=roots).ok()
    run("create-image", "--id", "image", "base", roots=roots).ok()
    run("create-container", "--id", "box", "image", roots=roots).ok()
    detach_all(roots.graph)
    subprocess.run(["mount", "--bind", roots.graph, roots.graph], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", roots.graph], check=True)
    yield replace(roots, run=roots.run + "-new")
    detach_all(roots.run + "-new")
    detach_all(roots.graph)


@pytest.mark.parametrize(("words", "name"), [(("-r", "image"), "image"), (("base",), "base"), (("box",), "box")])
def test_it_is_mounted_from_the_run_root(run: Runner, media: StoreRoots, words: tuple[str, ...], name: str) -> None:
    """And counted there, so that as many unmounts as mounts take it away again."""
    where = run("mount", *words, roots=media).ok().lines[0]
    assert run("mount", *words, roots=media).ok().lines[0] == where
    with open(os.path.join(where, "etc/conf"), encoding="ascii") as file:
        assert file.read() == "one"

    run("unmount", name, roots=media).ok()
    assert os.path.exists(os.path.join(where, "etc/conf"))
    run("unmount", name, roots=media).ok()
    assert mounts_below(media.run) == []


def test_files_are_copied_out(run: Runner, media: StoreRoots, tmp_path: Path) -> None:
    """And nothing is copied into it."""
    run("copy", "base:/etc/conf", str(tmp_path / "copy"), roots=media).ok()

    assert (tmp_path / "copy").read_bytes() == b"one"
    refused = run("copy", str(tmp_path / "copy"), "base:/etc/conf", roots=media)
    assert refused.code == 1
    assert "ead-only" in refused.stderr
    assert mounts_below(media.run) == []


@pytest.mark.parametrize(("command", "item"), [("get-image-dir", "image"), ("get-container-dir", "box")])
def test_a_directory_that_is_not_there_is_one_of_the_run_root(
    run: Runner, media: StoreRoots, command: str, item: str
) -> None:
    """There is one all the same, and it is the caller's to use."""
    path = run(command, item, roots=media).ok().lines[0]
    assert path.startswith(media.run + "/")
    assert os.access(path, os.W_OK)
    assert run(command, item, roots=media).ok().lines == [path]


def test_what_changes_it_is_refused_in_a_sentence(run: Runner, media: StoreRoots) -> None:
    """And changes nothing."""
    before = listing(media.graph)
    for command in (("create-layer", "base"), ("delete-layer", "base"), ("repair", "--yes"), ("gc",)):
        refused = run(*command, roots=media)
        assert (command, refused.code, refused.stderr.count("\n")) == (command, 1, 1), refused.stderr
    assert listing(media.graph) == before
