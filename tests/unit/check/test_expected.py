"""What an archive leads to expect of a directory."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from cstore.check.expected import ExpectedTree, Tolerance, device_number, stacked
from tests.builders import Entry, directory, hardlink, node, regular, symlink, whiteout
from tests.unit.check.trees import expected

if TYPE_CHECKING:
    from collections.abc import Sequence


def tree_of(*entries: Entry) -> ExpectedTree:
    """What these entries lead to expect, with the checksum of a file `f`."""
    return expected(*entries, checksums={b"f": 7})


def names(tree: ExpectedTree) -> Sequence[bytes]:
    """Every path that there should be, listed or not."""
    return sorted({*tree.nodes, *tree.implied})


def test_directories_that_no_entry_lists() -> None:
    """They are there, and nothing is known of them, until an entry comes."""
    tree = tree_of(regular("a/b/f", b"x"), directory("a"))

    assert tree.implied == {b"a/b"}
    assert set(tree.nodes) == {b"a", b"a/b/f"}
    assert not tree.vague


def test_hard_links_share_what_they_are() -> None:
    """Either header may have won; contents and attributes are of both."""
    tree = tree_of(regular("f", b"x", mode=0o600), hardlink("g", "f", mode=0o644))

    assert tree.nodes[b"g"] is tree.nodes[b"f"]
    assert {looks[0] for looks in tree.nodes[b"f"].looks} == {0o600, 0o644}
    assert tree.nodes[b"f"].checksum == 7


def test_a_hard_link_into_another_layer() -> None:
    """Of what it links to nothing is known, and a copy of that may lie there."""
    tree = tree_of(hardlink("g", "below/f"))

    assert (tree.nodes[b"g"].format, tree.nodes[b"g"].size) == (0, -1)
    assert tree.allowed == {b"below/f"}


def test_removals() -> None:
    """Whiteouts and opaque directories are no files; what is brought and removed at once is vague."""
    tree = tree_of(directory("d"), whiteout("d/gone"), regular("d/.wh..wh..opq"))

    assert (tree.removed, tree.opaque, tree.vague) == ({b"d/gone"}, {b"d"}, False)
    assert tree_of(regular("x"), whiteout("x")).vague


def test_a_chain_as_one_tree() -> None:
    """Upper layers add, replace and remove; times of what they touch are unknown."""
    lower = tree_of(directory("d"), regular("d/x", b"1"), directory("e"), regular("e/y"), symlink("l", "d"))
    upper = tree_of(whiteout("d/x"), regular("d/new"), regular("e", b"a file now"))

    whole = stacked([lower, upper])
    assert names(whole) == [b"d", b"d/new", b"e", b"l"]
    assert stat.S_ISREG(whole.nodes[b"e"].format)
    assert b"d" in whole.touched


def test_an_opaque_directory_in_a_chain() -> None:
    """What was in it is gone; it stays."""
    lower = tree_of(directory("d"), regular("d/x"), regular("d/deep/er"))
    upper = tree_of(directory("d"), regular("d/.wh..wh..opq"), regular("d/mine"))

    assert names(stacked([lower, upper])) == [b"d", b"d/mine"]


def test_device_numbers() -> None:
    """As mknod(2) is told them."""
    assert device_number((8, 1)) == 0x801
    assert device_number((1, 0x12345)) == 0x12300145


DEVICES = directory("dev"), node("dev/null", b"3", (1, 3)), node("dev/sda", b"4", (8, 0)), node("pipe", b"6")


@pytest.mark.parametrize(
    ("seen", "changed", "users", "missed"),
    [
        ((), (), False, {b"pipe"}),
        ((b"dev/null",), (), False, {b"dev/sda", b"pipe"}),
        ((), (b"dev",), False, {b"dev/null", b"dev/sda", b"pipe"}),
        ((), (b"dev",), True, set()),
    ],
    ids=["no device was ever there", "one is there", "the directory was changed", "a user wrote the layer"],
)
def test_devices_that_nobody_could_make_are_not_missed(
    seen: tuple[bytes, ...], changed: tuple[bytes, ...], missed: set[bytes], *, users: bool
) -> None:
    """Root of a user namespace makes none; those that somebody removed since are missed."""
    nodes = tree_of(*DEVICES).nodes
    unmakeable = Tolerance(users=users).unmakeable(nodes, seen, changed)

    gone = {path for path, found in nodes.items() if path not in seen and found.format != stat.S_IFDIR}
    assert {path for path in gone if nodes[path].format not in unmakeable} == missed
