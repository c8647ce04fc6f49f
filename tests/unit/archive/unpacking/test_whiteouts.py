"""Whiteouts remove what lies below, and nothing of what the archive brings, wherever in it they stand."""

from __future__ import annotations

import itertools
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from cstore.archive.whiteout import WhiteoutForm
from cstore.errors import ArchiveHostile, EntryFailed
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
    """An opaque directory loses what lies below, also where new things are in directories that nobody lists."""
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


def test_whiteout_through_own_link(unpack: Unpacker, lower: str) -> None:
    """A whiteout's directory may be a link of the archive; what is removed is named by where that leads."""
    unpacked = unpack(symlink("new", "foo"), regular("new/via", b"1"), whiteout("new/old"), into=lower, has_lower=True)

    assert unpacked.names() == ["bar", "empty", "foo", "foo/sub", "foo/sub/deep", "foo/via", "lnk", "new"]


def test_whiteout_through_lower_link(unpack: Unpacker, lower: str) -> None:
    """A link of a layer below is no directory: in it there is nothing to remove."""
    names = unpack(whiteout("lnk/old"), into=lower, has_lower=True).names()

    assert names == ["bar", "empty", "foo", "foo/old", "foo/sub", "foo/sub/deep", "lnk"]


@pytest.mark.parametrize("way", ["lnk", "bar"])
def test_below_what_is_no_directory(unpack: Unpacker, lower: str, way: str) -> None:
    """A link or a file of a layer below gives way to a directory that an entry needs, and what it led to stays."""
    unpacked = unpack(regular(f"{way}/new", b"1"), into=lower, has_lower=True)

    assert os.listdir(unpacked.path(way)) == ["new"]
    assert not os.path.islink(unpacked.path(way))
    assert sorted(os.listdir(unpacked.path("foo"))) == ["old", "sub"]


def test_implied_directories_stay_as_they_are(unpack: Unpacker, lower: str) -> None:
    """A directory that no entry lists keeps everything, its time too; one that is listed has what its entry says."""
    for name in ("foo", "foo/sub", "empty"):
        path = os.path.join(lower, name)
        os.setxattr(path, "user.kept", b"yes")
        os.chown(path, 1000, 1001)
        os.chmod(path, 0o700)
        os.utime(path, ns=(5, 7))
    unpacked = unpack(
        regular("foo/new", b"1"), whiteout("foo/sub/deep"), directory("empty"), into=lower, has_lower=True
    )

    for name in ("foo", "foo/sub"):
        found = os.stat(unpacked.path(name))
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (1000, 1001, 0o700, 7)
        assert os.listxattr(unpacked.path(name)) == ["user.kept"]
    assert os.listxattr(unpacked.path("empty")) == []


@pytest.mark.parametrize("order", list(itertools.permutations([whiteout("foo"), regular("foo/sub/new", b"1")])))
def test_a_removed_directory_hands_nothing_down(unpack: Unpacker, lower: str, order: list[Entry]) -> None:
    """A directory that is removed, and that something new is in, is a new one, wherever the whiteout stands."""
    for name in ("foo", "foo/sub"):
        os.chmod(os.path.join(lower, name), 0o700)
        os.setxattr(os.path.join(lower, name), "user.old", b"1")
    unpacked = unpack(*order, into=lower, has_lower=True)

    assert unpacked.names() == ["bar", "empty", "foo", "foo/sub", "foo/sub/new", "lnk"]
    for name in ("foo", "foo/sub"):
        assert stat.S_IMODE(os.stat(unpacked.path(name)).st_mode) == 0o755
        assert os.listxattr(unpacked.path(name)) == []


def test_lower_is_replaced(unpack: Unpacker, lower: str) -> None:
    """What lies below gives way to entries of any other kind."""
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


@pytest.fixture
def union(tmp_path: Path) -> dict[str, Any]:
    """What makes an archive a layer above another one."""
    below = {
        "foo/old": b"1",
        "foo/sub/deep": b"2",
        "a/b/c": b"3",
        "a/x": b"4",
        "no/such/y": b"5",
        "x": b"6",
        "bar": b"",
    }
    lower = make_tree(str(tmp_path / "below"), below)
    return {"form": WhiteoutForm.OVERLAY, "has_lower": True, "lowers": (lower,)}


def is_mark(path: str) -> bool:
    """Whether a file stands for what is gone."""
    found = os.lstat(path)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: str, form: WhiteoutForm = WhiteoutForm.OVERLAY) -> bool:
    """Whether a directory hides what lies below."""
    try:
        return os.getxattr(path, form.opaque_xattr) == b"y"
    except OSError:
        return False


@pytest.mark.parametrize("form", [WhiteoutForm.OVERLAY, WhiteoutForm.OVERLAY_USER])
def test_marks(unpack: Unpacker, union: dict[str, Any], form: WhiteoutForm) -> None:
    """A whiteout becomes a device 0:0 with its entry's owner, an opaque marker an attribute; no `.wh.` file stays."""
    unpacked = unpack(whiteout("x", uid=4, gid=5), whiteout("no/such/y"), OPAQUE, **{**union, "form": form})

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
def test_replaced_directory_of_a_union(unpack: Unpacker, union: dict[str, Any], order: list[Entry]) -> None:
    """A directory that is removed and brought anew is opaque, in whatever order that is said."""
    unpacked = unpack(*order, **union)

    assert unpacked.names() == ["foo", "foo/new"]
    assert is_opaque(unpacked.path("foo"))
    assert os.stat(unpacked.path("foo")).st_uid == 3


@pytest.mark.parametrize("order", list(itertools.permutations([whiteout("foo"), regular("foo", b"1")])))
def test_replaced_file_of_a_union(unpack: Unpacker, union: dict[str, Any], order: list[Entry]) -> None:
    """A file that is removed and brought anew needs no mark."""
    assert unpack(*order, **union).read("foo") == b"1"


@pytest.mark.parametrize("order", list(itertools.permutations([whiteout("a"), whiteout("a/b")])))
def test_whiteout_below_a_whiteout(unpack: Unpacker, union: dict[str, Any], order: list[Entry]) -> None:
    """What is removed with its directory needs no mark of its own."""
    unpacked = unpack(*order, **union)

    assert unpacked.names() == ["a"]
    assert is_mark(unpacked.path("a"))


@pytest.mark.parametrize(
    "order", list(itertools.permutations([whiteout("a"), regular("a/b/c", b"1"), whiteout("a/x")]))
)
def test_new_contents_below_a_whiteout(unpack: Unpacker, union: dict[str, Any], order: list[Entry]) -> None:
    """A directory that nobody lists, and that is removed and filled, is opaque."""
    unpacked = unpack(*order, **union)

    assert unpacked.read("a/b/c") == b"1"
    assert is_opaque(unpacked.path("a"))


@pytest.mark.parametrize("order", list(itertools.permutations([node("foo", b"3"), regular("foo", b"1")])))
def test_device_that_is_a_whiteout(unpack: Unpacker, union: dict[str, Any], order: list[Entry]) -> None:
    """A device 0:0 in the archive is a whiteout there, and treated as one."""
    unpacked = unpack(*order, node("bar", b"3"), **union)

    assert unpacked.read("foo") == b"1"
    assert is_mark(unpacked.path("bar"))
    assert unpacked.listed() == [b"foo"]


def test_forged_marks(unpack: Unpacker, union: dict[str, Any]) -> None:
    """The attribute that makes a directory opaque cannot be had from the archive."""
    pax = {b"SCHILY.xattr.trusted.overlay.opaque": b"y"}

    assert not is_opaque(unpack(directory("foo", pax=pax), **union).path("foo"))


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((whiteout("none"), whiteout("none/deeper")), id="nothing-there"),
        pytest.param((directory("new"), whiteout("new/x")), id="new-directory"),
        pytest.param((directory("foo"), OPAQUE, whiteout("foo/old")), id="opaque-before"),
        pytest.param((directory("foo"), whiteout("foo/old"), OPAQUE), id="opaque-after"),
        pytest.param((whiteout("foo"), directory("foo"), whiteout("foo/old")), id="removed-before"),
        pytest.param((directory("foo"), whiteout("foo/old"), whiteout("foo")), id="removed-after"),
        pytest.param((directory("x"), whiteout("x/y")), id="in-the-place-of-a-file"),
        pytest.param((directory("foo"), regular("foo/old", b"n"), whiteout("foo/old")), id="its-own-file"),
    ],
)
def test_no_mark_where_nothing_is_hidden(unpack: Unpacker, union: dict[str, Any], entries: tuple[Entry, ...]) -> None:
    """A mark that has nothing to hide would show as a broken device, so there is none."""
    unpacked = unpack(*entries, **union)

    assert [name for name in unpacked.names() if is_mark(unpacked.path(name))] == []


def test_first_layer_has_no_marks(unpack: Unpacker) -> None:
    """Under the first layer there is nothing to hide."""
    unpacked = unpack(whiteout("x"), regular("d/f", b"1"), whiteout("d/g"), OPAQUE_ROOT, form=WhiteoutForm.OVERLAY)

    assert unpacked.names() == ["d", "d/f"]


@pytest.mark.parametrize("order", list(itertools.permutations([OPAQUE_ROOT, directory("foo"), regular("a/n", b"1")])))
def test_opaque_root_of_a_union(unpack: Unpacker, union: dict[str, Any], order: list[Entry]) -> None:
    """The kernel ignores the mark at the top, so each name below is hidden by itself."""
    unpacked = unpack(*order, regular("x", b"new"), **union)

    assert unpacked.names() == ["a", "a/n", "bar", "foo", "no", "x"]
    assert [name for name in ("bar", "no") if is_mark(unpacked.path(name))] == ["bar", "no"]
    assert is_opaque(unpacked.path("foo"))
    assert is_opaque(unpacked.path("a"))
    assert unpacked.read("x") == b"new"


def test_a_file_between_two_directories_hides_the_old_one(unpack: Unpacker, union: dict[str, Any]) -> None:
    """A directory in the place of the archive's own file has nothing of what the file had hidden."""
    assert is_opaque(unpack(regular("foo", b"1"), directory("foo"), **union).path("foo"))


def test_implied_directories_of_a_union(unpack: Unpacker, union: dict[str, Any]) -> None:
    """A directory that no entry lists is like the one below, in all but the marks of overlay itself."""
    lower = union["lowers"][0]
    for name in ("", "foo", "foo/sub"):
        path = os.path.join(lower, name)
        os.setxattr(path, "user.kept", b"yes")
        os.setxattr(path, "trusted.overlay.origin", b"not this")
        os.chown(path, 1000, 1001)
        os.chmod(path, 0o2700)
        os.utime(path, ns=(5, 7))
    unpacked = unpack(regular("foo/sub/new", b"1"), whiteout("foo/old"), **union)

    for name in ("foo", "foo/sub"):
        found = os.stat(unpacked.path(name))
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (1000, 1001, 0o2700, 7)
        assert os.listxattr(unpacked.path(name)) == ["user.kept"]
    assert os.stat(unpacked.tree).st_mtime_ns == 7
    assert os.listxattr(unpacked.tree) == ["user.kept"]


@pytest.mark.parametrize("mark", ["trusted.overlay.opaque", "user.overlay.opaque"])
def test_what_a_layer_in_between_hides(unpack: Unpacker, union: dict[str, Any], tmp_path: Path, mark: str) -> None:
    """Only what is seen below counts, whoever hid the rest."""
    between = make_tree(str(tmp_path / "between"), {"foo": None, "bar/file": b"in a directory"})
    os.setxattr(os.path.join(between, "foo"), mark, b"y")
    os.mknod(os.path.join(between, "x"), stat.S_IFCHR, 0)
    union["lowers"] = (between, *union["lowers"])
    unpacked = unpack(whiteout("foo/old"), whiteout("x"), whiteout("bar/file"), whiteout("a/x"), **union)

    assert [name for name in unpacked.names() if is_mark(unpacked.path(name))] == ["a/x", "bar/file"]


def test_renamed_directories_beneath_are_followed(unpack: Unpacker, union: dict[str, Any], tmp_path: Path) -> None:
    """What a renamed directory holds is found where it was."""
    between = make_tree(str(tmp_path / "between"), {"moved": None, "deep/beside": None})
    os.setxattr(os.path.join(between, "moved"), "trusted.overlay.redirect", b"/foo/sub")
    union["lowers"] = (between, *union["lowers"])
    unpacked = unpack(whiteout("moved/deep"), whiteout("moved/none"), **union)

    assert unpacked.names() == ["moved", "moved/deep"]


def test_what_cannot_be_seen_is_asked_for_only_if_needed(unpack: Unpacker, union: dict[str, Any]) -> None:
    """A layer that cannot be read is in nobody's way until something depends on what is in it."""
    union["unseen"] = "layer 1234, which is a composefs layer"
    assert unpack(regular("foo/new", b"1"), whiteout("foo"), directory("new"), **union).names() == [
        "foo",
        "foo/new",
        "new",
    ]
    with pytest.raises(EntryFailed, match=r"none.*composefs"):
        unpack(whiteout("none"), **union)
