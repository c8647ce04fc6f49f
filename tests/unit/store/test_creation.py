"""New layers through the library: what is made, what is refused, and what a refusal leaves (nothing)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ArchiveError, IDTaken, InvalidID, LayerUnknown, NameTaken
from cstore.idmap import IDMap, IDRange
from cstore.store import NewLayer, Store
from tests.builders import compress, digest, make_tar, regular, typical_tar, whiteout
from tests.unit.store.conftest import kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.store.conftest import Import


def tree(store: Store, layer: str) -> list[str]:
    """The top names of a layer's tree."""
    return sorted(os.listdir(store.layers.mount_point(layer) or store.mount(layer)))


def test_opening_a_store_makes_nothing(store: Store, graph: str) -> None:
    """Reading never writes, not even the directory."""
    assert store.layers.list() == []
    assert store.find("nothing") is None
    assert not os.path.exists(graph)


def test_a_layer_gets_a_random_id_and_its_names_once(store: Store, reopen: Callable[[], Store]) -> None:
    """What one process makes, another finds, by ID, name and prefix."""
    made = store.layers.create(NewLayer(names=("a", "b", "a")))

    assert len(made.id) == 64
    assert made.names == ("a", "b")
    other = reopen()
    assert [other.layers.get(word).id for word in (made.id, "b", made.id[:9])] == [made.id] * 3


def test_taken_ids_and_names_are_refused(store: Store) -> None:
    """An ID or name belongs to one layer."""
    store.layers.create(NewLayer(id="one", names=("name",)))

    with pytest.raises(IDTaken):
        store.layers.create(NewLayer(id="one"))
    with pytest.raises(NameTaken) as caught:
        store.layers.create(NewLayer(id="two", names=("name",)))
    assert caught.value.holder == "one"
    assert [layer.id for layer in store.layers.list()] == ["one"]


@pytest.mark.parametrize("hostile", ["..", "../../x", "a/b", "a\nb", "x" * 300])
def test_an_id_that_could_leave_its_directory_is_refused(store: Store, graph: str, hostile: str) -> None:
    """And nothing is made for it."""
    with pytest.raises(InvalidID):
        store.layers.create(NewLayer(id=hostile))
    assert not os.path.exists(graph)


def test_unknown_parent_is_refused_before_anything_is_made(store: Store, graph: str) -> None:
    """The parent is looked up first."""
    with pytest.raises(LayerUnknown):
        store.layers.create(NewLayer(parent="nobody"))
    assert not os.path.exists(graph)


@pytest.mark.parametrize("kind", ["plain", "gzip", "bzip2", "xz", "zstd"])
def test_an_import_records_what_came_in(put: Import, kind: str) -> None:
    """Both digests, both sizes, the compression and the owners."""
    archive = typical_tar()
    packed = archive if kind == "plain" else compress(archive, kind)
    layer = put(packed, names=("it",))

    assert (layer.diff_digest, layer.diff_size) == (digest(archive), len(archive))
    assert (layer.compressed_digest, layer.compressed_size) == (digest(packed), len(packed))
    assert layer.compression == ["plain", "bzip2", "gzip", "xz", "zstd"].index(kind)
    assert 0 in layer.uids


def test_a_failed_import_leaves_the_store_as_it_was(store: Store, put: Import, graph: str) -> None:
    """No layer, no tree, no staging directory, no file."""
    put(typical_tar(), id="first")
    before = kept(graph)

    with pytest.raises(ArchiveError):
        put(typical_tar()[:5000], id="second", parent="first")
    assert [layer.id for layer in store.layers.list()] == ["first"]
    assert kept(graph) == before


def test_a_child_sees_its_parent_less_what_it_whites_out(store: Store, put: Import) -> None:
    """A whiteout in the archive removes what the parent had, for the child only."""
    put(make_tar(regular("keep", b"1"), regular("drop", b"2")), id="base")
    put(make_tar(whiteout("drop"), regular("new", b"3")), id="child", parent="base")

    assert tree(store, "child") == ["keep", "new"]
    assert tree(store, "base") == ["drop", "keep"]


def test_a_template_gives_its_contents_and_what_is_known_of_them(store: Store, put: Import) -> None:
    """The copy has the template's digest and gives the same archive."""
    original = put(make_tar(regular("f", b"1")), id="original", metadata="about")
    copy = store.layers.create(NewLayer(id="copy", template="original"))

    assert copy.diff_digest == original.diff_digest
    assert copy.metadata == "about"
    assert tree(store, "copy") == ["f"]


def test_maps_are_inherited_kind_by_kind(store: Store, needs_root: None) -> None:
    """What is mapped anew, or not any more, leaves the other kind as it is in the parent."""
    del needs_root
    users, groups, others = ((IDRange(0, host, 1000),) for host in (100_000, 200_000, 300_000))
    store.layers.create(NewLayer(id="parent", id_map=IDMap(uids=users, gids=groups)))

    other_groups = store.layers.create(NewLayer(parent="parent", id_map=IDMap(gids=others)))
    same_users = store.layers.create(NewLayer(parent="parent", host_gids=True))
    none = store.layers.create(NewLayer(parent="parent", host_uids=True, host_gids=True))

    assert other_groups.id_map == IDMap(uids=users, gids=others)
    assert same_users.id_map == IDMap(uids=users)
    assert none.id_map == IDMap()
