"""What the driver asks of zfs(8), in which words, and what it makes of the answers."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.drivers.contract import MountOptions, TreeOptions
from cstore.drivers.registry import DriverPlace
from cstore.drivers.zfs import command
from cstore.drivers.zfs.driver import ZfsDriver
from cstore.errors import CstoreError, DriverError, DriverUnusable
from cstore.store import NewLayer, Store, open_store
from tests.builders import typical_tar
from tests.mounts import detach_all
from tests.zfs_on_directories import log_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

FSNAME = "zfs.fsname=pool/store"
ID = "ab" * 32


@pytest.fixture
def driver(zfs_pool: str) -> Iterator[ZfsDriver]:
    """The driver over an empty pool."""
    yield open_driver(zfs_pool)
    detach_all(zfs_pool)


def open_driver(folder: str, *options: str) -> ZfsDriver:
    home, run_home = (os.path.join(folder, root, "zfs") for root in ("graph", "run"))
    return ZfsDriver(DriverPlace(home, run_home, options=(FSNAME, *options)))


def make(driver: ZfsDriver, layer: str, parent: str | None = None, size: str = "") -> None:
    options = TreeOptions(storage_options={"size": size} if size else {})
    staged = driver.stage(parent, options)
    driver.adopt(staged, layer, parent)
    staged.staging.remove()


def datasets() -> list[str]:
    return sorted(each.name for each in command.children("pool/store"))


def calls_of(folder: str, *verbs: str) -> list[str]:
    """The calls of these verbs, with the random numbers of staging directories made equal."""
    import re

    lines = [re.sub(r"(staged:|@|temp-dir-)\d+", r"\1N", line.replace(folder, "")) for line in log_of(folder)]
    return [line for line in lines if line.split()[1] in verbs or line.split()[0] in verbs]


def test_a_base_layer_is_created_and_renamed(driver: ZfsDriver, zfs_pool: str) -> None:
    """In the words of zfs(8), with a property by which it is known again."""
    make(driver, "base", size="1g")

    assert calls_of(zfs_pool, "create", "rename", "mount") == [
        "zfs create -o mountpoint=legacy -o cstore:layer=yes -o quota=1073741824 pool/store/staged:N",
        "mount -t zfs pool/store/staged:N /graph/cstore-staging/zfs/temp-dir-N/tree",
        "zfs rename pool/store/staged:N pool/store/base",
    ]


def test_a_child_is_a_clone(driver: ZfsDriver, zfs_pool: str) -> None:
    """The snapshot between the two goes as soon as the clone does."""
    make(driver, "base")
    make(driver, "child", "base")

    assert calls_of(zfs_pool, "snapshot", "clone", "destroy") == [
        "zfs snapshot pool/store/base@N",
        "zfs clone -o mountpoint=legacy -o cstore:layer=yes pool/store/base@N pool/store/staged:N",
        "zfs destroy -d pool/store/base@N",
    ]
    driver.remove("child").finish()
    driver.remove("base").finish()
    assert datasets() == []


def test_only_layers_are_layers(driver: ZfsDriver) -> None:
    """Datasets of other people beside them are neither listed nor touched."""
    make(driver, "base")
    for name in ("home-of-somebody", ID):
        command.create(f"pool/store/{name}", {"mountpoint": "legacy"})

    assert driver.layers() == [ID, "base"]


def test_mounts_take_options_and_may_be_read_only(zfs_pool: str) -> None:
    """Those of the call, or else the configured ones; `ro` is for the directory, not for the dataset."""
    driver = open_driver(zfs_pool, "zfs.mountopt=noatime,nodev")
    make(driver, "a")
    root = driver.mount("a", MountOptions(options=("ro",)))

    assert calls_of(zfs_pool, "mount")[-1] == "mount -t zfs -o noatime,nodev pool/store/a /graph/zfs/graph/a"
    assert driver.is_mounted("a", root)
    with pytest.raises(OSError, match="Read-only"), open(os.path.join(root, "f"), "w", encoding="ascii"):
        pass
    driver.unmount("a")
    assert not os.path.exists(root)
    driver.mount("a", MountOptions(label="l", options=("noexec",)))
    assert calls_of(zfs_pool, "mount")[-1].startswith('mount -t zfs -o noexec,context="l" pool/store/a')
    driver.unmount("a")


def test_a_replacement_lets_the_old_dataset_go_first(driver: ZfsDriver, zfs_pool: str) -> None:
    """The clone is promoted; children of the replaced layer stay what they are."""
    make(driver, "a", size="1g")
    make(driver, "child", "a")
    driver.replace(driver.stage_again("a", None), "a").finish()

    assert "zfs promote pool/store/a" in log_of(zfs_pool)
    assert ["-o quota=1073741824" in line for line in calls_of(zfs_pool, "clone")] == [False, True]
    assert datasets() == ["pool/store/a", "pool/store/child"]
    assert driver.sweep() == []


def test_a_replacement_that_died_halfway_is_taken_back(driver: ZfsDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old dataset has lost its name, the new one has none yet: the next sweep gives it back."""
    make(driver, "a")
    pid = os.fork()
    if not pid:
        rename = command.rename

        def rename_once(old: str, new: str) -> None:
            rename(old, new)
            monkeypatch.setattr(command, "rename", lambda *_: os._exit(0))

        monkeypatch.setattr(command, "rename", rename_once)
        driver.replace(driver.stage_again("a", None), "a")
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert not driver.exists("a")

    assert len(driver.sweep()) == 1
    assert datasets() == ["pool/store/a"]


def test_an_answer_that_is_no_is_quoted(driver: ZfsDriver) -> None:
    """With the command that was run."""
    with pytest.raises(DriverError, match=r"zfs create pool/none/a: cannot create 'pool/none/a': parent does not"):
        command.create("pool/none/a", {})
    with pytest.raises(DriverError, match="cannot name a dataset"):
        make(driver, "sn@p")
    assert driver.stale() == []
    assert not driver.exists("sn@p")


def test_status_speaks_of_the_pool(driver: ZfsDriver) -> None:
    """The peer's labels."""
    assert driver.status() == [
        ("Zpool", "pool"),
        ("Zpool Health", "ONLINE"),
        ("Parent Dataset", "pool/store"),
        ("Space Used By Parent", "4096"),
        ("Space Available", "8192"),
        ("Parent Quota", "no"),
        ("Compression", "off"),
    ]


@pytest.mark.parametrize(
    ("option", "peer"),
    [("zfs.inodes=1", "unknown option zfs.inodes"), ("zfs.imagestore=/x", "unknown option zfs.imagestore")],
)
def test_options_that_it_does_not_have(tmp_path: Path, option: str, peer: str) -> None:
    """The peer refuses the same ones."""
    with pytest.raises(DriverError) as told:
        open_driver(str(tmp_path), option)
    assert told.value.go_text == peer


def test_without_zfs_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DriverUnusable, match="the command zfs is not installed"):
        open_driver(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_on_another_file_system_a_dataset_must_be_named(zfs_pool: str) -> None:
    """One sentence says where the store would be, and both ways out."""
    with pytest.raises(DriverUnusable, match="graph is not on ZFS, and no dataset is named") as told:
        ZfsDriver(DriverPlace(os.path.join(zfs_pool, "graph", "zfs"), os.path.join(zfs_pool, "run")))
    assert "zfs.fsname=POOL/DATASET" in told.value.hint
    assert "no zfs dataset found for rootdir" in told.value.go_text


@pytest.fixture
def store(zfs_pool: str) -> Iterator[Store]:
    """A store on the pool."""
    graph, run = (os.path.join(zfs_pool, root) for root in ("graph", "run"))
    overrides = Overrides(graph_root=graph, run_root=run, driver="zfs", driver_options=(FSNAME,))
    yield open_store(load_config(overrides, environ={"HOME": zfs_pool}))
    detach_all(zfs_pool)


def test_a_store_on_zfs(store: Store, tmp_path: Path) -> None:
    """Layers come in and go out as the same bytes, are applied to and listed, and leave nothing behind."""
    archive = tmp_path / "archive"
    archive.write_bytes(typical_tar())
    with archive.open("rb") as stream:
        store.layers.put(NewLayer(id="base"), stream.fileno())
    store.layers.create(NewLayer(id="child", parent="base"))
    with archive.open("rb") as stream:
        store.layers.apply_diff("child", stream.fileno())
    out = io.BytesIO()
    store.layers.diff("base", out)

    assert out.getvalue() == typical_tar()
    assert store.layers.changes("child") == []
    root = store.mount("child")
    assert os.path.exists(os.path.join(root, "etc"))
    store.unmount("child")
    store.layers.create_tree(NewLayer(id="stray"))
    assert [leftover.kind for leftover in store.gc()] == ["layer"]
    store.wipe()
    assert datasets() == []
    with pytest.raises(CstoreError):
        store.layers.get("child")
