"""Extended attributes of files and links, one by one and together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.fs import xattr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file on a file system that takes user attributes."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    try:
        os.setxattr(path, "user.probe", b"")
        os.removexattr(path, "user.probe")
    except OSError:
        pytest.skip("this file system has no user attributes")
    return str(path)


def test_one_attribute(file: str) -> None:
    """Set, read, list, drop, by path and by descriptor; what is absent is None."""
    with open(file, "rb") as opened:
        for target in (file, opened.fileno()):
            assert xattr.value_of(target, "user.a") is None
            xattr.put(target, "user.a", b"\0value\xff")
            assert xattr.value_of(target, "user.a") == b"\0value\xff"
            assert xattr.names_of(target) == ["user.a"]
            xattr.drop(target, "user.a")
            xattr.drop(target, "user.a")
            assert xattr.read_all(target) == {}


def test_a_link_is_not_followed(file: str, tmp_path: Path) -> None:
    """Attributes of a link are its own; its name in an open directory is enough."""
    os.symlink("file", tmp_path / "link")
    xattr.put(file, "user.of-file", b"1")
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    link = xattr.entry(folder, "link")
    xattr.put(link, "trusted.of-link", b"2")

    assert xattr.read_all(link) == {"trusted.of-link": b"2"}
    assert xattr.read_all(file) == {"user.of-file": b"1"}
    with pytest.raises(PermissionError):
        xattr.put(link, "user.on-a-link", b"")
    os.close(folder)


def test_copy_all(file: str, tmp_path: Path) -> None:
    """Everything travels but what is bound to its place."""
    (tmp_path / "copy").write_bytes(b"x")
    wanted = {"user.a": b"1", "user.\xe9\udcff": b"", "trusted.overlay.opaque": b"y", "security.anything": b"s"}
    xattr.put_all(file, wanted)
    xattr.put(file, "security.selinux", b"system_u:object_r:etc_t:s0\0")

    xattr.copy_all(file, str(tmp_path / "copy"))

    assert xattr.read_all(str(tmp_path / "copy")) == wanted


def test_failures_name_the_attribute(file: str) -> None:
    """A kind of attribute that does not exist is an error, forgiving or not."""
    for forgiving in (True, False):
        with pytest.raises(xattr.AttributeRefused, match="not supported") as caught:
            xattr.put_all(file, {"nosuch.kind": b""}, forgiving=forgiving)
        assert caught.value.filename == "nosuch.kind"


def test_forgiving(file: str, tmp_path: Path, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """Without privileges the privileged ones are left out if asked, and an error if not."""
    os.chown(file, *[tmp_path.stat().st_uid] * 2)

    def act() -> None:
        with pytest.raises(xattr.AttributeRefused, match="not permitted"):
            xattr.put_all(file, {"trusted.x": b""})
        xattr.put_all(file, {"trusted.x": b"", "security.x": b"", "user.y": b"1"}, forgiving=True)

    as_ordinary(act)
    assert xattr.read_all(file) == {"user.y": b"1"}
