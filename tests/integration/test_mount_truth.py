"""What the store says of mounts is what the kernel says, whatever happened in between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.errors import LayersMounted, LayerUnknown
from cstore.kernel import mount
from cstore.store import NewLayer, Store, open_store
from tests.builders import typical_tar
from tests.mounts import detach_all, mounts_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

DIES_BEFORE_COUNTING = """
import os, signal, sys
from cstore.records.mounts import MountTable
MountTable.save = lambda self, sync: os.kill(os.getpid(), signal.SIGKILL)
from cstore.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Open the test's store, as another process would; its mounts go with the test."""

    def open_it(*options: str) -> Store:
        overrides = Overrides(
            graph_root=str(tmp_path / "graph"),
            run_root=str(tmp_path / "run"),
            driver="overlay",
            driver_options=options,
            lock_timeout=20,
        )
        return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))

    yield open_it
    detach_all(str(tmp_path))


@pytest.fixture
def store(reopen: Callable[..., Store], tmp_path: Path) -> Store:
    """A store with a layer `base`, named `name`."""
    store = reopen()
    (tmp_path / "archive").write_bytes(typical_tar())
    with open(tmp_path / "archive", "rb") as source:
        store.layers.put(NewLayer(id="base", names=("name",)), source.fileno())
    return store


def layers_mounted(top: Path) -> list[str]:
    """The mount points of layers in the store."""
    return [path for path in mounts_below(str(top / "graph")) if path.endswith("/merged")]


def test_a_mount_that_nobody_counted_is_seen(store: Store, reopen: Callable[..., Store], tmp_path: Path) -> None:
    """The process died after mounting; the layer is mounted, can be mounted once more, and is unmounted by one word."""
    words = ["--graph", str(tmp_path / "graph"), "--run", str(tmp_path / "run"), "-s", "overlay", "mount", "base"]
    died = subprocess.run([sys.executable, "-c", DIES_BEFORE_COUNTING, *words], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL
    point = str(tmp_path / "graph/overlay/base/merged")

    assert layers_mounted(tmp_path) == [point]
    assert reopen().mounted("base")
    assert reopen().layers.mount_points() == {"base": point}
    with pytest.raises(LayersMounted):
        reopen().shutdown()
    assert reopen().mount("base") == point
    assert reopen().unmount("base") is False
    assert layers_mounted(tmp_path) == []
    assert not reopen().mounted("base")


@pytest.mark.parametrize("options", [(), ("overlay.skip_mount_home=true",)])
def test_an_empty_run_root_hides_no_mount(
    store: Store, reopen: Callable[..., Store], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Its counts are lost, its mounts are not, unless it was a reboot: shutdown finds them all the same."""
    reopen(*options).mount("base")
    shutil.rmtree(tmp_path / "run")
    assert reopen(*options).mounted("name")
    with pytest.raises(LayersMounted):
        reopen(*options).shutdown()
    assert len(layers_mounted(tmp_path)) == 1

    reopen(*options).shutdown(force=True)
    assert mounts_below(str(tmp_path)) == []


def test_an_unmount_from_outside_ends_all_counts(store: Store, reopen: Callable[..., Store], tmp_path: Path) -> None:
    """Two mounts were counted; what is not there any more is not still mounted after the first unmount."""
    point = store.mount("base")
    store.mount("base")
    mount.unmount(point)
    assert not reopen().mounted("base")
    assert reopen().unmount("base") is False
    reopen().shutdown()

    store.mount("base")
    assert reopen().unmount("base") is False
    assert layers_mounted(tmp_path) == []


def test_counts_of_before_a_reboot_count_nothing(store: Store, reopen: Callable[..., Store], tmp_path: Path) -> None:
    """A run root on a disk keeps its file; the mounts are gone."""
    store.mount("base")
    store.mount("base")
    shutil.copytree(tmp_path / "run", tmp_path / "kept")
    store.shutdown(force=True)
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "kept").rename(tmp_path / "run")

    assert not reopen().mounted("base")
    reopen().shutdown()
    reopen().mount("base")
    assert reopen().unmount("base") is False
    assert layers_mounted(tmp_path) == []


@pytest.mark.parametrize("word", ["base", "name", "bas", "POINT", "POINT/", "LINK", "POINT/../merged"])
def test_every_way_to_name_a_mount(store: Store, tmp_path: Path, word: str) -> None:
    """ID, name, prefix, mount point, by whatever path."""
    (tmp_path / "link").symlink_to(tmp_path / "graph")
    point = store.mount("base")
    word = word.replace("POINT", point).replace("LINK", str(tmp_path / "link/overlay/base/merged"))
    assert store.unmount(word) is False
    assert layers_mounted(tmp_path) == []


def test_a_mount_point_without_a_count_names_its_layer(
    store: Store, reopen: Callable[..., Store], tmp_path: Path
) -> None:
    """The kernel knows it."""
    point = store.mount("base")
    shutil.rmtree(tmp_path / "run")
    assert reopen().unmount(point) is False
    assert layers_mounted(tmp_path) == []


def test_other_mounts_are_nobodys_layer(store: Store, reopen: Callable[..., Store], tmp_path: Path) -> None:
    """Whatever is mounted in the store's directories by others is neither counted, nor named, nor unmounted."""
    places = [tmp_path / "graph/overlay/stranger", tmp_path / "graph/overlay/base/other", tmp_path / "run/overlay/x"]
    for place in places:
        place.mkdir(parents=True)
        mount.mount("tmpfs", str(place), "tmpfs")
    assert reopen().layers.mount_points() == {}
    assert not reopen().mounted("base")
    with pytest.raises(LayerUnknown):
        reopen().unmount(str(places[0]))
    reopen().shutdown()
    assert sorted(mounts_below(str(tmp_path))) == sorted(map(str, places))


def test_a_mount_in_another_namespace_is_not_ours(store: Store, reopen: Callable[..., Store], tmp_path: Path) -> None:
    """A count that a dead namespace left is no mount."""
    words = ["--graph", str(tmp_path / "graph"), "--run", str(tmp_path / "run"), "-s", "overlay", "mount", "base"]
    command = ["unshare", "--mount", sys.executable, "-m", "cstore", *words]
    point = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert point.endswith("/merged")
    assert not os.path.ismount(point)
    assert not reopen().mounted("base")
    assert reopen().mount("base") == point
    assert reopen().unmount("base") is False
    assert layers_mounted(tmp_path) == []
