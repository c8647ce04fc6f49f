"""The walk stays where it is told to, on old kernels too, and is never led to another place."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import SystemFailure
from cstore.fs.tree import copy_tree, remove_tree
from cstore.fs.tree.trail import Trail, open_root
from cstore.kernel import files
from cstore.kernel.mount import MNT_DETACH, MS_BIND, mount, unmount

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=[errno.ENOSYS, errno.EPERM], ids=["old kernel", "sandbox"])
def without_openat2(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is missing, or a sandbox that does not know it says no."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(files, "openat2", refuse)


def descend(path: str, depth: int) -> Trail:
    """Make directories below each other, and walk down."""
    trail = Trail(path, open_root(path))
    for _ in range(depth):
        os.mkdir("d", dir_fd=trail.here)
        trail.down("d")
    return trail


def test_down_and_up(tmp_path: Path) -> None:
    """However deep: the same directories on the way back, with few of them open."""
    with descend(str(tmp_path), 300) as trail:
        assert trail.depth == 300
        assert len(os.listdir("/proc/self/fd")) < 100
        assert trail.where("x") == os.path.join(str(tmp_path), *["d"] * 300, "x")
        for _ in range(300):
            assert trail.up() == "d"
        assert os.path.samestat(os.fstat(trail.here), tmp_path.stat())
        assert trail.where() == str(tmp_path)


def test_a_directory_moved_meanwhile(tmp_path: Path) -> None:
    """Somebody moves the directory we are in: the way back is refused, not walked through a strange place."""
    (tmp_path / "root").mkdir()
    with descend(str(tmp_path / "root"), 200) as trail:
        deep = tmp_path / "root" / "/".join(["d"] * 100)
        os.rename(deep, tmp_path / "elsewhere")
        while trail.depth > 100:
            trail.up()
        with pytest.raises(OSError, match="Stale") as caught:
            trail.up()

        assert caught.value.errno == errno.ESTALE
        assert trail.depth == 100


def test_links_are_not_entered(tmp_path: Path) -> None:
    """Not even to a directory beside."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("dir")
    with Trail(str(tmp_path), open_root(str(tmp_path))) as trail:
        for name in ("link", "missing"):
            with pytest.raises(OSError) as caught:  # noqa: PT011  - the name is what is tested
                trail.down(name)
            assert caught.value.filename == name
        assert trail.depth == 0


@pytest.mark.usefixtures("without_openat2")
def test_without_openat2(tmp_path: Path) -> None:
    """Links are not entered, deep trees are walked, copied and removed."""
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    descend(str(tmp_path / "source"), 100).close()
    (tmp_path / "source" / "link").symlink_to("d")
    copy_tree(str(tmp_path / "source"), str(tmp_path / "target"))
    remove_tree(str(tmp_path / "source"))

    assert os.path.isdir(tmp_path / "target" / "/".join(["d"] * 100))
    assert os.readlink(tmp_path / "target" / "link") == "d"
    assert os.listdir(tmp_path) == ["target"]


@pytest.mark.usefixtures("without_openat2", "needs_root")
def test_mounts_without_openat2(tmp_path: Path) -> None:
    """Bind mounts of the same file system are seen all the same: what is mounted is not touched."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"x")
    (tmp_path / "tree" / "d").mkdir(parents=True)
    mount(str(tmp_path / "precious"), str(tmp_path / "tree" / "d"), flags=MS_BIND)
    try:
        with pytest.raises(SystemFailure, match="busy"):
            remove_tree(str(tmp_path / "tree"))
    finally:
        unmount(str(tmp_path / "tree" / "d"), MNT_DETACH)

    assert (tmp_path / "precious" / "file").exists()
