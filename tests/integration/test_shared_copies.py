"""A copy of an image from one store to another shares the blocks of the files, on file systems that can share."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from cstore import open_store
from cstore.archive.unpacking.sharing import Donor
from cstore.kernel.ioctl import extents
from cstore.store import NewImage, NewLayer
from cstore.transfer import CopyRequest, clone_all
from tests.builders import Entry, listing, make_tar

if TYPE_CHECKING:
    from pathlib import Path

    from cstore import Store

pytestmark = pytest.mark.usefixtures("needs_root")
LARGE = random.Random(5).randbytes(1_300_001)


def _filled(top: str, driver: str) -> Store:
    """A store with an image of two layers, the upper of which replaces a file."""
    store = open_store(graph_root=f"{top}/one", run_root=f"{top}/run-one", driver=driver)
    below = store.layers.put(
        NewLayer(), make_tar(Entry(b"a/large", LARGE), Entry(b"a/small", b"s"), Entry(b"b", LARGE[:5000]))
    )
    upper = store.layers.put(NewLayer(parent=below.id), make_tar(Entry(b"b", LARGE[7:9000]), Entry(b"empty", b"")))
    store.images.create(NewImage(layer=upper.id, names=("localhost/x:1",)))
    return store


def _blocks(path: str) -> list[tuple[int, int]]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return [(part.logical, part.physical) for part in extents(fd)]
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("disk", "one", "other"),
    [("xfs_disk", "overlay", "overlay"), ("btrfs_disk", "vfs", "vfs"), ("btrfs_disk", "btrfs", "overlay")],
)
def test_files_of_a_copy_share_their_blocks(
    request: pytest.FixtureRequest, tmp_path: Path, disk: str, one: str, other: str
) -> None:
    """Between drivers, too; the layers are the same, and nothing of the source has changed, not even a time."""
    top = os.path.join(request.getfixturevalue(disk), tmp_path.name)
    os.mkdir(top)
    source = _filled(top, one)
    target = open_store(graph_root=f"{top}/two", run_root=f"{top}/run-two", driver=other)
    before = listing(f"{top}/one")

    plans: list[Any] = []
    (done,) = clone_all(source, target, CopyRequest(), plans.append)

    assert plans[0].needs == 0  # a copy fits on a disk that has no room for another one
    assert not isinstance(done, Exception), done
    assert listing(f"{top}/one") == before
    image = target.images.get("localhost/x:1")
    for layer in target.layers.chain(image.layer):
        ours, theirs = (store.context.driver.content_roots(layer.id)[0] for store in (target, source))
        for name in ("a/large", "b"):
            if os.path.exists(f"{ours}/{name}"):
                assert _blocks(f"{ours}/{name}") == _blocks(f"{theirs}/{name}"), name
        assert bytes(target.layers.diff(layer.id).read()) == bytes(source.layers.diff(layer.id).read())


def test_a_file_that_changes_after_it_was_cloned_is_not_what_counts(xfs_disk: str, tmp_path: Path) -> None:
    """The clone is compared then: it has what it had, and the other file says nothing of it any more."""
    top = os.path.join(xfs_disk, tmp_path.name)
    os.mkdir(top)
    with open(f"{top}/theirs", "wb") as file:
        file.write(LARGE)
    time.sleep(0.02)  # older kernels count times in ticks
    tree, target = os.open(top, os.O_RDONLY), os.open(f"{top}/ours", os.O_RDWR | os.O_CREAT)
    try:
        donor = Donor(tree)
        assert donor.give(b"theirs", target)
        assert donor.pass_equal(target, memoryview(LARGE[:5000]))
        time.sleep(0.02)
        with open(f"{top}/theirs", "r+b") as file:
            file.write(bytes(len(LARGE)))
        assert not donor.pass_equal(target, memoryview(bytes(5000)))
        assert donor.pass_equal(target, memoryview(LARGE[5000:]))
    finally:
        os.close(tree)
        os.close(target)
