"""Names of entries: made plain, never outside, fit to be shown."""

from __future__ import annotations

import pytest

from cstore.archive.names import clean_name, climbs, join_name, show_name, split_name
from cstore.errors import ArchiveHostile, EntryFailed


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        (b"", b""), (b".", b""), (b"/", b""), (b"./", b""), (b"//", b""), (b"a/..", b""), (b"a", b"a"), (b"./a", b"a"),
        (b"/a", b"a"), (b"a/", b"a"), (b"a//b", b"a/b"), (b"a/./b", b"a/b"), (b"a/../b", b"b"), (b"a/b/..", b"a"),
        (b".a", b".a"), (b"a/.b", b"a/.b"), (b"..a", b"..a"), (b"a..", b"a.."), (b"...", b"..."), (b"a/...", b"a/..."),
        (b"a/.", b"a"), (b"././a", b"a"), (b"a\\..\\b", b"a\\..\\b"),
    ],
)  # fmt: skip
def test_cleaning(name: bytes, plain: bytes) -> None:
    """Every spelling of a name comes to the same plain one."""
    assert clean_name(name) == plain


@pytest.mark.parametrize("name", [b"..", b"../a", b"/..", b"a/../..", b"./..", b"a/../../b", b"..//"])
def test_climbing(name: bytes) -> None:
    """Above the root there is nothing."""
    with pytest.raises(ArchiveHostile, match="climbs above the root"):
        clean_name(name)
    assert climbs(name)


def test_climbing_inside() -> None:
    """`..` as a part is noticed, as a piece of a part it is not."""
    assert climbs(b"a/../b")
    assert not climbs(b"a..b/..c/d..")


def test_length() -> None:
    """A path that no system call takes is refused, in few words."""
    assert len(clean_name(b"a/" * 2047 + b"b")) == 4095
    with pytest.raises(EntryFailed, match=r"4096 bytes") as caught:
        clean_name(b"a/" * 2047 + b"bc")
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(("folder", "base"), [(b"", b"a"), (b"a", b"b"), (b"a/b", b"c"), (b"", b"")])
def test_splitting(folder: bytes, base: bytes) -> None:
    """Splitting and joining undo each other."""
    assert split_name(join_name(folder, base)) == (folder, base)


def test_showing() -> None:
    """Bytes that are no text are shown as such; long names are cut."""
    assert show_name(b"a\xff") == "a\\xff"
    assert show_name("é".encode()) == "é"
    assert show_name(b"x" * 1000) == "x" * 200 + "… (1000 bytes)"
