"""Docker's layer store: registered once, held by references, released in a cascade."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from cstore.docker import LayerStore
from cstore.docker.layer import EmptyLayer
from cstore.errors import (
    ArchiveError,
    ArchiveHostile,
    ChainTooDeep,
    ChainUnknown,
    ContentDamaged,
    CstoreError,
    LayerNotRetained,
    LayerNotVerified,
    NotAnAncestor,
)
from cstore.idmap import IDMap, IDRange
from cstore.store import NewLayer
from tests.builders import make_tar, regular
from tests.unit.docker.conftest import ONE, THREE, TWO, Collected

if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.docker import ChainOutline
    from cstore.docker.layer import ReadOnlyLayer
    from cstore.store import Store
    from tests.unit.docker.conftest import Register

NOWHERE = "sha256:" + "0" * 64


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_the_same_archive_twice_is_one_layer_with_two_references(
    register: Register, layers: LayerStore, store: Store
) -> None:
    """Releasing one deletes nothing; releasing it again is refused; the other one deletes."""
    first, second = register(ONE), register(gzip.compress(ONE))

    assert first.chain_id == second.chain_id == first.diff_id == digest(ONE)
    assert [layer.id for layer in store.layers.list()] == [digest(ONE).removeprefix("sha256:")]
    assert layers.release(first) == []
    with pytest.raises(LayerNotRetained) as refused:
        layers.release(first)
    assert refused.value.go_text == "layer not retained"
    assert [freed.chain_id for freed in layers.release(second)] == [digest(ONE)]
    assert layers.release(second) == [], "a ChainID that is gone is no error"
    assert store.layers.list() == []


def test_layers_have_the_ids_that_others_give_them(chain: list[ReadOnlyLayer]) -> None:
    """ChainID and the ID in the store are two formulas over the same digests."""
    second = hashlib.sha256(f"{digest(ONE)} {digest(TWO)}".encode()).hexdigest()
    shared = hashlib.sha256(f"{digest(ONE)[7:]}+{digest(TWO)[7:]}".encode()).hexdigest()

    assert (chain[1].chain_id, chain[1].layer) == (f"sha256:{second}", shared)
    assert chain[2].parent is not None
    assert [chain[2].depth, chain[2].parent.chain_id] == [3, chain[1].chain_id]
    assert chain[0].parent is None


def test_a_parent_outlives_its_reference_and_a_release_cascades(
    chain: list[ReadOnlyLayer], layers: LayerStore, store: Store
) -> None:
    """Top first, each with the size of its files and of all below it."""
    assert layers.release(chain[1]) == []
    with pytest.raises(LayerNotRetained):
        layers.release(chain[1])
    assert layers.release(chain[0]) == []
    freed = layers.release(chain[2])

    assert [(one.chain_id, one.size, one.diff_size) for one in freed] == [
        (chain[2].chain_id, 19, 6),
        (chain[1].chain_id, 13, 7),
        (chain[0].chain_id, 6, 6),
    ]
    assert store.layers.list() == []


def test_a_cascade_stops_at_a_reference(chain: list[ReadOnlyLayer], layers: LayerStore) -> None:
    """What somebody still holds stays, with all below it."""
    layers.release(chain[2])

    assert list(layers.map()) == [chain[0].chain_id, chain[1].chain_id]


def test_get_and_map(chain: list[ReadOnlyLayer], layers: LayerStore) -> None:
    """`get` takes a reference, `map` does not."""
    seen = layers.map()
    assert set(seen) == {layer.chain_id for layer in chain}
    with pytest.raises(LayerNotRetained):
        layers.release(seen[chain[2].chain_id])

    again = layers.get(chain[2].chain_id)
    assert layers.release(again) == []
    with pytest.raises(ChainUnknown) as unknown:
        layers.get(NOWHERE)
    assert unknown.value.go_text == "layer does not exist"


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("driver", ["vfs"], indirect=True)
def test_outlines_are_the_map_in_short(layers: LayerStore, store: Store, seed: int) -> None:
    """Whatever the order of the records, with copies of layers, layers without digests, missing parents and cycles."""
    choice = random.Random(seed)
    rows: list[dict[str, object]] = []
    for number in range(60):
        diff_id = digest(b"%d" % choice.randrange(4))
        parent = f"layer{choice.randrange(-8, max(number, 1) + choice.randrange(2))}" if number else "layer-1"
        row: dict[str, object] = {"id": f"layer{number}", "created": f"2020-01-{choice.randrange(10, 30)}T00:00:00Z"}
        row["id"] = diff_id[7:] if parent.startswith("layer-") and choice.random() < 0.1 else row["id"]
        row |= {} if parent.startswith("layer-") else {"parent": parent}
        row |= {"diff-digest": diff_id, "diff-size": 1} if choice.random() < 0.9 else {}
        row |= {"uidmap": [{"container_id": 0, "host_id": 1, "size": 2}]} if choice.random() < 0.2 else {}
        row |= {"flags": {"cstore.docker": "writable"}} if choice.random() < 0.05 else {}
        rows.append(row)
    choice.shuffle(rows)
    store.layers.create(NewLayer(id="made"))
    with open(store.context.layout.stable_layers, "w", encoding="utf-8") as file:
        json.dump([*rows, {"id": "cycle", "parent": "cycle", "diff-digest": digest(b""), "created": ""}], file)

    def told(one: ReadOnlyLayer | ChainOutline) -> tuple[object, ...]:
        return one.chain_id, one.diff_id, one.layer, one.depth, one.parent and one.parent.chain_id

    found = layers.outlines()

    assert found
    assert [told(each) for each in found] == [told(each) for each in layers.map().values()]


def test_an_unknown_parent_and_a_bad_archive_leave_nothing(register: Register, store: Store) -> None:
    """The store is as it was."""
    with pytest.raises(ChainUnknown):
        register(ONE, NOWHERE)
    with pytest.raises(ArchiveError):
        register(b"no tar at all" * 100)
    assert store.layers.list() == []


def test_an_archive_with_a_file_twice_is_refused(register: Register, store: Store) -> None:
    """As Docker refuses it; import-layer takes such archives."""
    with pytest.raises(ArchiveHostile, match=r"cannot accept the archive entry 'one.txt': it occurs twice") as refused:
        register(make_tar(regular("one.txt", b"1"), regular("./one.txt", b"2")))
    assert refused.value.go_text == "duplicates of file paths not supported"
    assert store.layers.list() == []


def test_a_chain_has_a_greatest_depth(register: Register, store: Store) -> None:
    """Docker's is 125; another one can be set."""
    shallow = LayerStore(store, max_depth=2)
    first = register(ONE, inside=shallow)
    second = register(TWO, first.chain_id, inside=shallow)

    with pytest.raises(ChainTooDeep) as refused:
        register(THREE, second.chain_id, inside=shallow)
    assert refused.value.go_text == "max depth exceeded"
    assert register(THREE, second.chain_id).depth == 3


@pytest.mark.parametrize("driver", ["overlay"], indirect=True)
def test_the_126th_layer_is_refused_as_docker_refuses_it(register: Register, store: Store) -> None:
    """And the 125th is not."""
    below = ""
    for place in range(125):
        below = register(make_tar(regular(f"f{place}", b"x")), below).chain_id

    with pytest.raises(ChainTooDeep):
        register(ONE, below)
    assert len(store.layers.list()) == 125


def test_a_pipe_can_be_registered(layers: LayerStore) -> None:
    """It is read once; nothing of the copy is left."""
    reading, writing = os.pipe()

    def feed() -> None:
        with open(writing, "wb") as pipe:
            pipe.write(ONE)

    feeder = threading.Thread(target=feed)
    feeder.start()
    layer = layers.register(reading)
    feeder.join()
    os.close(reading)

    assert layer.diff_id == digest(ONE)


def test_what_holds_a_layer_is_in_the_records(
    register: Register, layers: LayerStore, store: Store, tmp_path: object
) -> None:
    """A name, a mount and a layer of somebody else's on top each keep it."""
    base = register(ONE)
    store.layers.create(NewLayer(id="above", parent=base.layer))
    assert layers.release(base) == []
    store.layers.delete("above")

    store.add_names(base.layer, ["mine"])
    assert layers.release(layers.get(base.chain_id)) == []
    store.remove_names(base.layer, ["mine"])

    store.mount(base.layer)
    assert layers.release(layers.get(base.chain_id)) == []
    store.unmount(base.layer)
    assert len(layers.release(layers.get(base.chain_id))) == 1


def test_the_archive_comes_back_verified(chain: list[ReadOnlyLayer]) -> None:
    """Byte for byte."""
    out = Collected()
    chain[1].write_tar(out)

    assert out.data == TWO


def test_tampering_is_found(register: Register, store: Store, tmp_path: object) -> None:
    """A file of the same size with other contents is named."""
    layer = register(ONE)
    path = store.mount(layer.layer)
    store.unmount(layer.layer)
    found = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(store.config.graph_root)
        for name in names
        if name == "one.txt"
    ]
    assert path
    assert len(found) == 1
    with open(found[0], "r+b") as file:
        file.write(b"FIRST\n")

    with pytest.raises(ContentDamaged) as damaged:
        layer.write_tar(Collected())
    assert damaged.value.go_text == 'file integrity checksum failed for "one.txt"'


def test_another_recorded_digest_is_found_at_the_end(
    register: Register, store: Store, driver: str, reopen: Callable[[], Store]
) -> None:
    """All bytes are written, and then it is an error."""
    layer = register(ONE)
    records = os.path.join(store.config.graph_root, f"{driver}-layers", "layers.json")
    with open(records, "r+", encoding="utf-8") as file:
        text = file.read().replace(f'"diff-digest":"{layer.diff_id}"', f'"diff-digest":"{NOWHERE}"')
        file.seek(0)
        file.write(text)
        file.truncate()
    out = Collected()

    with pytest.raises(LayerNotVerified) as damaged:
        LayerStore(reopen()).get(NOWHERE).write_tar(out)
    assert out.data == ONE
    assert damaged.value.go_text.startswith(f"could not verify layer data for: {NOWHERE}. ")


def test_a_chain_is_written_from_any_ancestor(chain: list[ReadOnlyLayer]) -> None:
    """From nothing it is the whole tree; from what is not below it, nothing."""
    names = []
    for ancestor in ("", chain[0].chain_id, chain[1].chain_id):
        out = Collected()
        chain[2].write_tar_from(ancestor, out)
        names.append(sorted(out.names))

    assert names == [["one.txt", "three.txt", "two.txt"], ["three.txt", "two.txt"], ["three.txt"]]
    with pytest.raises(NotAnAncestor) as refused:
        chain[0].write_tar_from(chain[2].chain_id, Collected())
    assert "cannot provide diff to non-parent" in refused.value.go_text


def test_the_empty_layer_is_in_no_store() -> None:
    """And yet it can be written."""
    empty, out = EmptyLayer(), Collected()
    empty.write_tar_from("", out)

    assert out.data == bytes(1024)
    assert digest(out.data) == empty.diff_id == empty.chain_id
    assert (empty.size(), empty.diff_size(), empty.metadata(), empty.parent) == (0, 0, {}, None)
    with pytest.raises(CstoreError) as refused:
        empty.write_tar_from(NOWHERE, out)
    assert refused.value.go_text == "can't get parent tar stream of an empty layer"


@pytest.mark.parametrize("archive", [b"", bytes(1024)], ids=["no bytes", "no entries"])
def test_an_empty_archive_is_a_layer(register: Register, archive: bytes) -> None:
    """Both kinds of nothing have their DiffID."""
    layer, out = register(archive), Collected()
    layer.write_tar(out)

    assert (layer.diff_id, out.data, layer.size()) == (digest(archive), archive, 0)


def test_clean_up_removes_what_no_record_owns(register: Register, layers: LayerStore, store: Store) -> None:
    """A tree in the driver that an interrupted operation left goes; layers stay."""
    kept = register(ONE)
    left = store.layers.create_tree(NewLayer())

    assert [os.path.basename(found.path) for found in layers.clean_up()] == [left]
    assert list(store.layers.trees()) == [kept.layer]


def test_a_reopened_store_knows_the_same(chain: list[ReadOnlyLayer], reopen: Callable[[], Store]) -> None:
    """Layers and sizes, and the cascade; references are a process's own."""
    again = LayerStore(reopen())
    seen = again.map()

    assert {name: layer.size() for name, layer in seen.items()} == {layer.chain_id: layer.size() for layer in chain}
    assert len(again.release(again.get(chain[2].chain_id))) == 3


def test_layers_with_random_ids_are_found_by_chain(register: Register, store: Store, tmp_path: object) -> None:
    """What import-layer made is registered already; a child of it gets the ID that others would give it."""
    with open(os.path.join(str(tmp_path), "one"), "w+b") as file:
        file.write(ONE)
        file.seek(0)
        imported = store.layers.put(NewLayer(id="mine"), file.fileno())

    assert register(ONE).layer == imported.id
    child = register(TWO, digest(ONE))
    assert child.layer == hashlib.sha256(f"{digest(ONE)[7:]}+{digest(TWO)[7:]}".encode()).hexdigest()


def test_an_id_that_another_layer_has_is_left_to_it(register: Register, store: Store, tmp_path: object) -> None:
    """Then the new layer gets a random one."""
    store.layers.create(NewLayer(id=digest(ONE)[7:]))
    layer = register(ONE)

    assert layer.layer != digest(ONE)[7:]
    assert layer.chain_id == digest(ONE)


def test_registered_archives_with_repeated_paths_are_refused_or_kept_whole(register: Register) -> None:
    """Whatever is accepted comes back byte for byte."""
    archive = make_tar(regular("a", b"1"), regular("./a", b"22"))
    try:
        layer = register(archive)
    except ArchiveError:
        return
    out = Collected()
    layer.write_tar(out)
    assert out.data == archive


@pytest.mark.usefixtures("needs_root")
def test_a_layer_store_of_other_owners_has_layers_of_its_own(register: Register, store: Store) -> None:
    """The same archive is another layer there, with the same ChainID; what it writes and gives back is unmapped."""
    id_map = IDMap((IDRange(0, 100_000, 1000),), (IDRange(0, 200_000, 1000),))
    plain, mapped = register(ONE), LayerStore(store, id_map=id_map)
    assert mapped.map() == {}

    layer, again = mapped.register(ONE), mapped.register(ONE)

    assert layer.chain_id == plain.chain_id
    assert (again.layer, layer.layer) == (layer.layer, layer.layer)
    assert layer.layer != plain.layer
    writable = mapped.writable.create("w", layer.chain_id)
    path = writable.mount()
    assert {(os.lstat(file).st_uid, os.lstat(file).st_gid) for file in (path, *map(path.__add__, _files(path)))} == {
        (100_000, 200_000)
    }
    assert writable.changes() == []
    sink = Collected()
    layer.write_tar(sink)
    assert sink.data == ONE


def _files(path: str) -> list[str]:
    return [f"/{name}" for name in os.listdir(path)]
