"""No archive reaches anything outside its tree, with or without the privilege that shuts the worker in."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ArchiveHostile, EntryFailed
from tests.builders import Entry, directory, gnu_long, hardlink, listing, make_tar, make_tree, node, regular, symlink
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.archive.unpacking.conftest import Unpacker


@pytest.fixture(autouse=True)
def outside(tmp_path: Path) -> Iterator[str]:
    """A directory beside all trees that must be the same afterwards."""
    path = make_tree(str(tmp_path / "outside"), {"file": b"precious", "dir/inner": b"precious"})
    before = listing(path)
    yield path
    assert listing(path) == before
    with open(os.path.join(path, "file"), "rb") as file:
        assert file.read() == b"precious"


CLIMBING = ["..", "../x", "a/../../x", "/..", "/../x", "./../x", "a/b/../../../x", "..//x", ".././x"]


@pytest.mark.parametrize("name", CLIMBING)
@pytest.mark.parametrize(
    "make", [regular, directory, lambda name: symlink(name, "x"), lambda name: hardlink(name, "ok")]
)
def test_climbing_names(unpack: Unpacker, name: str, make: object) -> None:
    """A name that climbs above the root is refused before anything is made for it."""
    assert callable(make)
    with pytest.raises(ArchiveHostile, match="climbs above the root"):
        unpack(regular("ok", b"1"), make(name))


@pytest.mark.parametrize("name", CLIMBING)
def test_climbing_targets(unpack: Unpacker, name: str) -> None:
    """So is a hard link to such a name, with both names told."""
    with pytest.raises(ArchiveHostile, match=r"'h'.*target.*climbs"):
        unpack(regular("ok", b"1"), hardlink("h", name))


@pytest.mark.parametrize("name", ["a/..", "./", "/", "."])
@pytest.mark.parametrize("make", [regular, lambda name: symlink(name, "x"), lambda name: node(name, b"6")])
def test_root_that_is_no_directory(unpack: Unpacker, name: str, make: object) -> None:
    """Nothing but a directory can be the root."""
    assert callable(make)
    with pytest.raises(ArchiveHostile, match="root of the layer"):
        unpack(make(name).but(type=make("x").type, body=b"1" if make is regular else b""))


@pytest.mark.parametrize("target", ["/etc/passwd", "etc/passwd", "/proc/self/environ", "d/l/file"])
def test_hard_link_to_the_host(unpack: Unpacker, outside: str, target: str) -> None:
    """A hard link's target is looked for in the layer, also behind a link that leads out."""
    with pytest.raises(EntryFailed, match="does not exist in this layer"):
        unpack(directory("d"), symlink("d/l", outside), hardlink("h", target))


@pytest.mark.parametrize("text", ["{outside}", "../outside", "../../outside", "../../../../../../../../{outside}"])
def test_writing_through_a_link(unpack: Unpacker, outside: str, text: str) -> None:
    """A link out of the layer leads to where it would lead if the layer were the whole system: here, nowhere."""
    with pytest.raises(EntryFailed, match=r"'l/file'.*parent l leads nowhere"):
        unpack(symlink("l", text.format(outside=outside)), regular("l/file", b"evil"))


def test_writing_over_a_link(unpack: Unpacker, outside: str) -> None:
    """A file replaces a link and does not go through it."""
    unpacked = unpack(symlink("l", f"{outside}/file"), regular("l", b"new"))

    assert not os.path.islink(unpacked.path("l"))


def test_links_inside(unpack: Unpacker) -> None:
    """Links within the layer are followed for directories: relative, absolute, climbing, in a row."""
    unpacked = unpack(
        directory("d/e"),
        symlink("relative", "d"),
        symlink("d/absolute", "/d/e"),
        symlink("d/e/up", "../../../../d"),
        symlink("row", "relative/absolute"),
        regular("relative/a", b"a"),
        regular("d/absolute/b", b"b"),
        regular("d/e/up/c", b"c" * 2_000_000),
        regular("row/d", b"d"),
        regular("row/deeper/e", b"e"),
        hardlink("row/f", "relative/absolute/b"),
        directory("row/new"),
    )

    assert [unpacked.read(name)[:1] for name in ("d/a", "d/e/b", "d/c", "d/e/d", "d/e/deeper/e", "d/e/f")] == [
        b"a", b"b", b"c", b"d", b"e", b"b",
    ]  # fmt: skip
    assert os.path.isdir(unpacked.path("d/e/new"))


def test_circle_of_links(unpack: Unpacker) -> None:
    """Links in a circle are an error that says so."""
    with pytest.raises(EntryFailed, match=r"'a/x'.*loop of symbolic links"):
        unpack(symlink("a", "b"), symlink("b", "a"), regular("a/x", b"1"))


@pytest.mark.parametrize("parent", [regular("p", b"1"), node("p", b"6"), symlink("p", "file")])
def test_parent_that_is_no_directory(unpack: Unpacker, parent: Entry) -> None:
    """A file cannot be a directory, nor a link to one."""
    with pytest.raises(EntryFailed, match=r"'p/x'.*parent p is not a directory"):
        unpack(regular("file", b"1"), parent, regular("p/x", b"1"))


@pytest.mark.parametrize("size", [256, 4096, 65_536])
def test_names_too_long(unpack: Unpacker, size: int) -> None:
    """A part of more than 255 bytes, or a path of more than 4095, is one clear error of bearable length."""
    name = b"n" * size if size == 256 else b"/".join([b"n" * 63] * (size // 64 + 1))
    with pytest.raises(EntryFailed) as caught:
        unpack(gnu_long(name), regular("cut", b"1"))

    assert "too long" in caught.value.message or "at most 4095" in caught.value.message
    assert len(caught.value.message) < 500


def test_special_names_stay_names(unpack: Unpacker) -> None:
    """A NUL ends a name, and nothing else in it has a meaning."""
    unpacked = unpack(regular(b"a\0b", b"1"), regular("~", b"2"), regular("$HOME", b"3"), regular("..x/y..", b"4"))

    assert unpacked.names() == ["$HOME", "..x", "..x/y..", "a", "~"]


PROGRAM = """
import os, sys
import isal.igzip, msgspec  # now, because such a user may not be able to read where they are
from cstore.archive.apply import ApplyOptions, apply_archive
from cstore.errors import CstoreError
apply_archive(os.open("/dev/null", os.O_RDONLY), sys.argv[1], sys.argv[2] + "0", ApplyOptions())  # for the same reason
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    apply_archive(0, sys.argv[1], sys.argv[2], ApplyOptions(sync=False))
except CstoreError as error:
    sys.exit(error.message)
"""


def unpack_unprivileged(tmp_path: Path, *entries: Entry) -> tuple[str, str]:
    """Unpack as an ordinary user, whom the kernel does not let change the root; return the tree and the complaint."""
    base = tmp_path / "user"
    tree = base / "tree"
    tree.mkdir(parents=True)
    for path in (base, tree):
        os.chown(path, 65534, 65534)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.geteuid() and path.stat().st_mode & 0o077 == 0:
            path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tree), str(base / "split")],
        input=make_tar(*entries), capture_output=True, check=False, cwd=ROOT,
    )  # fmt: skip
    return str(tree), done.stderr.decode()


@pytest.mark.usefixtures("needs_root")
def test_without_privilege(tmp_path: Path, outside: str) -> None:
    """Without the privilege to change the root, nothing gets out either."""
    os.chmod(outside, 0o777)  # noqa: S103  - so that only the confinement stands in the way
    mine = {"uid": 65534, "gid": 65534}
    tree, complaint = unpack_unprivileged(
        tmp_path,
        directory("d", mode=0o700, **mine),
        symlink("in", "/d", **mine),
        regular("in/f", b"1", mode=0o4600, **mine),
    )
    assert complaint == ""
    assert os.stat(os.path.join(tree, "d/f")).st_mode & 0o7777 == 0o4600

    (tmp_path / "user").rename(tmp_path / "first")
    _, complaint = unpack_unprivileged(tmp_path, symlink("l", outside, **mine), regular("l/file", b"evil", **mine))
    assert "leads nowhere in this layer" in complaint


@pytest.mark.usefixtures("needs_root")
def test_owner_without_privilege(tmp_path: Path) -> None:
    """An owner that cannot be set is named, with a way out."""
    _, complaint = unpack_unprivileged(tmp_path, regular("f", b"1", uid=1, gid=1))

    assert "'f'" in complaint
    assert "may not give it to its owner 1:1" in complaint
