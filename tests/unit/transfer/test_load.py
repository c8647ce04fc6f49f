"""Loading: what comes of each form of archive, and that it is the same from a file, a pipe and a directory."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ImageArchiveError, InvalidName, InvalidOption
from cstore.oci.chain import layer_ids
from tests.builders import compress, listing, make_tar
from tests.unit.transfer.archives import (
    BASE,
    CHANGE,
    TOP,
    as_directory,
    as_json,
    as_tar,
    config_of,
    docker_archive,
    named,
    oci_image,
    oci_layout,
    platforms_layout,
    sha,
    v1_archive,
    with_index,
)
from tests.unit.transfer.conftest import load_path

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.store import Store
    from tests.unit.transfer.conftest import Load

pytestmark = pytest.mark.usefixtures("needs_root")

PLACES = {"vfs", "vfs-layers", "vfs-images", "vfs-containers", "storage.lock", "cstore-intents", "cstore-reserve"}
"""What a store consists of."""

IDS = layer_ids([sha(BASE), sha(CHANGE)])


def test_a_docker_archive_becomes_what_skopeo_makes_of_it(store: Store, load_bytes: Load) -> None:
    """Layer IDs, data items in their order, made-up manifest, digest, date and name are those of docker spec 16."""
    result = load_bytes(as_tar(docker_archive()))

    image = store.images.get("example.org/app:1")
    config = config_of((BASE, CHANGE))
    manifest = store.images.get_data(image.id, "manifest")
    assert image.id == sha(config)[7:] == result.images[0].id
    assert image.layer == IDS[1]
    assert image.data_names == (sha(config), f"manifest-{sha(manifest)}", "manifest")
    assert image.digest == sha(manifest)
    assert image.metadata == "{}"
    assert image.created == "2023-11-14T22:13:21Z"
    assert image.names_history == ("example.org/app:1",)
    assert store.images.get_data(image.id, sha(config)) == config
    assert [layer["size"] for layer in json.loads(manifest)["layers"]] == [len(BASE), len(CHANGE)]
    assert result.images[0].new_layers == IDS


def test_an_oci_layout_keeps_its_manifest_and_the_digests_of_its_blobs(store: Store, load_bytes: Load) -> None:
    """The manifest is stored as it came, and a layer's record tells of the compressed blob."""
    members = oci_layout()
    load_bytes(as_tar(members))

    image = store.images.get("example.org/app:1")
    manifest = store.images.get_data(image.id, "manifest")
    top = store.layers.get(IDS[1])
    assert manifest in members.values()
    assert image.digest == sha(manifest)
    assert top.compressed_digest == sha(gzip.compress(CHANGE, mtime=0))
    assert top.compressed_size == len(gzip.compress(CHANGE, mtime=0))
    assert (top.compression, top.diff_digest, top.diff_size) == (2, sha(CHANGE), len(CHANGE))


@pytest.mark.parametrize("how", ["plain", "gzip", "zstd", "xz", "bzip2", "stream", "gzip stream", "documents first"])
@pytest.mark.parametrize("kind", [docker_archive, oci_layout])
def test_every_way_in_leads_to_the_same_store(
    kind: object, how: str, store: Store, load_bytes: Load, graph: str
) -> None:
    """Compressed or not, from a file or a pipe, documents first or last: the layers and the image are the same."""
    members = kind() if callable(kind) else {}
    first = [name for name in members if name.endswith(".json") or members[name].startswith(b"{")]
    archive = as_tar(members, first=first[::-1] if how == "documents first" else ())
    word = how.split(maxsplit=1)[0]
    stream = how.endswith("stream") or how == "documents first"
    load_bytes(compress(archive, word) if word in {"gzip", "zstd", "xz", "bzip2"} else archive, stream=stream)

    image = store.images.get("example.org/app:1")
    assert image.layer == IDS[1]
    assert {layer.id for layer in store.layers.list()} == set(IDS)
    assert not [path for path in listing(graph) if "/" not in path and path not in PLACES]


def test_layers_are_taken_from_a_stream_whose_documents_came_first(
    store: Store, load_bytes: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a layer waits on the disk when it is known what it is for."""
    from cstore.archive import streams

    waited: list[int] = []
    write = streams.FileSink.write

    def counted(self: streams.FileSink, data: bytes | memoryview) -> None:
        waited.append(len(data))
        write(self, data)

    monkeypatch.setattr(streams.FileSink, "write", counted)
    members = oci_layout()
    documents = [name for name, body in members.items() if body.startswith(b"{")]

    load_bytes(as_tar(members, first=documents), stream=True)

    assert sum(waited) == sum(len(members[name]) for name in documents)
    assert store.images.get("example.org/app:1").layer == IDS[1]


def test_a_layer_that_is_a_link_is_followed_once(store: Store, load_bytes: Load) -> None:
    """Docker writes a layer that is used twice as a link to the first."""
    members = docker_archive()
    item = json.loads(members["manifest.json"])
    item[0]["Layers"][1] = "x/layer.tar"
    target = f"{sha(CHANGE)[7:]}.tar"
    archive = {**members, "manifest.json": json.dumps(item).encode(), "x/layer.tar": b"-> ../" + target.encode()}

    load_bytes(as_tar(archive))

    assert store.images.get("example.org/app:1").layer == IDS[1]


def test_a_directory_is_a_layout_too(store: Store, tmp_path: Path) -> None:
    """The unpacked form of an OCI archive loads like it."""
    load_path(store, as_directory(oci_layout(), str(tmp_path / "layout")))

    assert store.images.get("example.org/app:1").layer == IDS[1]


def test_the_oldest_archives_get_a_config(store: Store, load_bytes: Load) -> None:
    """Docker's rules for images of before 1.10: history from the commands, only known keys, sorted."""
    load_bytes(as_tar(v1_archive()))

    image = store.images.get("example.org/old:1")
    config = json.loads(store.images.get_data(image.id, f"sha256:{image.id}"))
    assert image.layer == IDS[1]
    assert list(config) == sorted(config)
    assert not {"id", "parent", "Size"} & config.keys()
    assert config["rootfs"]["diff_ids"] == [sha(BASE), sha(CHANGE)]
    assert config["history"] == [
        {"created": "2014-01-01T00:00:00Z"},
        {"created": "2014-01-01T00:00:00Z", "created_by": "/bin/sh -c x"},
    ]


VERSIONS = [
    ("1.6.0", "eca69ca3086463997749463a30b82f9d7b6957595d9dde2de04d1471bcadc2b2"),
    ("1.9.1", "4620ff73de40a9207453ea6a7e70e162efc34dc197ac85ef731834faeb1e5721"),
]


@pytest.mark.parametrize(("version", "identifier"), VERSIONS)
def test_the_oldest_archives_get_the_ids_that_docker_gives_them(
    version: str, identifier: str, store: Store, load_bytes: Load
) -> None:
    """Seen with Docker 20.10: of before 1.8.3 it keeps what it knows, of later ones every byte of every value."""
    old = "c" * 64
    document = {
        "id": old, "created": "2015-01-01T00:00:00.5Z", "docker_version": version, "zoo": 1, "architecture": "amd64",
        "os": "linux", "comment": "a<b>", "author": "me \u00e9", "config": {"Cmd": ["x"], "Env": None},
        "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) A & B"]},
    }  # fmt: skip
    if version != "1.6.0":
        document |= {"throwaway": False, "parent_id": "q"}
    names = b'{"example.org/older":{"1":"%s"}}' % old.encode()

    load_bytes(as_tar({f"{old}/json": as_json(document), f"{old}/layer.tar": TOP, "repositories": names}))

    assert store.images.get("example.org/older:1").id == identifier


def test_the_same_image_again_adds_names_and_nothing_else(store: Store, load_bytes: Load) -> None:
    """Layers that are there are not written again; the manifest of the other format comes beside the first."""
    load_bytes(as_tar(docker_archive()))
    before = store.images.get("example.org/app:1")
    ages = {layer.id: layer.created for layer in store.layers.list()}

    result = load_bytes(as_tar(oci_layout()), tag="example.org/again:2")

    after = store.images.get(before.id)
    assert result.images[0].new_layers == ()
    assert {layer.id: layer.created for layer in store.layers.list()} == ages
    assert after.digest == before.digest
    assert sorted(after.names) == ["example.org/again:2", "example.org/app:1"]
    assert len(after.data_names) == len(before.data_names) + 1
    assert b"oci" in store.images.get_data(after.id, "manifest")


def test_all_images_of_an_archive_are_loaded_or_those_named(store: Store, load_bytes: Load) -> None:
    """Without a choice everything comes in; with one, only what has the name."""
    one, two = docker_archive(), docker_archive((BASE, TOP), ("two:1", "example.org/two:2"))
    items = [json.loads(members["manifest.json"])[0] for members in (one, two)]
    archive = as_tar({**one, **two, "manifest.json": json.dumps(items).encode()})

    assert [image.names for image in load_bytes(archive, names=("two:1",)).images] == [("docker.io/library/two:1",)]
    assert len(store.images.list()) == 1
    assert len(load_bytes(archive).images) == 2
    assert store.images.get("docker.io/library/two:1").id == store.images.get("example.org/two:2").id


def test_short_names_are_docker_s_or_podman_s(store: Store, load_bytes: Load) -> None:
    """A name without a domain belongs to docker.io, or on request to localhost."""
    archive = as_tar(docker_archive(tags=("short:1",)))
    load_bytes(archive)
    load_bytes(archive, podman_names=True)

    assert sorted(store.images.list()[0].names) == ["docker.io/library/short:1", "localhost/short:1"]


def test_an_index_gives_the_image_for_this_machine_or_another(store: Store, load_bytes: Load) -> None:
    """One instance is chosen, by platform, and the index is kept with it."""
    archive = as_tar(platforms_layout("amd64", "arm64", "s390x"))
    load_bytes(archive, platform="linux/arm64")

    image = store.images.get("example.org/many:1")
    keys = image.data_names
    assert json.loads(store.images.get_data(image.id, image.data_names[0]))["architecture"] == "arm64"
    assert keys[1] == f"manifest-{image.digest}"
    assert b"manifests" in store.images.get_data(image.id, keys[1])
    assert len(keys) == 4
    with pytest.raises(ImageArchiveError, match="no image for linux/riscv64") as told:
        load_bytes(archive, platform="linux/riscv64")
    assert "linux/s390x" in told.value.hint


def test_all_platforms_come_in_and_the_wanted_one_has_the_name(store: Store, load_bytes: Load) -> None:
    """Each instance is an image; the layer that they share is there once."""
    load_bytes(as_tar(platforms_layout("amd64", "arm64")), all_platforms=True)

    assert len(store.images.list()) == 2
    assert len(store.layers.list()) == 3
    assert sorted(len(image.names) for image in store.images.list()) == [0, 1]


def test_images_without_layers_or_with_empty_ones_are_images(store: Store, load_bytes: Load) -> None:
    """No layer, a layer without a byte, and a tar without entries are all legal."""
    load_bytes(as_tar(docker_archive((), ("example.org/none:1",))))
    load_bytes(as_tar(docker_archive((b"", bytes(1024), bytes(1024)), ("example.org/empty:1",))))

    assert store.images.get("example.org/none:1").layer == ""
    assert len(store.layers.list()) == 3


def test_the_same_diff_twice_in_a_chain_is_two_layers(store: Store, load_bytes: Load) -> None:
    """A layer is its diff and all that is below it."""
    members: dict[str, bytes] = {}
    entry = oci_image(members, (TOP, TOP))
    load_bytes(as_tar(with_index(members, named(entry, "example.org/twice:1")), first=list(members)), stream=True)

    assert store.images.get("example.org/twice:1").layer == layer_ids([sha(TOP), sha(TOP)])[1]


def test_oddities_are_told_and_do_no_harm(store: Store, load_bytes: Load) -> None:
    """No `oci-layout`, another system, a layer that is not compressed as it says: warnings, and an image."""
    members: dict[str, bytes] = {}
    entry = oci_image(members, (BASE,), os="windows")
    manifest = next(body for name, body in members.items() if name.endswith(entry["digest"][7:]))
    mislabelled = manifest.replace(b"tar+gzip", b"tar+zstd")
    with_index(members, named({**entry, "digest": sha(mislabelled)}, "example.org/odd:1"))
    members[f"blobs/sha256/{sha(mislabelled)[7:]}"] = mislabelled
    del members["oci-layout"]

    warnings = "\n".join(load_bytes(as_tar(members)).warnings)

    assert "oci-layout" in warnings
    assert "windows" in warnings
    assert "gzip" in warnings
    assert store.images.get("example.org/odd:1").layer == sha(BASE)[7:]


def test_requests_that_make_no_sense_are_refused(store: Store, load_bytes: Load, graph: str) -> None:
    """Before anything is read, or at least before anything is written."""
    one, two = docker_archive(), docker_archive((TOP,), ("example.org/two:1",))
    items = [json.loads(members["manifest.json"])[0] for members in (one, two)]
    both = as_tar({**one, **two, "manifest.json": json.dumps(items).encode()})
    for wanted in ({"format": "vhd"}, {"platform": "arm64"}, {"platform": "a/b", "all_platforms": True}):
        with pytest.raises(InvalidOption):
            load_bytes(both, **wanted)
    with pytest.raises(InvalidName):
        load_bytes(both, tag="UPPER:1")
    with pytest.raises(InvalidOption, match="2 images cannot"):
        load_bytes(both, tag="one:1")
    with pytest.raises(ImageArchiveError, match="no image named"):
        load_bytes(both, names=("three:1",))

    assert not os.path.exists(graph)
    assert store.images.list() == []


def test_hard_links_to_lower_layers_work_in_whatever_order_layers_lie(store: Store, load_bytes: Load) -> None:
    """A layer is unpacked above its parent, even where the archive has it before its parent."""
    from tests.builders import hardlink

    upper = make_tar(hardlink("again", "bin/hello"))
    members = docker_archive((BASE, upper))
    first = [f"{sha(upper)[7:]}.tar", "manifest.json", next(name for name in members if name.endswith(".json"))]

    load_bytes(as_tar(members, first=first), stream=True)

    assert len(store.layers.list()) == 2


def test_many_loads_of_one_archive_at_once_make_one_image(store: Store, tmp_path: Path) -> None:
    """Whoever comes second takes what the first has made for his own."""
    path = tmp_path / "archive.tar"
    path.write_bytes(as_tar(docker_archive((BASE, CHANGE, TOP))))
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            try:
                load_path(store, str(path))
            except BaseException as error:  # noqa: BLE001  - the parent sees the exit status
                print(repr(error), flush=True)
                os._exit(1)
            os._exit(0)
        children.append(child)

    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert len(store.layers.list()) == 3
    assert [image.names for image in store.images.list()] == [("example.org/app:1",)]
