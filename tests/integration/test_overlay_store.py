"""The store on overlay: mounts are what they are counted to be, and a store is found by what is in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cstore.check import check_store
from cstore.config import Overrides, StoreConfig, load_config
from cstore.errors import ArchiveError, LayersMounted
from cstore.kernel import mount
from cstore.store import NewLayer, Store, open_store
from cstore.store.copying import LayerPath
from tests.builders import directory, listing, make_tar, regular, typical_tar, whiteout
from tests.mounts import detach_all, mounts_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Open the test's store, as another process would; its mounts go with the test."""

    def open_it(driver: str = "overlay") -> Store:
        graph, run = str(tmp_path / "graph"), str(tmp_path / "run")
        overrides = Overrides(graph_root=graph, run_root=run, driver=driver, lock_timeout=20)
        return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))

    yield open_it
    detach_all(str(tmp_path))


@pytest.fixture
def store(reopen: Callable[..., Store], tmp_path: Path) -> Store:
    """A store with one imported layer, `base`."""
    store = reopen()
    with archive(tmp_path, typical_tar()) as source:
        store.layers.put(NewLayer(id="base"), source.fileno())
    return store


def archive(top: Path, data: bytes) -> BufferedReader:
    """The bytes as an open file."""
    (top / "archive").write_bytes(data)
    return open(top / "archive", "rb")


def test_a_store_is_found_by_what_is_in_it(store: Store, reopen: Callable[..., Store]) -> None:
    """Nobody names a driver, and yet no second one is started beside the first."""
    found = reopen(driver="")

    assert found.driver_name == "overlay"
    assert list(found.layers.ids()) == list(store.layers.ids()) == ["base"]


def test_counts_follow_the_mounts(store: Store, reopen: Callable[..., Store], tmp_path: Path) -> None:
    """After an umount from outside the next mount is the first; after a lost run root the mount is still the same."""
    path = store.mount("base")
    store.mount("base")
    mount.unmount(path)
    assert not store.mounted("base")
    assert reopen().mount("base") == path
    assert store.unmount(path) is False
    assert not os.path.ismount(path)

    assert store.mount("base") == path
    shutil.rmtree(tmp_path / "run")
    assert reopen().mount("base") == path
    assert reopen().unmount("base") is False
    assert not os.path.ismount(path)


def test_shutdown_leaves_nothing_mounted(store: Store, tmp_path: Path) -> None:
    """With force also what is in use; a mount of somebody else stays where it is."""
    other = tmp_path / "graph" / "other"
    other.mkdir()
    mount.mount("tmpfs", str(other), "tmpfs")
    path = store.mount("base")
    with pytest.raises(LayersMounted):
        store.shutdown()
    assert os.path.ismount(path)

    store.shutdown(force=True)
    assert mounts_below(str(tmp_path)) == [str(other)]


def test_a_diff_is_applied_to_a_layer_that_is_there(store: Store, tmp_path: Path) -> None:
    """All of it at once, marks included; the layer keeps its short link, so that its children keep theirs."""
    store.layers.create(NewLayer(id="middle", parent="base"))
    store.layers.create(NewLayer(id="top", parent="middle"))
    data = make_tar(whiteout("etc/hosts"), directory("usr"), regular("usr/new", b"new"))
    with archive(tmp_path, data) as source:
        store.layers.apply_diff("middle", source.fileno())
    root = store.mount("top")

    assert not os.path.exists(os.path.join(root, "etc/hosts"))
    assert os.path.exists(os.path.join(root, "usr/bin/tool0"))
    assert os.path.exists(os.path.join(root, "usr/new"))
    found = [(change.path, change.kind.name) for change in store.layers.changes("middle")]
    assert (b"/etc/hosts", "DELETE") in found
    assert [(change.path, change.kind.name) for change in store.layers.changes("top")] == []


def test_deleting_what_is_mounted_leaves_nothing(store: Store, tmp_path: Path) -> None:
    """Neither mount nor directory nor link."""
    store.mount("base")
    store.layers.delete("base")
    store.shutdown()
    home = tmp_path / "graph" / "overlay"

    assert sorted(os.listdir(home)) == [".has-mount-program", "l"]
    assert os.listdir(home / "l") == []
    assert mounts_below(str(tmp_path)) == []


def test_a_killed_import_is_swept_by_the_next_writer(store: Store, tmp_path: Path) -> None:
    """What it left is no layer, and goes before anything else is made."""
    graph, run = str(tmp_path / "graph"), str(tmp_path / "run")
    command = [sys.executable, "-m", "cstore", "--graph", graph, "--run", run, "--storage-driver", "overlay"]
    before = listing(os.path.join(graph, "overlay"))
    process = subprocess.Popen([*command, "import-layer", "--id", "killed", "base"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(typical_tar(files=500)[:300_000])
    process.stdin.flush()
    deadline = time.monotonic() + 20
    while not os.path.isdir(os.path.join(graph, "cstore-staging", "overlay")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.stdin.close()
    process.wait()

    assert list(store.layers.ids()) == ["base"]
    assert store.gc() is not None
    assert listing(os.path.join(graph, "overlay")) == before
    assert not os.path.exists(os.path.join(graph, "cstore-staging"))


def test_owners_that_cannot_be_set_may_be_let_be(tmp_path: Path, reopen: Callable[..., Store]) -> None:
    """In a user namespace with one ID, `ignore_chown_errors` imports what else is refused."""
    del reopen  # for its clean-up
    (tmp_path / "layer.tar").write_bytes(make_tar(regular("f", b"x", uid=1234, gid=1234)))
    words = [sys.executable, "-m", "cstore", "--graph", str(tmp_path / "g"), "--run", str(tmp_path / "r")]
    words += ["--storage-driver", "overlay"]
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "env", "_CONTAINERS_USERNS_CONFIGURED=1"]

    def attempt(*options: str) -> subprocess.CompletedProcess[str]:
        command = [*namespace, *words, *options, "import-layer", "--id", "a", "--file", str(tmp_path / "layer.tar")]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    refused = attempt()
    assert refused.returncode == 1
    assert "1234" in refused.stderr
    allowed = attempt("--storage-opt", "overlay.ignore_chown_errors=true")
    assert allowed.returncode == 0, allowed.stderr
    assert os.path.exists(tmp_path / "g" / "overlay" / "a" / "diff" / "f")
    records = json.loads((tmp_path / "g" / "overlay-layers" / "layers.json").read_text())
    assert [record["id"] for record in records] == ["a"]


def test_a_home_may_have_the_older_name(reopen: Callable[..., Store], tmp_path: Path) -> None:
    """What is called overlay2 is overlay in a home of that name, and is found again when nobody names it."""
    store = reopen("overlay2")
    with archive(tmp_path, typical_tar()) as source:
        store.layers.put(NewLayer(id="base"), source.fileno())

    roots = Overrides(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"))
    nothing_said = {"HOME": str(tmp_path), "CONTAINERS_STORAGE_CONF": "/dev/null"}
    found = open_store(load_config(roots, environ=nothing_said))

    assert found.driver_name == "overlay"
    assert found.mount("base") == str(tmp_path / "graph/overlay2/base/merged")
    found.unmount("base")
    names = sorted(os.listdir(tmp_path / "graph"))
    assert "overlay2" in names
    assert "overlay-layers" in names
    assert "overlay" not in names
    assert os.path.isdir(tmp_path / "run/overlay2")


def test_an_older_name_of_the_home_is_not_that_in_an_image_store(tmp_path: Path) -> None:
    """There the home is called overlay: the driver, the inspector and the check look in the same places."""
    graph, run, images = (str(tmp_path / name) for name in ("graph", "run", "images"))
    config = StoreConfig(graph_root=graph, run_root=run, driver="overlay2", image_store=images)
    store = open_store(config)
    with archive(tmp_path, typical_tar()) as source:
        store.layers.put(NewLayer(id="base", read_only=True), source.fileno())

    place = store.context.driver_place
    assert place.image_home == f"{images}/overlay"
    assert place.run_home == f"{run}/overlay2"
    assert store.context.layout.homes == (f"{graph}/overlay2", f"{images}/overlay")
    assert os.path.isdir(f"{images}/overlay/base/diff")
    os.mkfifo(f"{images}/overlay/tempdirs")
    wrong = [finding.subject.path for finding in check_store(store).findings if finding.kind == "thing-wrong"]
    assert f"{images}/overlay/tempdirs" in wrong


def test_a_whiteout_of_nothing_is_in_nobodys_way(store: Store, reopen: Callable[..., Store], tmp_path: Path) -> None:
    """Overlay lists it in a mount, though it denies that it is there; comparing and copying get by."""
    with archive(tmp_path, make_tar(directory("d"), regular("d/here"))) as source:
        store.layers.put(NewLayer(id="top"), source.fileno())
    os.mknod(tmp_path / "graph/overlay/top/diff/d/gone", stat.S_IFCHR, 0)  # as other programs leave one
    merged = store.mount("top")
    assert b"gone" in os.listdir(os.path.join(merged.encode(), b"d")), "this kernel hides it: the test proves nothing"
    store.unmount("top")

    assert b"/d/here" in [change.path for change in store.layers.changes("top", "base")]
    store.copy([LayerPath("/d", "top")], LayerPath(str(tmp_path / "copied")))

    assert os.listdir(tmp_path / "copied") == ["here"]


# ── a layer that is changed while it is mounted ──


def test_an_archive_is_applied_to_a_mounted_layer(store: Store, reopen: Callable[..., Store], tmp_path: Path) -> None:
    """Its users go on in the same directories: they see what is new, and what they write and wrote is kept."""
    store.layers.create(NewLayer(id="box", parent="base"))
    point = store.mount("box")
    os.makedirs(f"{point}/data/old")
    for name in ("data/log", "data/gone", "data/same"):
        (tmp_path / "graph/overlay/box/merged" / name).write_text("first\n", encoding="utf-8")
    users = os.open(f"{point}/data", os.O_RDONLY)
    log = os.open(f"{point}/data/same", os.O_WRONLY | os.O_APPEND)
    members = (regular("data/log", b"second"), whiteout("data/gone"), whiteout("data/old"), regular("data/new", b"new"))
    with archive(tmp_path, make_tar(*members)) as source:
        reopen().layers.apply_diff("box", source.fileno())
    os.write(log, b"more\n")
    os.close(log)

    assert store.mounted("box")
    assert sorted(os.listdir(users)) == ["log", "new", "same"]
    store.unmount("box")
    os.close(users)
    diff = tmp_path / "graph/overlay/box/diff/data"
    texts = {path.name: path.read_bytes() for path in diff.iterdir()}
    assert texts == {"log": b"second", "new": b"new", "same": b"first\nmore\n"}
    assert not (tmp_path / "graph/cstore-staging").exists()


def test_a_broken_archive_leaves_a_mounted_layer_alone(store: Store, tmp_path: Path) -> None:
    """All of it was read before anything is changed."""
    point = store.mount("base")
    before = listing(point)
    with archive(tmp_path, make_tar(regular("new", b"text" * 500))[:1500]) as source, pytest.raises(ArchiveError):
        store.layers.apply_diff("base", source.fileno())

    assert listing(point) == before
    assert store.mounted("base")


@pytest.mark.parametrize("below", [True, False])
def test_files_in_a_mount_point_go_aside(store: Store, tmp_path: Path, below: bool) -> None:
    """They were written while nothing was mounted: before the mount, or after somebody took it away from outside."""
    point = str(tmp_path / "graph/overlay/base/merged")
    if not below:
        store.mount("base")
        mount.unmount(point, mount.MNT_DETACH)
    os.makedirs(point, exist_ok=True)
    (tmp_path / "graph/overlay/base/merged/notes").write_text("mine", encoding="utf-8")
    if below:
        store.mount("base")

    assert store.unmount("base") is False

    assert os.listdir(point) == []
    assert (tmp_path / "graph/overlay/base/merged.strays-1/notes").read_text(encoding="utf-8") == "mine"
    assert not store.mounted("base")
    assert len(os.listdir(store.mount("base"))) > 0
    store.unmount("base")
