"""A Docker data root is read, distrusted, imported from, and never written to."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from cstore.docker import DockerRoot, LayerStore
from cstore.docker.root.names import full_name
from cstore.errors import (
    AmbiguousImageID,
    ArchiveHostile,
    ChainUnknown,
    ContainerUnknown,
    ContentDamaged,
    CstoreError,
    DockerRootDamaged,
    ImageUnknown,
    InvalidOption,
    LayerNotVerified,
    TopLayerDiffers,
    Unsupported,
)
from cstore.store import NewImage
from cstore.transfer import import_docker_image as import_image
from tests.builders import listing, make_tar, regular, symlink
from tests.unit.docker.conftest import ONE, THREE, TWO, Collected
from tests.unit.docker.dataroots import DataRoot, read, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.store import Store

pytestmark = pytest.mark.usefixtures("needs_root")


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def root(tmp_path: Path, driver: str) -> DataRoot:
    """Three layers, two images, a container."""
    made = DataRoot(tmp_path, "overlay2" if driver == "overlay" else "vfs")
    made.layer(THREE, made.layer(TWO, made.layer(ONE)))
    first = made.image(digest(ONE), names=("base:1",))
    app = made.image(digest(ONE), digest(TWO), digest(THREE), names=("app:1", "example.com/x/app:v2"))
    made.note(app, "parent", f"sha256:{first}")
    made.note(app, "lastUpdated", "2026-11-20T19:42:46.633958328Z")
    made.note(app, "builtLocally", "\x01")
    made.container("box", made.chains[2], app)
    return made


def snapshot(path: str) -> dict[str, object]:
    """Everything in a directory: contents, modes, owners, times."""
    found: dict[str, object] = dict(listing(path))
    for folder, names, others in os.walk(path):
        for name in (*names, *others):
            status = os.lstat(os.path.join(folder, name))
            found[os.path.join(folder, name)] = (status.st_mode, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
    return found


def test_what_is_read_and_written_goes_to_any_sink_and_from_any_source(
    root: DataRoot, store: Store, tmp_path: Path
) -> None:
    """A path, which appears whole or not at all, memory, a file; a layer is registered from each of them."""
    from cstore.transfer import export_docker_image

    seen, memory = DockerRoot(root.path), bytearray()
    seen.write_layer(root.chains[0], tmp_path / "layer.tar")
    seen.write_layer(root.chains[0], memory)
    export_docker_image(seen, seen.image("app:1"), tmp_path / "image.tar")

    assert (tmp_path / "layer.tar").read_bytes() == memory == ONE
    assert tarfile.is_tarfile(tmp_path / "image.tar")
    layers = LayerStore(store)
    for source in (tmp_path / "layer.tar", bytes(memory), io.BytesIO(memory)):
        assert layers.register(source).diff_id == digest(ONE)
    shutil.rmtree(root.tree(root.cache_id(root.chains[1])))
    with pytest.raises(CstoreError):
        seen.write_layer(root.chains[1], tmp_path / "damaged.tar")
    assert not (tmp_path / "damaged.tar").exists()


def test_what_is_there(root: DataRoot) -> None:
    """Images with names, notes and sizes; layers; containers."""
    seen = DockerRoot(root.path)
    app = seen.image("app:1")

    assert (seen.driver, seen.flaws, list(seen.orphans)) == (root.driver, [], [])
    assert set(seen.layers) == set(root.chains)
    assert (app.names, app.size, app.built_locally) == (("app:1", "example.com/x/app:v2"), 19, True)
    assert (app.parent, app.last_updated) == (seen.image("base:1").id, "2026-11-20T19:42:46.633958328Z")
    (box,) = seen.containers
    assert (box.name, box.state, box.image, seen.container_size(box)) == ("box", "exited", app.id, 5)


def test_images_and_containers_are_found_as_they_are_typed(root: DataRoot) -> None:
    """By familiar or full name, by ID, by the beginning of one."""
    seen = DockerRoot(root.path)
    app = seen.image("app:1")

    for word in ("docker.io/library/app:1", "example.com/x/app:v2", app.id, app.id[:12], f"sha256:{app.id[:12]}"):
        assert seen.image(word) == app
    for word in ("box", "/box", seen.containers[0].id[:8]):
        assert seen.container(word).name == "box"
    for refused, kind in (
        (lambda: seen.image("app"), ImageUnknown),
        (lambda: seen.image(""), ImageUnknown),
        (lambda: seen.container(""), ContainerUnknown),
        (lambda: seen.container("nope"), ContainerUnknown),
        (lambda: seen.line("sha256:" + "0" * 64), ChainUnknown),
    ):
        with pytest.raises(kind):
            refused()


def test_layers_come_out_as_they_went_in(root: DataRoot) -> None:
    """Byte for byte."""
    for chain, archive in zip(root.chains, (ONE, TWO, THREE), strict=True):
        out = Collected()
        DockerRoot(root.path).write_layer(chain, out)
        assert out.data == archive


def test_a_containers_changes_come_out_as_a_tar(root: DataRoot) -> None:
    """What it added, and a whiteout for what it removed."""
    seen, out = DockerRoot(root.path), Collected()
    seen.write_container(seen.container("box"), out)

    assert sorted(out.names) == [".wh.one.txt", "new"]


def test_an_import_is_what_others_would_have_made(root: DataRoot, store: Store) -> None:
    """Layer IDs, names, config, manifest; and nothing of Docker's notes."""
    seen = DockerRoot(root.path)
    app = seen.image("app:1")
    imported = import_image(seen, app, store)
    record = store.images.get(imported.id)

    assert record.layer == app.config.rootfs.layer_ids[-1]
    assert imported.new_layers == app.config.rootfs.layer_ids
    assert set(record.names) == {"docker.io/library/app:1", "example.com/x/app:v2"}
    assert record.names_history == tuple(reversed(record.names)), "as if they had been added one by one"
    assert record.data_names == (app.config.digest, f"manifest-{record.digest}", "manifest")
    assert store.images.get_data(record.id, app.config.digest) == app.config.raw
    for layer, archive in zip(store.layers.list(), (ONE, TWO, THREE), strict=True):
        assert (layer.diff_digest, layer.compressed_digest) == (digest(archive), digest(archive))
        assert (layer.diff_size, layer.compressed_size, layer.compression) == (len(archive), len(archive), 0)


def test_a_second_import_adds_nothing(root: DataRoot, store: Store) -> None:
    """Layers that are there are used; names come back."""
    seen = DockerRoot(root.path)
    import_image(seen, seen.image("base:1"), store)
    assert len(import_image(seen, seen.image("app:1"), store).new_layers) == 2
    store.set_names(seen.image("app:1").id, ["mine"])
    again = import_image(seen, seen.image("app:1"), store, podman_names=True)

    assert again.new_layers == ()
    assert set(store.images.get(again.id).names) == {"mine", "localhost/app:1", "example.com/x/app:v2"}


def test_nothing_in_the_root_is_written(root: DataRoot, store: Store) -> None:
    """Whatever is done with it."""
    before = snapshot(root.path)
    seen = DockerRoot(root.path)
    for image in seen.images.values():
        import_image(seen, image, store)
    seen.write_container(seen.container("box"), Collected())
    _ = seen.flaws, seen.orphans, seen.warnings, seen.container_size(seen.container("box"))

    assert snapshot(root.path) == before


# ── what may be wrong with it ──


def spoil(path: str, text: str) -> None:
    assert os.path.exists(path)
    write(path, text)


def remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


SPOILT: list[tuple[str, Callable[[DataRoot, str], None], str]] = [
    ("another DiffID", lambda root, chain: spoil(root.record(chain, "diff"), "sha256:" + "1" * 64), "not the ChainID"),
    ("no DiffID", lambda root, chain: remove(root.record(chain, "diff")), "is not a digest"),
    ("short DiffID", lambda root, chain: spoil(root.record(chain, "diff"), "sha256:12"), "is not a digest"),
    ("a size with a newline", lambda root, chain: spoil(root.record(chain, "size"), "6\n"), "is not a size"),
    (
        "a tree elsewhere",
        lambda root, chain: spoil(root.record(chain, "cache-id"), "../../../etc"),
        "does not name a tree",
    ),
    ("no tree", lambda root, chain: remove(root.record(chain, "cache-id")), "does not name a tree"),
]


@pytest.mark.parametrize(("spoilt", "reason"), [case[1:] for case in SPOILT], ids=[case[0] for case in SPOILT])
def test_a_damaged_layer_is_told_of_and_left_out(
    root: DataRoot, spoilt: Callable[[DataRoot, str], None], reason: str
) -> None:
    """With all that stands on it; the rest is there."""
    spoilt(root, root.chains[1])
    seen = DockerRoot(root.path)

    assert list(seen.layers) == [root.chains[0]]
    assert [image.names for image in seen.images.values()] == [("base:1",)]
    assert reason in " ".join(flaw.message for flaw in seen.flaws)


def test_a_record_is_no_link(root: DataRoot) -> None:
    """A link could lead to anything."""
    path = root.record(root.chains[0], "diff")
    os.rename(path, path + "2")
    os.symlink(path + "2", path)

    seen = DockerRoot(root.path)
    assert seen.layers == {}
    assert "not a regular file" in seen.flaws[0].message


def test_images_are_there_without_their_names(root: DataRoot) -> None:
    """If the file of names is damaged, and that is told."""
    write(root.inside("image", root.driver, "repositories.json"), "{")
    seen = DockerRoot(root.path)

    assert [image.names for image in seen.images.values()] == [(), ()]
    assert "not JSON" in seen.flaws[0].message


def test_a_changed_config_is_told_of_and_left_out(root: DataRoot) -> None:
    """The digest is the name."""
    base = DockerRoot(root.path).image("base:1").id
    spoil(root.content(base), read(root.content(base)) + " ")
    seen = DockerRoot(root.path)

    assert base not in seen.images
    assert [type(flaw) for flaw in seen.flaws] == [DockerRootDamaged]


def tamper(root: DataRoot, chain: str, text: str) -> None:
    for name in ("one.txt", "two.txt", "three.txt"):
        path = os.path.join(root.tree(root.cache_id(chain)), name)
        if os.path.exists(path):
            write(path, text[: os.path.getsize(path)])


def test_a_changed_file_stops_an_import_without_a_trace(root: DataRoot, store: Store) -> None:
    """The layers that were brought before it go again; what was there before stays."""
    seen = DockerRoot(root.path)
    import_image(seen, seen.image("base:1"), store)
    before = (list(store.layers.ids()), [image.id for image in store.images.list()])
    tamper(root, root.chains[2], "XXXXXXXXXXXX")

    with pytest.raises(ContentDamaged):
        import_image(seen, seen.image("app:1"), store)
    assert (list(store.layers.ids()), [image.id for image in store.images.list()]) == before


def test_another_tar_split_is_found_at_the_end(root: DataRoot, store: Store) -> None:
    """Every body is right, and the whole is not."""
    shutil.copy(root.record(root.chains[0], "tar-split.json.gz"), root.record(root.chains[1], "tar-split.json.gz"))
    shutil.copy(
        os.path.join(root.tree(root.cache_id(root.chains[0])), "one.txt"),
        root.tree(root.cache_id(root.chains[1])),
    )
    seen = DockerRoot(root.path)

    with pytest.raises(LayerNotVerified):
        import_image(seen, seen.image("app:1"), store)
    assert store.layers.list() == []


def test_a_missing_tree_is_an_error(root: DataRoot, store: Store) -> None:
    """Not an empty layer."""
    shutil.rmtree(root.tree(root.cache_id(root.chains[0])))
    seen = DockerRoot(root.path)

    with pytest.raises(CstoreError):
        import_image(seen, seen.image("base:1"), store)
    assert store.layers.list() == []


def test_a_body_behind_a_link_is_not_read(tmp_path: Path, driver: str, store: Store) -> None:
    """The link leads out of the tree, to a file with the very contents."""
    made = DataRoot(tmp_path, "overlay2" if driver == "overlay" else "vfs")
    chain = made.layer(make_tar(regular("d/secret", b"secret")))
    image = made.image(digest(make_tar(regular("d/secret", b"secret"))))
    tree = made.tree(made.cache_id(chain))
    os.rename(os.path.join(tree, "d"), tmp_path / "outside")
    os.symlink(tmp_path / "outside", os.path.join(tree, "d"))
    seen = DockerRoot(made.path)

    with pytest.raises(ContentDamaged):
        import_image(seen, seen.images[image], store)


def test_an_image_id_with_other_layers_is_refused(root: DataRoot, store: Store) -> None:
    """It is left as it is."""
    seen = DockerRoot(root.path)
    base = seen.image("base:1")
    store.images.create(NewImage(id=base.id, names=("mine",)))

    with pytest.raises(TopLayerDiffers) as refused:
        import_image(seen, base, store)
    assert "uses a different top layer" in refused.value.go_text
    assert store.images.get(base.id).names == ("mine",)
    assert store.layers.list() == []


def test_leftovers_of_the_daemon_are_named(root: DataRoot) -> None:
    """Transactions, half-removed layers, trees without a record."""
    stray = "ab" * 32
    os.makedirs(root.tree(stray))
    removing = root.record(f"{root.chains[0]}-{stray}-removing")
    os.makedirs(removing)
    unfinished = root.inside("image", root.driver, "layerdb/tmp/write-set-1")
    os.makedirs(unfinished)
    home = root.inside(*(("overlay2",) if root.driver == "overlay2" else ("vfs", "dir")), stray)

    assert list(DockerRoot(root.path).orphans) == [removing, unfinished, home]


def test_several_beginnings_are_told(root: DataRoot) -> None:
    """As with images of a store."""
    seen = DockerRoot(root.path)
    digits = "0123456789abcdef"
    begun = [digit for digit in digits if sum(image.startswith(digit) for image in seen.images) > 1]
    number = 0
    while not begun:
        root.image(names=(), comment=str(number))
        number += 1
        seen = DockerRoot(root.path)
        begun = [digit for digit in digits if sum(image.startswith(digit) for image in seen.images) > 1]

    with pytest.raises(AmbiguousImageID):
        seen.image(begun[0])


# ── where it is ──


def test_a_remapped_root_is_one_level_lower(root: DataRoot, tmp_path: Path) -> None:
    """Below a directory called by the remapped owner."""
    outer = tmp_path / "outer"
    outer.mkdir()
    os.rename(root.path, outer / "100000.100000")

    seen = DockerRoot(str(outer))
    mount = seen.containers[0].mount
    assert mount is not None
    tree = root.tree(mount.mount_id).replace(root.path, str(outer / "100000.100000"))
    for folder, _, files in os.walk(tree):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, 100_007, 100_008)
    out = Collected()
    seen.write_container(seen.containers[0], out)
    with tarfile.open(fileobj=io.BytesIO(out.data)) as tar:
        assert (tar.getmember("new").uid, tar.getmember("new").gid) == (7, 8)
    assert len(seen.images) == 2


def test_the_driver_is_asked_for_only_if_there_are_several(root: DataRoot) -> None:
    """Then it is named; one that is not there is refused."""
    os.makedirs(root.inside("image", "zfs", "layerdb"))

    with pytest.raises(InvalidOption) as several:
        DockerRoot(root.path)
    assert "zfs" in several.value.message
    assert len(DockerRoot(root.path, root.driver).images) == 2
    with pytest.raises(InvalidOption):
        DockerRoot(root.path, "aufs")
    with pytest.raises(Unsupported):
        _ = DockerRoot(root.path, "zfs").orphans


def test_what_is_no_data_root_is_refused(tmp_path: Path) -> None:
    """And one whose images are with containerd says so."""
    with pytest.raises(CstoreError):
        DockerRoot(str(tmp_path / "nowhere"))
    with pytest.raises(InvalidOption) as none:
        DockerRoot(str(tmp_path))
    assert "not a Docker data root" in none.value.message
    os.makedirs(tmp_path / "containerd/daemon/io.containerd.content.v1.content/blobs")
    with pytest.raises(Unsupported) as containerd:
        DockerRoot(str(tmp_path))
    assert "containerd" in containerd.value.message


def test_a_hostile_archive_comes_out_and_does_not_come_in(tmp_path: Path, driver: str, store: Store) -> None:
    """Docker unpacks `../../x` as `/x`; such a layer can be exported, and is refused by a store."""
    made = DataRoot(tmp_path, "overlay2" if driver == "overlay" else "vfs")
    plain, hostile = make_tar(regular("x", b"1")), make_tar(regular("../../x", b"1"))
    template = made.layer(plain)
    chain = digest(hostile)
    os.rename(made.record(template), made.record(chain))
    write(made.record(chain, "diff"), chain)
    write(made.record(chain, "tar-split.json.gz"), "")
    _write_tar_split(made.record(chain, "tar-split.json.gz"), hostile)
    image = made.image(chain)
    seen, out = DockerRoot(made.path), Collected()
    seen.write_layer(chain, out)

    assert out.data == hostile
    with pytest.raises(ArchiveHostile):
        import_image(seen, seen.images[image], store)
    assert store.layers.list() == []


def _write_tar_split(path: str, archive: bytes) -> None:
    """Take an archive with one file of one byte apart."""
    import gzip
    from base64 import b64encode

    from fastcrc import crc64

    checksum = crc64.go_iso(archive[512:513]).to_bytes(8, "big")
    segment, entry = (
        '{"type":2,"payload":"%s","position":%d}\n',
        '{"type":1,"name":"%s","size":1,"payload":"%s","position":1}\n',
    )
    text = segment % (b64encode(archive[:512]).decode(), 0)
    text += entry % ("../../x", b64encode(checksum).decode())
    text += segment % (b64encode(archive[513:]).decode(), 2)
    with gzip.open(path, "wb") as file:
        file.write(text.encode())


@pytest.mark.parametrize(
    ("familiar", "docker", "podman"),
    [
        ("child:dup", "docker.io/library/child:dup", "localhost/child:dup"),
        ("foo/bar:1", "docker.io/foo/bar:1", "localhost/foo/bar:1"),
        ("localhost/child:2", "localhost/child:2", "localhost/child:2"),
        ("example.com/x:1", "example.com/x:1", "example.com/x:1"),
        ("host:5000/x:1", "host:5000/x:1", "host:5000/x:1"),
        ("Upper/x:1", "Upper/x:1", "Upper/x:1"),
    ],
)
def test_names_are_completed(familiar: str, docker: str, podman: str) -> None:
    """As Docker means them, or as Podman reads them."""
    assert (full_name(familiar), full_name(familiar, podman=True)) == (docker, podman)


def test_links_in_layers_are_only_text(tmp_path: Path, driver: str, store: Store) -> None:
    """A link out of the layer is imported as it is."""
    made = DataRoot(tmp_path, "overlay2" if driver == "overlay" else "vfs")
    archive = make_tar(symlink("out", "/etc/passwd"), regular("x", b"1"))
    made.layer(archive)
    image = made.image(digest(archive))
    seen = DockerRoot(made.path)
    import_image(seen, seen.images[image], store)
    out = Collected()
    LayerStore(store).look(digest(archive)).write_tar(out)

    assert out.data == archive


def test_what_is_no_name_is_left_out(root: DataRoot) -> None:
    """A newline in a name would make a line of its own."""
    image = root.image(names=("fine:1", "two\nlines:1", "Upper:1", "../up:1", "sp ace:1", "host:5000/x/y_z:v1.2-3"))
    digest_name = f"fine@sha256:{'a' * 64}"
    write(
        root.inside("image", root.driver, "repositories.json"),
        read(root.inside("image", root.driver, "repositories.json")).replace(
            '"fine:1":', f'"{digest_name}": "sha256:{image}", "fine:1":'
        ),
    )
    seen = DockerRoot(root.path).images[image]

    assert seen.names == ("fine:1", "host:5000/x/y_z:v1.2-3")
    assert seen.digests == (digest_name,)
