"""openat2, renameat2 and syncfs do what their manual pages say."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from cstore.kernel import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A directory with a file, a link to it, and a link out of it, opened."""
    (tmp_path / "outside").write_bytes(b"outside")
    inside = tmp_path / "root"
    inside.mkdir()
    (inside / "file").write_bytes(b"inside")
    (inside / "link").symlink_to("file")
    (inside / "out").symlink_to("../outside")
    fd = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def read(fd: int) -> bytes:
    """Read and close."""
    with os.fdopen(fd, "rb") as file:
        return file.read()


def test_openat2_opens_and_closes_on_exec(root: int) -> None:
    """A plain path opens, and the descriptor does not leak into programs that we start."""
    fd = files.openat2(root, b"file", os.O_RDONLY)

    assert not os.get_inheritable(fd)
    assert read(fd) == b"inside"


def test_openat2_follows_links_within(root: int) -> None:
    """RESOLVE_BENEATH allows a link that stays."""
    assert read(files.openat2(root, b"link", os.O_RDONLY, resolve=files.RESOLVE_BENEATH)) == b"inside"


@pytest.mark.parametrize(
    ("path", "resolve", "number"),
    [
        (b"out", files.RESOLVE_BENEATH, errno.EXDEV),
        (b"../outside", files.RESOLVE_BENEATH, errno.EXDEV),
        (b"link", files.RESOLVE_NO_SYMLINKS, errno.ELOOP),
        (b"out", files.RESOLVE_IN_ROOT, errno.ENOENT),
        (b"missing", 0, errno.ENOENT),
    ],
)
def test_openat2_refuses(root: int, path: bytes, resolve: int, number: int) -> None:
    """What leaves the root, or is a forbidden link, fails with the error of the manual page."""
    with pytest.raises(OSError) as caught:  # noqa: PT011  - the number is what is tested
        files.openat2(root, path, os.O_RDONLY, resolve=resolve)

    assert caught.value.errno == number


@pytest.mark.usefixtures("usual_umask")
def test_openat2_creates_with_a_mode(root: int) -> None:
    """A mode counts with O_CREAT, and is no error without."""
    os.close(files.openat2(root, b"new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
    os.close(files.openat2(root, b"new", os.O_RDONLY, 0o640))

    assert os.stat("new", dir_fd=root).st_mode & 0o777 == 0o640


def test_openat2_refuses_a_name_cut_short(root: int) -> None:
    """A NUL byte would end the name early, and open another file than the one asked for."""
    with pytest.raises(ValueError, match="null byte"):
        files.openat2(root, b"file\0.txt", os.O_RDONLY)


def test_rename_exchange_swaps(tmp_path: Path) -> None:
    """Both names exist at every moment, with swapped contents afterwards."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_bytes(b"b")

    files.rename_exchange(str(tmp_path / "a"), str(tmp_path / "b"))

    assert (tmp_path / "a").read_bytes() == b"b"
    assert (tmp_path / "b").is_dir()


def test_rename_exchange_needs_both(tmp_path: Path) -> None:
    """One missing name is an error, and the error names the files."""
    (tmp_path / "a").mkdir()

    with pytest.raises(FileNotFoundError) as caught:
        files.rename_exchange(str(tmp_path / "a"), str(tmp_path / "b"))

    assert caught.value.filename == str(tmp_path / "a")


def test_rename_noreplace_keeps_what_is_there(tmp_path: Path) -> None:
    """An existing target stays; a free name is taken."""
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")

    with pytest.raises(FileExistsError):
        files.rename_noreplace(str(tmp_path / "a"), str(tmp_path / "b"))
    files.rename_noreplace(str(tmp_path / "a"), str(tmp_path / "c"))

    assert (tmp_path / "b").read_bytes() == b"b"
    assert (tmp_path / "c").read_bytes() == b"a"


def test_syncfs(root: int) -> None:
    """It returns on a good descriptor and says EBADF on a closed one."""
    fd = os.open(".", os.O_RDONLY, dir_fd=root)
    files.syncfs(fd)
    os.close(fd)

    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        files.syncfs(fd)
