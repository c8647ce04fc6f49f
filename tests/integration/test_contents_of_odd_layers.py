"""Contents read without a mount, where layers hold marks of the kernel's or of a program's: as the mount shows them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.contents import Criteria, find_everywhere, open_item
from cstore.fs.tree import remove_tree
from cstore.store import NewContainer, NewImage, NewLayer, open_store
from tests.builders import Fact, differences, directory, make_tar, regular
from tests.mounts import detach_all
from tests.property.test_contents_as_mounted import as_mounted, facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cstore.store import Store

pytestmark = pytest.mark.usefixtures("needs_root")

BASE = make_tar(
    directory("old"),
    directory("old/deep"),
    regular("old/deep/file", b"deep", mtime=1),
    regular("old/big", b"b" * 100_000),
    directory("other"),
    regular("other/file", b"other"),
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Open a store with options of overlay."""

    def open_it(*options: str) -> Store:
        overrides = Overrides(
            graph_root=f"{tmp_path}/graph", run_root=f"{tmp_path}/run", driver="overlay", driver_options=options
        )
        store = open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))
        store.layers.put(NewLayer(id="base"), BASE)
        store.images.create(NewImage(layer="base", id="image"))
        store.containers.create(NewContainer(image="image", id="box"))
        return store

    yield open_it
    detach_all(str(tmp_path))
    remove_tree(f"{tmp_path}/graph")  # pytest, which removes it some runs later, fails on trees as deep as one of these


def test_renamed_directories_and_mere_statuses_are_followed(opened: Callable[..., Store]) -> None:
    """A directory goes on under its old name below, a file without contents has them there."""
    store = opened("overlay.mountopt=redirect_dir=on,metacopy=on")
    tree = store.mount("box")
    os.rename(f"{tree}/old", f"{tree}/new")
    os.rename(f"{tree}/new/deep", f"{tree}/elsewhere")
    os.chmod(f"{tree}/new/big", 0o600)
    os.rename(f"{tree}/new/big", f"{tree}/other/large")
    os.mkdir(f"{tree}/old")
    upper = store.containers.get("box").layer
    marks = os.listxattr(f"{store.config.graph_root}/overlay/{upper}/diff/other/large")
    assert "trusted.overlay.metacopy" in marks

    with open_item(store, store.resolve("box")) as contents:
        assert differences(facts_of(contents), as_mounted(tree)) == []


def test_marks_of_a_store_within_a_layer_are_not_marks(opened: Callable[..., Store]) -> None:
    """What a user's mount wrote, root's does not honor; who has such files in an image is shown them."""
    store = opened()
    nested = make_tar(directory("other", pax={b"SCHILY.xattr.user.overlay.opaque": b"y"}), regular("other/new", b"new"))
    store.layers.put(NewLayer(id="top", parent="base"), nested)
    store.layers.put(NewLayer(id="marked", parent="top"), make_tar(directory("old"), regular("old/.wh..wh..opq")))
    path = f"{store.config.graph_root}/overlay/top/diff/other"
    os.setxattr(path, "user.overlay.opaque", b"y")
    os.setxattr(path, "trusted.overlay.origin", b"0")
    tree = store.mount("marked")

    with open_item(store, store.resolve("marked")) as contents:
        assert differences(facts_of(contents), as_mounted(tree)) == []


@pytest.mark.parametrize("mask", ["", "overlay.force_mask=0755"])
def test_marks_of_a_mount_program_are_honored(opened: Callable[..., Store], mask: str) -> None:
    """Whiteouts and emptied directories, and with a mask modes and owners that are in attributes."""
    program = shutil.which("fuse-overlayfs")
    if program is None:
        pytest.skip("fuse-overlayfs is not installed")
    store = opened(f"overlay.mount_program={program}", *filter(None, [mask]))
    tree = store.mount("box")
    os.unlink(f"{tree}/old/deep/file")
    shutil.rmtree(f"{tree}/other")
    os.mkdir(f"{tree}/other", 0o700)
    with open(f"{tree}/other/new", "wb") as file:
        os.fchown(file.fileno(), 5, 6)
    os.chmod(f"{tree}/other/new", 0o640)
    mounted = {}
    for path, fact in as_mounted(tree).items():  # the program shows the attribute as well, and not what it says of /
        others = tuple(pair for pair in fact.xattrs if not pair[0].endswith(".override_stat"))
        mounted[path] = Fact(**{**vars(fact), "xattrs": others})

    with open_item(store, store.resolve("box")) as contents:
        facts = facts_of(contents)
    assert differences({**facts, b".": mounted[b"."]}, mounted) == []


def test_deep_paths_have_no_end(opened: Callable[..., Store]) -> None:
    """They may be deeper than the interpreter can call itself."""
    store = opened()
    deep = "/".join("d" * 1500)
    store.layers.put(NewLayer(id="deep", parent="base"), make_tar(regular(f"{deep}/file", b"x")))
    store.images.create(NewImage(layer="deep", id="deep-image"))

    with open_item(store, store.resolve("deep", "layer")) as contents:
        assert sum(1 for _ in contents.walk(b"d")) == 1500
        assert contents.get(f"{deep}/file".encode()).size == 1
    found = list(find_everywhere(store, Criteria(name=b"fil?", largest=1), []))
    assert [file.path for _, _, file in found] == [f"{deep}/file".encode()]


def test_short_links_may_be_lost(opened: Callable[..., Store]) -> None:
    """The layers still say which links were theirs; a `lower` file that makes no sense is a problem, and is told."""
    store = opened()
    store.layers.put(NewLayer(id="top", parent="base"), make_tar(regular("new", b"new")))
    home = f"{store.config.graph_root}/overlay"
    with open_item(store, store.resolve("top")) as contents:
        before = facts_of(contents)
    os.rename(f"{home}/l", f"{home}/../elsewhere")

    with open_item(store, store.resolve("top")) as contents:
        assert differences(facts_of(contents), before) == []
    with open(f"{home}/top/lower", "w", encoding="ascii") as file:
        file.write("nonsense")
    with open_item(store, store.resolve("top")) as contents:
        assert contents.find(b"old/big") is not None  # the records say what lies below
        assert len(contents.problems) == 1
