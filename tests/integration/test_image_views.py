"""An image that is mounted is only read, also where its layers are plain directories."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from cstore import NewImage, NewLayer, open_store
from tests.builders import make_tar, regular
from tests.mounts import detach_all
from tests.users import ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cstore import Store


@pytest.fixture(params=["vfs", "btrfs"])
def store(request: pytest.FixtureRequest, tmp_path: Path, needs_root: None) -> Iterator[Store]:
    """A store with the image `app` of one layer, `base`, which holds a file."""
    btrfs = request.param == "btrfs"
    top = tempfile.mkdtemp(dir=request.getfixturevalue("btrfs_disk")) if btrfs else str(tmp_path)
    made = open_store(graph_root=f"{top}/graph", run_root=str(tmp_path / "run"), driver=request.param)
    layer = made.layers.put(NewLayer(names=("base",)), make_tar(regular("file", b"text")))
    made.images.create(NewImage(layer=layer.id, names=("app",)))
    yield made
    detach_all(str(tmp_path))


def _write(directory: str) -> None:
    with open(os.path.join(directory, "file"), "w", encoding="ascii") as file:
        file.write("changed")


def _views(store: Store) -> list[str]:
    return os.listdir(os.path.join(store.config.run_root, store.driver_name))


def test_nobody_writes_through_the_mount_of_an_image(store: Store) -> None:
    """What it shows is the layer; with the last unmount nothing of it is left."""
    path = store.images.mount("app")
    assert store.images.mount("app") == path
    assert os.listdir(path) == ["file"]
    with pytest.raises(OSError, match="Read-only file system"):
        _write(path)

    assert (store.mount_count("base"), store.layers.mount_point(store.layers.get("base").id)) == (2, path)
    assert store.images.unmount("app") is True
    assert store.unmount(path) is False
    assert (store.mount_count("base"), _views(store)) == (0, [])


@pytest.mark.parametrize("image_first", [True, False])
def test_a_layer_is_writable_beside_its_image(store: Store, *, image_first: bool) -> None:
    """Whichever was mounted first; the count is one of both."""
    tree = "" if image_first else store.mount("base")
    view = store.images.mount("app")
    tree = tree or store.mount("base")

    _write(tree)
    with pytest.raises(OSError, match="Read-only file system"):
        _write(view)
    assert store.mount_count("base") == 2
    assert [store.unmount("base") for _ in range(2)] == [True, False]
    assert _views(store) == []


def test_a_changed_layer_shows_through_its_image(store: Store) -> None:
    """The old tree is deleted, so who looks at the same path again sees the new one."""
    path = store.images.mount("app")
    store.layers.apply_diff("base", make_tar(regular("more", b"text")))

    assert sorted(os.listdir(path)) == ["file", "more"]
    store.images.unmount("app")


def test_deleting_an_image_takes_its_mount_along(store: Store) -> None:
    """As with any layer that is mounted."""
    store.images.mount("app")
    store.images.delete("app")

    assert (store.layers.list(), _views(store)) == ([], [])


@pytest.mark.peer
def test_the_go_tool_counts_the_same_mounts_and_leaves_no_view_behind(store: Store) -> None:
    """It knows nothing of views: of what it unmounts and deletes, the next sweep removes the rest."""
    if shutil.which("containers-storage") is None:
        pytest.skip("needs containers-storage")
    config = store.config
    options = ["--graph", config.graph_root, "--run", config.run_root, "--storage-driver", store.driver_name]

    def go(*words: str) -> str:
        done = subprocess.run(["containers-storage", *options, *words], capture_output=True, check=True, text=True)
        return done.stdout.strip()

    path, layer = store.images.mount("app"), store.layers.get("base").id
    assert go("mount", layer) == path
    assert store.mount_count(layer) == 2
    store.unmount(layer)
    go("unmount", layer)
    go("delete-image", "app")

    assert [left.path for left in store.gc()] == [path]
    assert _views(store) == []


def test_an_ordinary_user_gets_the_directory_or_inside_a_namespace_a_view() -> None:
    """A mount that ends with the command would be of no use to anybody."""
    with ordinary_user(ranges=True) as user:
        vfs = ("--storage-driver", "vfs")
        layer = user.cstore(*vfs, "create-layer").ok().lines[0]
        user.cstore(*vfs, "create-image", "--name", "app", layer).ok()

        outside = user.cstore(*vfs, "mount", "--read-only", "app").ok().stdout.strip()
        user.cstore(*vfs, "unmount", "app").ok()
        script = 'path=$(cstore -s vfs mount -r app); echo "$path"; ! touch "$path/new" && cstore -s vfs unmount app'
        inside = user.unshared(script).ok().stdout.splitlines()[0]

        assert outside == os.path.join(user.graph, "vfs", "dir", layer)
        assert os.path.basename(inside).startswith("view-")
        assert user.cstore(*vfs, "mounted", layer).ok().stdout == ""
