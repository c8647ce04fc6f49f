"""What a mount shows of a layer of changes, against its archive: where programs that unpack one differ."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.archive.composefs import open_tree
from cstore.check.expected import Tolerance
from cstore.check.view import Shown, View
from cstore.idmap import IDENTITY
from tests.builders import Entry, directory, regular, whiteout
from tests.unit.check.tables import unpack, write
from tests.unit.check.trees import expected

if TYPE_CHECKING:
    from pathlib import Path

OPAQUE = regular("d/.wh..wh..opq")


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        (b"d/x", True), (b"d/deep/x", True), (b"d", False), (b"gone/x", True), (b"gone", False), (b"other/x", False),
    ],
)  # fmt: skip
def test_what_a_layer_hides_with_a_directory_above(path: bytes, *, hidden: bool) -> None:
    """What it removes by itself needs a mark of its own; what goes with its directory does not."""
    tree = expected(directory("d"), OPAQUE, whiteout("gone"))

    assert Shown(tree, []).is_hidden(path) is hidden


def test_an_opaque_root_hides_everything_below(tmp_path: Path) -> None:
    """But for who looks at single marks at the top, which is never opaque on overlay."""
    shown = Shown(expected(regular(".wh..wh..opq")), [])

    assert shown.is_hidden(b"x")
    assert not shown.is_hidden(b"x", root=False)


def differences(top: Path, entries: tuple[Entry, ...], below: tuple[Entry, ...], own: tuple[Entry, ...]) -> list[str]:
    """What is said of a layer whose directory holds `own`, above one that holds `below`."""
    tree = expected(*entries)
    root, lower = unpack(str(top / "own"), *own), unpack(str(top / "below"), *below)
    with Shown(tree, [lower]) as shown, open_tree(root) as place:
        found = list(View(tree, place, shown, IDENTITY, Tolerance()).problems())
    return [str(each) for problem in found for each in problem[3]["differs"]]  # type: ignore[attr-defined]


def test_a_directory_that_comes_back_must_not_show_what_it_had(tmp_path: Path) -> None:
    """The archive removes it and brings it anew; without a mark the old contents show through."""
    entries = whiteout("d"), directory("d"), regular("d/new")
    below = directory("d"), regular("d/old")

    assert differences(tmp_path, entries, below, entries[1:]) == ["'/d' still shows its earlier contents"]


def test_a_mount_programs_mark_is_one(tmp_path: Path) -> None:
    entries = whiteout("d"), directory("d"), regular("d/new")
    marked = *entries[1:], regular("d/.wh..wh..opq")

    assert differences(tmp_path, entries, (directory("d"), regular("d/old")), marked) == []


def test_a_directory_that_no_entry_lists_is_like_the_one_below(tmp_path: Path) -> None:
    """A program that made it with a mode of its own changed what containers see."""
    entries = (regular("d/f"),)
    below = (directory("d", mode=0o750),)

    (sentence,) = differences(tmp_path, entries, below, (directory("d", mode=0o700), *entries))
    assert sentence.startswith("'/d' has mode 0700")
    assert "instead of mode 0750" in sentence


def test_the_root_is_as_its_entry_says(tmp_path: Path) -> None:
    """But for the owner's right to write, which means nothing to whom the Go tools make it 0555 for."""
    root = directory("./", mode=0o755)
    own = tmp_path / "own"
    for mode, count in ((0o755, 0), (0o555, 0), (0o700, 1)):
        own.mkdir(exist_ok=True)
        os.chmod(own, mode)
        tree = expected(root)
        with Shown(tree, []) as shown, open_tree(str(own)) as place:
            found = list(View(tree, place, shown, IDENTITY, Tolerance()).problems())
        assert len(found) == count, oct(mode)


def test_where_owners_and_modes_say_nothing_they_are_not_compared(tmp_path: Path) -> None:
    tree = expected(directory("./", mode=0o700))
    root = unpack(str(tmp_path / "own"))
    os.chmod(root, 0o755)  # noqa: S103  - what an image may well have
    for tolerance in (Tolerance(masked=True), Tolerance(owners=True), Tolerance(users=True)):
        with Shown(tree, []) as shown, open_tree(root) as place:
            assert list(View(tree, place, shown, IDENTITY, tolerance).problems()) == []


def test_few_differences_are_named(tmp_path: Path) -> None:
    """The layer is one problem, however many directories it has."""
    entries = tuple(entry for number in range(5) for entry in (whiteout(f"d{number}"), directory(f"d{number}")))
    below = tuple(entry for number in range(5) for entry in (directory(f"d{number}"), regular(f"d{number}/x")))
    tree = expected(*entries)
    root, lower = unpack(str(tmp_path / "own"), *entries[1::2]), unpack(str(tmp_path / "below"), *below)
    with Shown(tree, [lower]) as shown, open_tree(root) as place:
        ((kind, _, sentence, evidence, _),) = View(tree, place, shown, IDENTITY, Tolerance()).problems()

    assert kind == "layer-view"
    assert sentence.endswith(", and more")
    assert len(evidence["differs"]) == 3  # type: ignore[arg-type]


def test_only_what_is_there_can_be_seen(tmp_path: Path) -> None:
    tree = expected(whiteout("a"), whiteout("b"))
    write(str(tmp_path / "below/a"), b"")
    with Shown(tree, [str(tmp_path / "below"), str(tmp_path / "none")]) as shown:
        assert (shown.is_seen(b"a"), shown.is_seen(b"b")) == (True, False)
        assert shown.names() == [b"a"]
        assert list(shown.lacking(set())) == [b"a"]
        assert list(shown.lacking({b"a"})) == []
