"""Paths that must not leave a root do not, in the kernel's resolution and in our own."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

import pytest

from cstore.fs import scoped
from cstore.kernel import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Opener(Protocol):
    """One of the two functions."""

    def __call__(self, root_fd: int, path: bytes, flags: int, mode: int = 0) -> int:
        """Open."""


@pytest.fixture(params=["kernel", "walk"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A root with links of every kind, opened; once with openat2, once as on a kernel that lacks it."""
    if request.param == "walk":

        def missing(*_: object, **__: object) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(files, "openat2", missing)
    (tmp_path / "secret").write_bytes(b"secret")
    inside = tmp_path / "root"
    (inside / "dir" / "sub").mkdir(parents=True)
    (inside / "file").write_bytes(b"file")
    (inside / "dir" / "sub" / "deep").write_bytes(b"deep")
    (inside / "secret").write_bytes(b"decoy")
    for name, target in {
        "relative": "dir/sub/deep",
        "absolute": "/file",
        "out": "../secret",
        "far-out": "/../../secret",
        "loop": "loop",
        "dangling": "nowhere",
        "dir/up": "../dir/sub",
        "chain": "dir/up/deep",
    }.items():
        os.symlink(target, inside / name)
    fd = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def content(opener: Opener, root: int, path: bytes) -> bytes:
    """Read what a path leads to, or give the name of the error."""
    try:
        fd = opener(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return errno.errorcode[error.errno or 0].encode()
    assert not os.get_inheritable(fd)
    try:
        return os.read(fd, 100)
    except IsADirectoryError:
        return b"a directory"
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"file", b"file"),
        (b"/file", b"file"),
        (b"dir//sub/./deep", b"deep"),
        (b"../../file", b"file"),
        (b"dir/../../../file", b"file"),
        (b"relative", b"deep"),
        (b"absolute", b"file"),
        (b"out", b"decoy"),
        (b"far-out", b"decoy"),
        (b"chain", b"deep"),
        (b"dir/up/../../file", b"file"),
        (b"loop", b"ELOOP"),
        (b"loop/x", b"ELOOP"),
        (b"dangling", b"ENOENT"),
        (b"missing/x", b"ENOENT"),
        (b"file/x", b"ENOTDIR"),
        (b"file/..", b"ENOTDIR"),
        (b"", b"ENOENT"),
        (b"dir", b"a directory"),
        (b"..", b"a directory"),
        (b"/", b"a directory"),
    ],
)
def test_in_root(root: int, path: bytes, expected: bytes) -> None:
    """Links and dots count from the root, as after a chroot."""
    assert content(scoped.open_in_root, root, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"file", b"file"),
        (b"dir//sub/./deep", b"deep"),
        (b"dir/../file", b"file"),
        (b"/file", b"EXDEV"),
        (b"../secret", b"EXDEV"),
        (b"dir/../../secret", b"EXDEV"),
        (b"relative", b"ELOOP"),
        (b"absolute", b"ELOOP"),
        (b"dir/up/deep", b"ELOOP"),
        (b"out", b"ELOOP"),
        (b"dangling", b"ELOOP"),
        (b"missing", b"ENOENT"),
        (b"file/x", b"ENOTDIR"),
        (b"", b"ENOENT"),
        (b".", b"a directory"),
    ],
)
def test_beneath(root: int, path: bytes, expected: bytes) -> None:
    """No link is followed and nothing leaves, not even for a moment."""
    assert content(scoped.open_beneath, root, path) == expected


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize("opener", [scoped.open_in_root, scoped.open_beneath])
def test_creating(root: int, opener: Opener) -> None:
    """A new file gets its mode; an existing one is kept from O_EXCL."""
    os.close(opener(root, b"dir/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))

    assert os.stat("dir/new", dir_fd=root).st_mode & 0o777 == 0o640
    for path in (b"dir/new", b"file"):
        with pytest.raises(FileExistsError):
            opener(root, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)


def test_creating_never_follows_a_link_out(root: int, tmp_path: Path) -> None:
    """A link out is either refused, or leads to a place inside."""
    os.symlink("../new", "way-out", dir_fd=root)
    with pytest.raises(OSError, match="Too many levels"):
        scoped.open_beneath(root, b"way-out", os.O_WRONLY | os.O_CREAT, 0o600)
    os.close(scoped.open_in_root(root, b"way-out", os.O_WRONLY | os.O_CREAT, 0o600))

    assert not (tmp_path / "new").exists()
    assert (tmp_path / "root" / "new").exists()


def test_a_link_itself(root: int) -> None:
    """O_PATH with O_NOFOLLOW opens the link, not its target; O_NOFOLLOW alone refuses it."""
    fd = scoped.open_in_root(root, b"out", os.O_PATH | os.O_NOFOLLOW)
    assert os.readlink("", dir_fd=fd) == "../secret"
    os.close(fd)

    with pytest.raises(OSError, match="Too many levels"):
        scoped.open_in_root(root, b"out", os.O_RDONLY | os.O_NOFOLLOW)


def test_names_of_any_bytes(root: int, tmp_path: Path) -> None:
    """A name need not be text."""
    with open(os.fsencode(tmp_path / "root") + b"/\xff\n\\", "wb") as file:
        file.write(b"odd")

    assert content(scoped.open_beneath, root, b"\xff\n\\") == b"odd"
    assert content(scoped.open_in_root, root, b"/\xff\n\\") == b"odd"


def test_nothing_stays_open(root: int) -> None:
    """Refused or not, no descriptor of the way is left behind."""
    before = len(os.listdir("/proc/self/fd"))
    for path in (b"dir/sub/deep", b"dir/sub/../../../..", b"loop", b"missing", b"chain", b"/absolute"):
        content(scoped.open_in_root, root, path)
        content(scoped.open_beneath, root, path)

    assert len(os.listdir("/proc/self/fd")) == before
