"""One store, two programs: Debian's containers-storage reads what we write, and we what it writes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.records import codec
from cstore.records.bigdata import file_name, read_item, write_item
from cstore.records.containers import CONTAINERS
from cstore.records.images import IMAGES
from cstore.records.layers import LAYERS
from cstore.records.model import Container, IDMapEntry, Image, Layer
from cstore.records.mounts import MountTable
from cstore.records.table import Kind, Location, Table

from .sample_files import read

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.records.model import R
    from tests.conftest import Runner, StoreRoots

pytestmark = pytest.mark.peer

ODD = 'q"b\\ <a>&\u2028\u2029 é😀\x7f'
ODDER = ODD + "\t\n\r\b\f\x01\x1f"


@pytest.fixture(autouse=True)
def _rights(needs_root: None) -> None:
    """The peer re-executes itself in a user namespace for anybody else."""


def table_of(roots: StoreRoots, kind: Kind[R]) -> Table[R]:
    """The records of a vfs store."""
    path = os.path.join(roots.graph, f"vfs-{kind.noun}s", f"{kind.noun}s.json")
    return Table.load(kind, {Location.STABLE: path})


def told(peer: Runner, *words: str) -> Any:
    """What the peer prints as JSON."""
    return json.loads(peer(*words).ok().stdout)


def test_the_peer_reads_what_we_add_and_change(peer: Runner, store_roots: StoreRoots) -> None:
    """Every field that it shows, texts with everything that needs an escape included."""
    peer("create-layer", "--id", "base", "-n", "basis").ok()
    layers = table_of(store_roots, LAYERS)
    layers.add(
        Layer(
            id="ours",
            names=(ODD, "second"),
            parent="base",
            metadata=ODDER,
            created=codec.now(),
            compressed_digest="sha256:" + "1" * 64,
            compressed_size=2**60,
            diff_digest="sha256:" + "2" * 64,
            diff_size=5,
            compression=2,
            uids=(0, 4294967295),
            gids=(7,),
            flags={"f": 1.5e-7, "s": ODDER},
            uid_map=(IDMapEntry(0, 100000, 65536),),
            gid_map=(IDMapEntry(0, 100000, 65536),),
            data_names=("a key",),
        )
    )
    base = layers.get("base")
    assert base is not None
    layers.replace(base.with_(metadata=ODDER))
    layers.save()

    assert [layer["id"] for layer in told(peer, "layers", "--json")] == ["base", "ours"]
    assert told(peer, "metadata", "--json", "ours", "base") == {"ours": ODDER, "base": ODDER}
    (ours,) = told(peer, "layer", "--json", "ours")
    assert (ours["names"], ours["parent"]) == ([ODD, "second"], "base")
    assert (ours["compressed-size"], ours["diff-size"]) == (2**60, 5)
    assert told(peer, "list-layer-data", "--json", "ours") == ["a key"]


def test_the_peers_next_save_leaves_our_bytes(peer: Runner, store_roots: StoreRoots) -> None:
    """It decodes and encodes the whole file for a new layer of its own: our records are written as it writes them."""
    peer("create-layer", "--id", "base").ok()
    layers = table_of(store_roots, LAYERS)
    layers.add(
        Layer(
            id="ours",
            names=(ODD,),
            metadata=ODDER,
            created=codec.now(),
            uids=(0, 5),
            gid_map=(IDMapEntry(0, 1, 2),),
            flags={"f": 1.5e-7, "g": 1e21, "n": 2.0, "z": None, ODDER: [ODD, {"b": True, "a": 12.25}]},
            compression=4,
        )
    )
    layers.save()
    before = read(store_roots.records)

    peer("create-layer", "--id", "theirs").ok()

    after = read(store_roots.records)
    assert after.startswith(before[:-1] + b',{"id":"theirs"')


def test_images_and_containers_of_ours(peer: Runner, store_roots: StoreRoots) -> None:
    """Found by name, ID, layer and digest; their data items too; and rewritten without a change."""
    peer("create-layer", "--id", "l").ok()
    peer("create-layer", "--id", "w", "l").ok()
    manifest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of b"x"
    keys = ("manifest", "weird Key/é", "A")
    images = table_of(store_roots, IMAGES)
    images.add(
        Image(
            id="i",
            digest=manifest,
            names=("im",),
            names_history=("im",),
            layer="l",
            metadata=ODDER,
            data_names=keys,
            data_sizes=dict.fromkeys(keys, 1),
            data_digests=dict.fromkeys(keys, manifest),
            created=codec.now(),
            flags={"x": 1},
        )
    )
    images.save()
    containers = table_of(store_roots, CONTAINERS)
    flags = {"MountLabel": "", "ProcessLabel": ""}
    containers.add(
        Container(id="c", names=("box",), image="i", layer="w", metadata=ODDER, created=codec.now(), flags=flags)
    )
    containers.save()
    for key in keys:
        write_item(os.path.join(store_roots.graph, "vfs-images", "i"), key, b"x", noun="image")

    for words in (("image", "im"), ("image", "i"), ("images-by-digest", manifest)):
        assert [image["id"] for image in told(peer, words[0], "--json", *words[1:])] == ["i"]
    for word in ("box", "c", "w"):
        assert [container["id"] for container in told(peer, "container", "--json", word)] == ["c"]
    for key in keys:
        assert peer("get-image-data", "i", key).ok().output == b"x"
    before = [read(os.path.join(store_roots.graph, f"vfs-{noun}s", f"{noun}s.json")) for noun in ("image", "container")]
    peer("set-metadata", "-m", ODDER, "c").ok()
    peer("create-image", "--id", "j", "l").ok()
    after = [read(os.path.join(store_roots.graph, f"vfs-{noun}s", f"{noun}s.json")) for noun in ("image", "container")]
    assert after[0].startswith(before[0][:-1] + b',{"id":"j"')
    assert after[1] == before[1]


def test_we_read_what_the_peer_writes(peer: Runner, store_roots: StoreRoots, tmp_path: Path) -> None:
    """Its texts, its data items under every odd key, its mounts; and write its records as it does."""
    peer("create-layer", "--id", "l", "-n", ODD).ok()
    peer("set-metadata", "-m", ODDER, "l").ok()
    peer("create-image", "--id", "i", "-n", "im", "l").ok()
    (tmp_path / "data").write_bytes(b"content")
    keys = ["A", "aA", "abcdé", "x?", "abc/", "lk/é", "name with space", "sha256:" + "0" * 64, "...", "é", "manifestX"]
    for key in keys:
        peer("set-image-data", "-f", str(tmp_path / "data"), "i", key).ok()
    mounted = peer("mount", "l").ok().lines[-1]

    kinds: tuple[Kind[Any], ...] = (LAYERS, IMAGES)
    for kind in kinds:
        data = read(os.path.join(store_roots.graph, f"vfs-{kind.noun}s", f"{kind.noun}s.json"))
        records = list(table_of(store_roots, kind))
        assert b"[%s]" % b",".join(map(codec.encode, records)) == data
    assert table_of(store_roots, LAYERS).named(ODD) == table_of(store_roots, LAYERS).get("l")
    image = table_of(store_roots, IMAGES).named("im")
    assert image is not None
    assert list(image.data_names) == keys
    directory = os.path.join(store_roots.graph, "vfs-images", "i")
    for key in keys:
        assert read_item(directory, key, noun="image") == b"content"
    assert set(os.listdir(directory)) == {file_name(key) for key in keys}
    mounts = MountTable.load(os.path.join(store_roots.run, "vfs-layers", "mountpoints.json"))
    assert [(mount.id, mount.path, mount.count) for mount in mounts] == [("l", mounted, 1)]
    peer("unmount", "l").ok()
