"""The bytes that are foretold, against those of the file system: where files share blocks, and where they do not."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.insight import plan_removal, remove, usage
from cstore.store import NewContainer, NewImage, NewLayer, Store, open_store
from tests.builders import make_tar, regular
from tests.loops import loop_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

MEGA = 1 << 20
DISKS = [("ext4", "vfs"), ("ext4", "overlay"), ("xfs", "vfs"), ("btrfs", "vfs"), ("btrfs", "btrfs")]


def noise(seed: int, size: int = 4 * MEGA) -> bytes:
    """Bytes that no file system makes smaller."""
    import random

    return random.Random(seed).randbytes(size)


@pytest.fixture(params=DISKS, ids="-".join)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store on a disk of its own: two images on one base, a container, and a layer that is nobody's."""
    kind, driver = request.param
    with loop_disk(tmp_path, kind) as disk:
        if kind == "btrfs":  # whose subvolumes are cleared after the next commit
            subprocess.run(["mount", "-o", "remount,commit=1", disk], check=True)
        roots = Overrides(graph_root=f"{disk}/graph", run_root=str(tmp_path / "run"), driver=driver)
        store = open_store(load_config(roots, environ={"HOME": str(tmp_path)}))
        store.layers.put(NewLayer(id="base"), make_tar(regular("a", noise(1))))
        for name in ("one", "two"):
            store.layers.put(NewLayer(id=name, parent="base"), make_tar(regular(name, noise(len(name) + ord(name[0])))))
            store.images.create(NewImage(id=f"{name}-image", layer=name, names=(f"{name}:1",)))
        store.layers.put(NewLayer(id="spare"), make_tar(regular("s", noise(9))))
        store.containers.create(NewContainer(id="web", image="one-image", names=("web",)))
        yield store


def used(path: str) -> int:
    """The bytes that are in use on the file system, once all is written."""
    os.sync()
    if "btrfs" in subprocess.run(["stat", "-fc", "%T", path], capture_output=True, text=True, check=True).stdout:
        subprocess.run(["btrfs", "subvolume", "sync", path], capture_output=True, check=False)
        subprocess.run(["btrfs", "filesystem", "sync", path], capture_output=True, check=False)
    room = os.statvfs(path)
    return (room.f_blocks - room.f_bfree) * room.f_frsize


def du(path: str) -> int:
    """The bytes that du counts in a directory."""
    done = subprocess.run(["du", "-s", "--block-size=1", path], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def test_what_is_foretold_is_free_afterwards(store: Store, request: pytest.FixtureRequest) -> None:
    """Shared blocks count once; what goes frees as much as was said, by the file system's own count.

    That is within one percent, and a quarter of a megabyte for the file system's own bookkeeping.
    """
    os.sync()
    found = usage(store.context)
    assert found.du == du(store.config.graph_root)
    assert found.total == sum(line.disk for line in found.lines)
    assert all(min(line.size, line.shared, line.unique) >= 0 for line in found.lines if line.size >= 0)
    sharing = "ext4" not in request.node.callspec.id
    assert found.du - found.total >= (3 * 4 * MEGA if sharing else 0)  # of the base's four copies, one counts
    assert sharing or found.du == found.total

    for words in (["spare"], ["two:1"], ["web", "one:1"]):
        plan = plan_removal(store.context, [store.resolve(word) for word in words])
        before = used(store.config.graph_root)
        done = remove(store.context, plan)

        assert done.failed == ()
        assert plan.freed >= 4 * MEGA
        freed = before - used(store.config.graph_root)
        assert freed == pytest.approx(plan.freed, rel=0.01, abs=MEGA // 4)
    assert usage(store.context).total < 4 * MEGA


@pytest.mark.parametrize("store", [("btrfs", "btrfs")], indirect=True)
def test_small_files_of_a_snapshot_are_not_free_with_it(store: Store) -> None:
    """They lie among the metadata, where no extent tells that they are shared; nor does each take a whole block."""
    small = [regular(f"small{number}", b"x") for number in range(150)]
    store.layers.put(NewLayer(id="small"), make_tar(*small))
    store.images.create(NewImage(id="small-image", layer="small"))
    store.containers.create(NewContainer(id="box", image="small-image"))
    os.sync()
    found = usage(store.context)
    items = [store.resolve(word) for word in ("box", "small-image")]
    plans = [plan_removal(store.context, items[:count]) for count in (1, 2)]

    assert found.du == du(store.config.graph_root)
    assert found.du - found.total >= 4096 * len(small)
    assert [plan.freed < 4096 * len(small) for plan in plans] == [True, True]
    assert plans[1].freed >= len(small)


@pytest.mark.parametrize("store", [("btrfs", "btrfs"), ("btrfs", "vfs")], indirect=True)
def test_what_small_files_have_among_the_metadata_is_foretold(store: Store) -> None:
    """Where a file is smaller than a block, it is more than a percent of what is free afterwards; it was a quarter."""
    files = [regular(f"d{number // 100}/small{number}", noise(number, 3000)) for number in range(1500)]
    store.layers.put(NewLayer(id="small", parent="base"), make_tar(*files))
    store.images.create(NewImage(id="small-image", layer="small"))
    plan = plan_removal(store.context, [store.resolve("small-image")])
    before = used(store.config.graph_root)
    remove(store.context, plan)

    freed = before - used(store.config.graph_root)
    assert plan.freed > 4096 * len(files) * 1.2
    assert freed == pytest.approx(plan.freed, rel=0.01, abs=MEGA // 4)
