"""Archives that unpack to far more than they are: they stop before the disk is full, and leave nothing."""

from __future__ import annotations

import gzip
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore import open_store
from cstore.errors import SystemFailure
from cstore.fs.room import RoomWatch
from cstore.store import NewLayer
from cstore.transfer import copy, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

DISK, BOMB = 256 << 20, 320 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A file system that is smaller than what the bomb becomes."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},nr_inodes=20000", "none", path], check=True)
    yield str(path)
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tar with one file of zeros."""
    path = str(tmp_path_factory.mktemp("bomb") / "it.tar.gz")
    head = bytearray(512)
    head[:7], head[100:108], head[124:136] = b"./zeros", b"0000644\0", b"%011o\0" % BOMB
    head[148:156], head[156:157], head[257:263] = b" " * 8, b"0", b"ustar\0"
    head[148:156] = b"%06o\0 " % sum(head)
    with open(path, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as zipped:
        zipped.write(head)
        for _ in range(BOMB >> 20):
            zipped.write(bytes(1 << 20))
        zipped.write(bytes(1024))
    return path


def test_a_bomb_stops_before_the_disk_is_full(
    disk: str, bomb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a layer; as what waits of an archive of images; as one that is unpacked to be read."""
    store = open_store(graph_root=f"{disk}/graph", run_root=str(tmp_path / "run"), driver="vfs")
    monkeypatch.setenv("TMPDIR", disk)
    monkeypatch.setattr("tempfile.tempdir", None)
    tries = (
        lambda: store.layers.put(NewLayer(), bomb),
        lambda: load(store, bomb),
        lambda: copy(f"docker-archive:{bomb}", f"oci:{tmp_path}/out", store=store),
    )
    for attempt in tries:
        with pytest.raises(SystemFailure, match="No space left on device") as told:
            attempt()
        assert "leaves" in told.value.hint
        assert int(told.value.hint.split()[0]) > 1 << 20
        assert not list(store.layers.list())
        room = os.statvfs(disk)
        assert room.f_bavail * room.f_frsize > DISK - (8 << 20)


def test_files_without_contents_stop_as_well(disk: str) -> None:
    """What is counted there are files."""
    fd = os.open(disk, os.O_RDONLY)
    try:
        watch = RoomWatch(fd, "unpack into", disk)
        for number in range(19_500):
            os.mknod(f"{disk}/{number}")
        watch.writing(1 << 20)  # a small layer may have the last of them
        with pytest.raises(SystemFailure) as told:
            watch.writing(16 << 20)
    finally:
        os.close(fd)
    assert "inodes are free" in told.value.hint
