"""Whiteouts remove what lies beneath, and nothing of what the archive brings, wherever in it they stand."""

from __future__ import annotations

import itertools
import os
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.archive.whiteout import WhiteoutForm
from cstore.errors import ArchiveHostile
from tests.builders import Entry, directory, hardlink, make_tree, node, regular, symlink, whiteout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.archive.unpacking.conftest import Unpacker

pytestmark = pytest.mark.usefixtures("needs_root")

OPAQUE = regular("foo/.wh..wh..opq")
OPAQUE_ROOT = regular(".wh..wh..opq")


@pytest.fixture
def lower(tmp_path: Path) -> str:
    """A tree of another layer."""
    contents: dict[str, bytes | str | None] = {
        "foo/old": b"old", "foo/sub/deep": b"deep", "bar": b"bar", "lnk": "foo", "empty": None,
    }  # fmt: skip
    return make_tree(str(tmp_path / "lower"), contents)


# ── whole trees ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "order", list(itertools.permutations([whiteout("foo"), directory("foo"), regular("foo/new", b"1")]))
)
def test_replaced_directory(unpack: Unpacker, lower: str, order: list[Entry]) -> None:
    """A directory that is removed and brought anew holds only what is new, in whatever order that is said."""
    assert unpack(*order, into=lower, has_lower=True).names() == ["bar", "empty", "foo", "foo/new", "lnk"]


@pytest.mark.parametrize(
    "order", list(itertools.permutations([OPAQUE, regular("foo/new", b"1"), regular("foo/sub/n", b"2")]))
)
def test_opaque_directory(unpack: Unpacker, lower: str, order: list[Entry]) -> None:
    """An opaque directory loses what lies beneath, also where new things are in directories that nobody lists."""
    names = unpack(*order, into=lower, has_lower=True).names()

    assert names == ["bar", "empty", "foo", "foo/new", "foo/sub", "foo/sub/n", "lnk"]


def test_removals(unpack: Unpacker, lower: str) -> None:
    """Files, links and directories go; what a link points to stays; what is not there need not be."""
    entries = [
        whiteout("bar"),
        whiteout("lnk"),
        whiteout("empty"),
        whiteout("foo/sub"),
        whiteout("none"),
        whiteout("no/x"),
    ]

    assert unpack(*entries, into=lower, has_lower=True).names() == ["foo", "foo/old"]


def test_opaque_root(unpack: Unpacker, lower: str) -> None:
    """The root can be opaque too."""
    assert unpack(regular("new", b"1"), OPAQUE_ROOT, into=lower, has_lower=True).names() == ["new"]


def test_whiteout_of_own_file(unpack: Unpacker, lower: str) -> None:
    """A whiteout does not concern what the same archive brings."""
    unpacked = unpack(
        regular("bar", b"new"), whiteout("bar"), whiteout("own"), regular("own", b"1"), into=lower, has_lower=True
    )

    assert unpacked.read("bar") == b"new"
    assert unpacked.read("own") == b"1"


def test_whiteout_through_link(unpack: Unpacker, lower: str) -> None:
    """A whiteout's directory may be a link inside the layer; what is removed is named by where that leads."""
    unpacked = unpack(regular("lnk/via", b"1"), whiteout("lnk/old"), into=lower, has_lower=True)

    assert unpacked.names() == ["bar", "empty", "foo", "foo/sub", "foo/sub/deep", "foo/via", "lnk"]


def test_lower_is_replaced(unpack: Unpacker, lower: str) -> None:
    """What lies beneath gives way to entries of any other kind."""
    unpacked = unpack(
        symlink("foo", "bar"), directory("bar", mode=0o700), regular("lnk", b"file"), regular("empty", b"file"),
        into=lower, has_lower=True,
    )  # fmt: skip

    assert unpacked.names() == ["bar", "empty", "foo", "lnk"]
    assert unpacked.read("lnk") == b"file"
    assert stat.S_IMODE(os.stat(unpacked.path("bar")).st_mode) == 0o700


def test_lower_is_kept_and_linked(unpack: Unpacker, lower: str) -> None:
    """Directories merge, and files of lower layers can get another name."""
    unpacked = unpack(directory("foo", mode=0o711), hardlink("h", "foo/old"), into=lower, has_lower=True)

    assert unpacked.read("foo/sub/deep") == b"deep"
    assert os.path.samefile(unpacked.path("h"), unpacked.path("foo/old"))
    assert stat.S_IMODE(os.stat(unpacked.path("foo")).st_mode) == 0o711


def test_nothing_beneath(unpack: Unpacker) -> None:
    """In a layer on nothing, a whiteout has nothing to remove and leaves nothing."""
    unpacked = unpack(whiteout("x"), regular("d/f", b"1"), regular("d/.wh..wh..opq"), whiteout("d/f"))

    assert unpacked.names() == ["d", "d/f"]


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."])
def test_hostile_whiteouts(unpack: Unpacker, lower: str, name: str) -> None:
    """Names that would remove a directory itself or its parent are refused."""
    with pytest.raises(ArchiveHostile, match=r"\.wh\."):
        unpack(regular("d/f", b"1"), regular(name), into=lower, has_lower=True)


def test_contents_of_whiteouts(unpack: Unpacker, lower: str) -> None:
    """A whiteout with contents, or listed twice, removes once, and comes out again."""
    unpacked = unpack(regular(".wh.bar", b"x" * 1_500_000), regular(".wh.bar", b"y"), into=lower, has_lower=True)

    assert "bar" not in unpacked.names()
    assert unpacked.listed() == [b".wh.bar"]


def test_aufs_metadata(unpack: Unpacker, lower: str) -> None:
    """What AUFS kept for itself at the top is passed over."""
    unpacked = unpack(
        directory(".wh..wh.plnk"), regular(".wh..wh.plnk/1.2", b"body"), regular(".wh..wh.aufs", b"1"), whiteout("bar"),
        into=lower, has_lower=True,
    )  # fmt: skip

    assert unpacked.names() == ["empty", "foo", "foo/old", "foo/sub", "foo/sub/deep", "lnk"]


# ── parts of a union ──────────────────────────────────────────────────────────────────────────────────────────────────


def is_mark(path: str) -> bool:
    """Whether a file stands for what is gone."""
    found = os.lstat(path)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: str, form: WhiteoutForm = WhiteoutForm.OVERLAY) -> bool:
    """Whether a directory hides what lies beneath."""
    try:
        return os.getxattr(path, form.opaque_xattr) == b"y"
    except OSError:
        return False


@pytest.mark.parametrize("form", [WhiteoutForm.OVERLAY, WhiteoutForm.OVERLAY_USER])
def test_marks(unpack: Unpacker, form: WhiteoutForm) -> None:
    """A whiteout becomes a device 0:0 with its entry's owner, an opaque marker an attribute; no `.wh.` file stays."""
    unpacked = unpack(whiteout("x", uid=4, gid=5), whiteout("no/such/y"), OPAQUE, form=form, has_lower=True)

    assert unpacked.names() == ["foo", "no", "no/such", "no/such/y", "x"]
    assert is_mark(unpacked.path("x"))
    assert is_mark(unpacked.path("no/such/y"))
    assert is_opaque(unpacked.path("foo"), form)
    assert not is_opaque(unpacked.path("no"), form)
    found = os.lstat(unpacked.path("x"))
    assert (found.st_uid, found.st_gid) == (4, 5)


@pytest.mark.parametrize(
    "order", list(itertools.permutations([whiteout("foo"), directory("foo", uid=3), regular("foo/new", b"1")]))
)
def test_replaced_directory_of_a_union(unpack: Unpacker, order: list[Entry]) -> None:
    """A directory that is removed and brought anew is opaque, in whatever order that is said."""
    unpacked = unpack(*order, form=WhiteoutForm.OVERLAY, has_lower=True)

    assert unpacked.names() == ["foo", "foo/new"]
    assert is_opaque(unpacked.path("foo"))
    assert os.stat(unpacked.path("foo")).st_uid == 3


@pytest.mark.parametrize("order", list(itertools.permutations([whiteout("foo"), regular("foo", b"1")])))
def test_replaced_file_of_a_union(unpack: Unpacker, order: list[Entry]) -> None:
    """A file that is removed and brought anew needs no mark."""
    assert unpack(*order, form=WhiteoutForm.OVERLAY, has_lower=True).read("foo") == b"1"


@pytest.mark.parametrize("order", list(itertools.permutations([whiteout("a"), whiteout("a/b")])))
def test_whiteout_below_a_whiteout(unpack: Unpacker, order: list[Entry]) -> None:
    """What is removed with its directory needs no mark of its own."""
    unpacked = unpack(*order, form=WhiteoutForm.OVERLAY, has_lower=True)

    assert unpacked.names() == ["a"]
    assert is_mark(unpacked.path("a"))


@pytest.mark.parametrize(
    "order", list(itertools.permutations([whiteout("a"), regular("a/b/c", b"1"), whiteout("a/x")]))
)
def test_new_contents_below_a_whiteout(unpack: Unpacker, order: list[Entry]) -> None:
    """A directory that nobody lists, and that is removed and filled, is opaque."""
    unpacked = unpack(*order, form=WhiteoutForm.OVERLAY, has_lower=True)

    assert unpacked.read("a/b/c") == b"1"
    assert is_opaque(unpacked.path("a"))


@pytest.mark.parametrize("order", list(itertools.permutations([node("foo", b"3"), regular("foo", b"1")])))
def test_device_that_is_a_whiteout(unpack: Unpacker, order: list[Entry]) -> None:
    """A device 0:0 in the archive is a whiteout there, and treated as one."""
    unpacked = unpack(*order, node("bar", b"3"), form=WhiteoutForm.OVERLAY, has_lower=True)

    assert unpacked.read("foo") == b"1"
    assert is_mark(unpacked.path("bar"))
    assert unpacked.listed() == [b"foo"]


def test_forged_marks(unpack: Unpacker) -> None:
    """The attribute that makes a directory opaque cannot be had from the archive."""
    pax = {b"SCHILY.xattr.trusted.overlay.opaque": b"y"}

    assert not is_opaque(unpack(directory("foo", pax=pax), form=WhiteoutForm.OVERLAY, has_lower=True).path("foo"))
