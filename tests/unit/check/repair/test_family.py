"""Who a layer's parent is, when its record does not tell: who is asked, in which order, and when nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cstore.check.repair.family import _fits, _note, find_parent
from cstore.check.repair.image_files import ImageFiles
from cstore.check.repair.survivors import ExpectedLayer, Survivors
from cstore.oci.chain import next_layer_id
from cstore.records.model import Container, IDMapEntry, Image, Layer
from tests.builders import directory, regular, whiteout
from tests.unit.check.tables import Tables, facts

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, THIRD = (f"sha256:{digit * 64}" for digit in "123")


def survivors(tables: Tables, *diff_ids: str, **more: Any) -> Survivors:
    """What is left of a store in which a config names layers."""
    found = tables.view(**more).survivors
    files = ImageFiles("", "image")
    files.__dict__["diff_ids"] = diff_ids
    found.__dict__["image_files"] = {"image": files}
    return found


def test_a_config_that_names_the_layer_is_the_surest(tmp_path: Path) -> None:
    tables = Tables(tmp_path, trees=["a"])
    told = survivors(tables, expected={"a": ExpectedLayer("image", "below", FIRST)})

    assert find_parent(told, "a", {}) == "below"


def test_a_mapped_layer_has_the_parent_of_the_one_it_is_a_copy_of(tmp_path: Path) -> None:
    image = Image(id="image", layer="top", mapped_layers=("copy",))
    tables = Tables(tmp_path, Layer(id="base"), Layer(id="top", parent="base"), image, trees=["copy"])

    assert find_parent(survivors(tables), "copy", {}) == "base"


def test_an_id_may_be_computed_from_the_parents(tmp_path: Path) -> None:
    """Of all layers, and of none, the one from which it comes out."""
    base = next_layer_id("", FIRST)
    top = next_layer_id(base, SECOND)
    tables = Tables(tmp_path, Layer(id=base, diff_digest=FIRST), Layer(id="other"), trees=[top])

    assert find_parent(survivors(tables, facts={top: facts(SECOND)}), top, {}) == base
    assert find_parent(survivors(tables, facts={base: facts(FIRST)}), base, {}) == ""


def test_a_config_names_the_digest_below(tmp_path: Path) -> None:
    """If one layer has it; two of the same contents cannot be told apart."""
    tables = Tables(tmp_path / "one", Layer(id="base", diff_digest=FIRST), trees=["top"])
    told = survivors(tables, FIRST, SECOND, facts={"top": facts(SECOND)})
    assert find_parent(told, "top", {}) == "base"
    bottom = survivors(tables, SECOND, facts={"top": facts(SECOND)})
    assert find_parent(bottom, "top", {}) == ""

    two = Tables(
        tmp_path / "two", Layer(id="base", diff_digest=FIRST), Layer(id="same", diff_digest=FIRST), trees=["top"]
    )
    told = survivors(two, FIRST, SECOND, facts={"top": facts(SECOND), "base": None, "same": None})
    assert find_parent(told, "top", {}) is None


def test_a_containers_layer_lies_on_its_image(tmp_path: Path) -> None:
    """On the mapped copy, if the container has a map and there is one copy."""
    box = Container(id="box", image="image", layer="own")
    mapped = box.with_(uid_map=(IDMapEntry(0, 1000, 10),), gid_map=(IDMapEntry(0, 1000, 10),))
    layers = Layer(id="top", diff_digest=FIRST), Layer(id="copy", diff_digest=FIRST)
    tables = Tables(tmp_path, *layers, Image(id="image", layer="top", mapped_layers=("copy",)), trees=["own"])

    assert find_parent(survivors(tables), "own", {"own": box}) == "top"
    assert find_parent(survivors(tables), "own", {"own": mapped}) == "copy"
    assert find_parent(survivors(tables), "own", {"own": box.with_(image="gone")}) is None


def test_the_tree_of_a_child_is_its_parents_but_for_what_its_archive_says(tmp_path: Path) -> None:
    """Of two that fit nobody knows which it is."""
    base, other = (directory("d"), regular("d/f", b"1")), (directory("d"), regular("d/f", b"other"))
    own = regular("new", b"2")
    tables = Tables(tmp_path, Layer(id="base"), Layer(id="other"), trees=["top"])
    tables.archive("base", *base)
    tables.archive("other", *other)
    tables.archive("top", own)
    from tests.unit.check.tables import unpack

    unpack(tables.tree("top"), *base)
    told = {"base": facts(FIRST), "other": facts(SECOND), "top": facts(THIRD)}
    assert find_parent(survivors(tables, facts=told), "top", {}) == "base"

    tables.archive("other", *base)
    assert find_parent(survivors(tables, facts=told), "top", {}) is None


def test_what_an_archive_touches() -> None:
    """What it writes and the directories above; what it removes is noted by itself."""
    touched: set[bytes] = set()
    removed: set[bytes] = set()
    for entry in (regular("a/b/f"), whiteout("a/gone"), regular("o/.wh..wh..opq"), regular(".wh..wh.plnk/1")):
        _note(entry.name, touched, removed)

    assert touched >= {b"a/b/f", b"a/b", b"a", b"o"}
    assert removed == {b"a/gone", b"o"}


def test_a_parent_must_have_something_that_the_child_has_too() -> None:
    """A parent of which the archive leaves nothing would fit every child."""
    parent: dict[bytes, tuple[int, ...]] = {b"d": (1,), b"d/f": (2,)}

    assert _fits({b"d": (1,), b"d/f": (2,)}, parent, set(), set())
    assert _fits({b"d": (1,)}, parent, set(), {b"d/f"})
    assert not _fits({b"d": (1,)}, parent, set(), set())
    assert not _fits({}, parent, {b"d", b"d/f"}, set())
