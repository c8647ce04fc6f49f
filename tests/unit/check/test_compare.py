"""A directory against what an archive says: each kind of difference, and what is none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.compare import Comparison, is_content
from cstore.check.expected import Tolerance
from cstore.check.view import Shown
from cstore.idmap import IDENTITY, IDMap, IDRange
from tests.builders import directory, regular, symlink, whiteout
from tests.unit.check.tables import USER, put, unpack, write
from tests.unit.check.trees import expected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.check.expected import ExpectedTree

FILES = directory("d"), regular("d/f", b"hello"), symlink("l", "d/f"), regular("g", b"x")


def problems(
    root: str, tree: ExpectedTree, tolerance: Tolerance | None = None, id_map: IDMap = IDENTITY
) -> list[tuple[str, str, Any]]:
    """Kind, path and differences of each problem in a directory that holds everything."""
    found = Comparison(tree, id_map, tolerance or Tolerance(), None).run([root])
    return sorted((kind, part, evidence.get("differs")) for kind, part, _, evidence, _ in found)


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A directory as the archive says."""
    return unpack(str(tmp_path / "root"), *FILES)


def test_a_directory_as_the_archive_says(root: str) -> None:
    assert problems(root, expected(*FILES)) == []


def renew(path: str, data: bytes, mtime: int = 1_600_000_000) -> None:
    """Write a file, and give it the time that the archive says."""
    write(path, data)
    os.utime(path, (mtime, mtime))


def relink(path: str, target: str) -> None:
    """Let a link lead elsewhere, and have the time that the archive says."""
    os.unlink(path)
    os.symlink(target, path)
    os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)


DIFFERENCES: dict[str, tuple[Callable[[str], object], list[tuple[str, str, Any]]]] = {
    "a time": (lambda root: os.utime(f"{root}/g", (7, 7)), [("file-time", "g", {"time": [1_600_000_000, 7]})]),
    "a mode": (lambda root: os.chmod(f"{root}/g", 0o600), [("file-attributes", "g", {"mode": ["0644", "0600"]})]),
    "a length": (lambda root: renew(f"{root}/g", b"xx"), [("file-changed", "g", {"size": [1, 2]})]),
    "where a link leads": (
        lambda root: relink(f"{root}/l", "d/g"), [("file-attributes", "l", {"link": ["d/f", "d/g"]})],
    ),
    "a type": (
        lambda root: put(f"{root}/g", "directory"), [("file-attributes", "g", {"type": ["0", "5"]})],
    ),
    "a file that is gone": (lambda root: os.unlink(f"{root}/g"), [("file-missing", "g", None)]),
    "a file that nobody imported": (lambda root: write(f"{root}/new", b""), [("file-unexpected", "new", None)]),
    "a whole directory that nobody imported": (
        lambda root: write(f"{root}/new/f", b""),
        [("file-unexpected", "new", None), ("file-unexpected", "new/f", None)],
    ),
    "an attribute of a user": (
        lambda root: os.setxattr(f"{root}/g", "user.mine", b"1"),
        [("file-attributes", "g", {"xattr user.mine": ["", b"1".hex()]})],
    ),
}  # fmt: skip


TIMES = {("file-time", "d"), ("file-time", "")}


@pytest.mark.parametrize(("change", "found"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_difference(root: str, change: Callable[[str], object], found: list[tuple[str, str, Any]]) -> None:
    """Each is one problem; that directories have other times is what the change brought about."""
    change(root)

    assert [each for each in problems(root, expected(*FILES)) if each[:2] not in TIMES] == found


def test_only_a_time_is_no_damage_of_data(root: str) -> None:
    """With anything else that differs it is one problem, of the worse kind."""
    os.chmod(f"{root}/g", 0o600)
    os.utime(f"{root}/g", (7, 7))

    ((kind, _, differs),) = problems(root, expected(*FILES))
    assert (kind, differs.keys()) == ("file-attributes", {"mode", "time"})


def test_owners_as_the_map_says(root: str) -> None:
    """Mapped they are others; where the configuration lets owners be, they are not looked at."""
    shifted = IDMap((IDRange(0, USER + 1000, 1 << 20),), (IDRange(0, os.getegid() + 1000, 1 << 20),))

    assert {kind for kind, *_ in problems(root, expected(*FILES), id_map=shifted)} == {"file-attributes"}
    assert problems(root, expected(*FILES), Tolerance(owners=True), shifted) == []


def test_a_user_may_have_written_all_files_as_their_own(root: str) -> None:
    """That all have one owner is who wrote the layer; that one has another is damage."""
    other = IDMap((IDRange(0, USER + 1, 1 << 20),), (IDRange(0, os.getegid() + 1, 1 << 20),))

    assert problems(root, expected(*FILES), Tolerance(users=True), other) == []
    if USER == 0:
        os.chown(f"{root}/g", 7, 7)
        os.utime(f"{root}/g", (1_600_000_000, 1_600_000_000))
        assert problems(root, expected(*FILES), Tolerance(users=True), other) != []


def test_of_a_vague_archive_nothing_is_missed_and_nothing_unexpected(root: str) -> None:
    """Programs may have made something else of it; what is there is still compared."""
    tree = expected(*FILES, regular("more"))
    tree.vague = True
    write(f"{root}/new", b"")
    os.chmod(f"{root}/g", 0o600)

    found = [each for each in problems(root, tree) if each[0] != "file-time"]
    assert found == [("file-attributes", "g", {"mode": ["0644", "0600"]})]


def test_files_of_layers_below_are_read_where_all_of_them_are_here(root: str) -> None:
    """Nobody has read them while the archive was put together."""
    tree = expected(*FILES)
    tree.nodes[b"g"].checksum = 1
    comparison = Comparison(tree, IDENTITY, Tolerance(), None)

    assert [each[0] for each in comparison.run([root], frozenset({b"g"}))] == ["file-changed"]


def test_a_removal_needs_a_mark_only_where_it_hides_something(tmp_path: Path) -> None:
    """A layer of changes that removes what is below must have a mark; what nothing below has needs none."""
    entries = directory("d"), whiteout("d/gone"), whiteout("d/never")
    own = unpack(str(tmp_path / "own"), directory("d"))
    below = unpack(str(tmp_path / "below"), directory("d"), regular("d/gone"))
    tree = expected(*entries)

    with Shown(tree, [below]) as shown:
        found = [(each[0], each[1]) for each in Comparison(tree, IDENTITY, Tolerance(), shown).run([own])]
    assert found == [("file-missing", "d/gone")]
    write(f"{own}/d/.wh.gone", b"")
    with Shown(tree, [below]) as shown:
        found = [(each[0], each[1]) for each in Comparison(tree, IDENTITY, Tolerance(), shown).run([own])]
    assert ("file-missing", "d/gone") not in found
    assert not any(kind == "file-unexpected" for kind, _ in found)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        (b"security.capability", True), (b"user.mine", True), (b"user.overlay.opaque", False),
        (b"user.containers.override_stat", False), (b"security.selinux", False), (b"trusted.overlay.opaque", False),
    ],
)  # fmt: skip
def test_attributes_that_are_changes(name: bytes, *, counts: bool) -> None:
    """Programs put others on files that they only look after."""
    assert is_content(name) is counts
