"""Archives as odd tools and hands make them: each has one answer, from a file, a pipe, and compressed in two ways."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import tempfile
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest

from cstore.errors import CstoreError, ImageArchiveError
from tests.builders import compress, directory, hardlink, make_tar, regular, symlink
from tests.property.test_load_any_archive import load_archive, store_in
from tests.unit.transfer.archives import (
    BASE,
    CHANGE,
    OCI,
    as_directory,
    as_json,
    as_tar,
    blob,
    config_of,
    descriptor,
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
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cstore.store import Store
    from tests.builders import Entry
    from tests.unit.transfer.archives import Members
    from tests.unit.transfer.conftest import Load

NAME = "example.org/app:1"
PAIR = (BASE, CHANGE)
IMAGE = sha(config_of(PAIR))[7:]
ESTARGZ = gzip.compress(BASE[:-1024], mtime=0) + gzip.compress(BASE[-1024:], mtime=0) + gzip.compress(b"", mtime=0)
FRAME = b"\x50\x2a\x4d\x18\x08\x00\x00\x00chunked!"
"""A frame of zstd that a reader skips."""


def answer(archive: bytes, *, stream: bool) -> dict[str, tuple[str, ...]] | str:
    """The images that come of it with their names; or the sentence that refuses it, and then nothing is left."""
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(folder)
        try:
            load_archive(store, archive, stream=stream)
        except CstoreError as error:
            assert not store.layers.list()
            assert not store.images.list()
            assert not store.layers.trees()
            return f"{error.message} ({error.hint})"
        return {image.id: image.names for image in store.images.list()}


def forms(archive: bytes) -> Iterator[tuple[bytes, bool]]:
    """The archive in all forms, and whether it comes through a pipe."""
    for stream in (False, True):
        for packed in ("", "gzip", "zstd"):
            yield (compress(archive, packed) if packed else archive), stream


def in_folder(members: Members, folder: str = "layout", *, and_its_entry: bool = True) -> bytes:
    """The members below a directory, as tar packs one."""
    entries = [directory(folder)] if and_its_entry else []
    return make_tar(*entries, *(regular(f"{folder}/{name}", body) for name, body in members.items()))


def changed(change: Callable[[dict[str, Any]], object], *, zipped: bool = True) -> Members:
    """A layout whose manifest is another one."""
    members: Members = {}
    entry = oci_image(members, PAIR, zipped=zipped)
    document = json.loads(members.pop(f"blobs/{entry['digest'].replace(':', '/')}"))
    change(document)
    return with_index(members, named(descriptor(members, entry["mediaType"], as_json(document)), NAME))


def without_types(*places: str) -> Members:
    """A layout in which descriptors do not say what they describe: those of `places`."""

    def change(document: dict[str, Any]) -> None:
        if "config" in places:
            del document["config"]["mediaType"]
        for layer in document["layers"] if "layers" in places else ():
            del layer["mediaType"]
        if "manifest" in places:
            del document["mediaType"]

    members = changed(change)
    index = json.loads(members["index.json"])
    if "index" in places:
        del index["manifests"][0]["mediaType"]
    return {**members, "index.json": as_json(index)}


def beside_an_image(**entry: Any) -> Members:
    """A layout that has a blob of no type as well."""
    members: Members = {}
    image = named(oci_image(members, PAIR), NAME)
    other = {"digest": blob(members, b"not of JSON"), "size": 11, **entry}
    return with_index(members, image, other)


def without_size() -> Members:
    """A layout whose index does not say how large the manifest is."""
    members = oci_layout()
    index = json.loads(members["index.json"])
    del index["manifests"][0]["size"]
    return {**members, "index.json": as_json(index)}


def nested(depth: int, *, typed: bool = True) -> Members:
    """A layout with the image in an index in an index."""
    members: Members = {}
    entry = oci_image(members, PAIR)
    for _ in range(depth):
        kind = f"{OCI}.index.v1+json"
        entry = descriptor(members, kind, as_json({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}))
        if not typed:
            del entry["mediaType"]
    return with_index(members, named(entry, NAME))


def attestations_only() -> Members:
    """A layout in which nothing is an image."""
    members = changed(lambda document: document["layers"][1].update(mediaType="application/vnd.in-toto+json"))
    index = json.loads(members["index.json"])
    index["manifests"][0]["platform"] = {"os": "unknown", "architecture": "unknown"}
    return {**members, "index.json": as_json(index)}


def sha512_layers() -> Members:
    """A layout that names its layers by SHA-512."""
    members = changed(
        lambda document: [
            layer.update(digest=f"sha512:{hashlib.sha512(gzip.compress(body, mtime=0)).hexdigest()}")
            for layer, body in zip(document["layers"], PAIR, strict=True)
        ]
    )
    for body in PAIR:
        zipped = gzip.compress(body, mtime=0)
        members[f"blobs/sha512/{hashlib.sha512(zipped).hexdigest()}"] = zipped
    return members


def layers_as(pack: Callable[[bytes], bytes], suffix: str) -> Members:
    """A layout whose layers are compressed so."""

    def change(document: dict[str, Any]) -> None:
        document["layers"] = [descriptor(more, f"{OCI}.layer.v1.tar{suffix}", pack(body)) for body in PAIR]

    more: Members = {}
    return {**changed(change), **more}


def with_links(link: Callable[[str, str], Entry]) -> bytes:
    """A docker-archive of which the second of two equal layers is a link to the first."""
    layers = (BASE, BASE)
    names = ["1/layer.tar", "2/layer.tar"]
    config = config_of(layers)
    document = [{"Config": "c.json", "RepoTags": [NAME], "Layers": names}]
    return make_tar(
        regular(names[0], BASE), link(names[1], names[0]), regular("c.json", config),
        regular("manifest.json", as_json(document)),
    )  # fmt: skip


def beside_in_an_index(*places: dict[str, Any], artifact: dict[str, Any]) -> Members:
    """A layout with an index of an artifact and then an image, each with what `places` and `artifact` add to it."""
    members: Members = {}
    parts = {"config": descriptor(members, "application/vnd.oci.empty.v1+json", b"{}"), "layers": []}
    manifest = as_json({"schemaVersion": 2, "artifactType": "application/spdx+json", **parts})
    other = descriptor(members, f"{OCI}.manifest.v1+json", manifest, **artifact)
    entries = [other, *({**oci_image(members, PAIR), **place} for place in places)]
    index = as_json({"schemaVersion": 2, "manifests": entries})
    return with_index(members, named(descriptor(members, f"{OCI}.index.v1+json", index), NAME))


def of_docker(**item: Any) -> Members:
    """A docker-archive whose entry says something else."""
    members = docker_archive()
    (document,) = json.loads(members["manifest.json"])
    return {**members, "manifest.json": as_json([{**document, **item}])}


def named_in_the_index() -> Members:
    """Documents of both kinds, of which only the index has the name: it gives it to an index of the image."""
    layout = beside_in_an_index({}, artifact={})
    return {**layout, **of_docker(RepoTags=None)}


def in_lower_case() -> Members:
    """A docker-archive whose keys are all in lower case."""
    (document,) = json.loads(docker_archive()["manifest.json"])
    return {**docker_archive(), "manifest.json": as_json([{key.lower(): value for key, value in document.items()}])}


def sparse(form: str) -> bytes:
    """A docker-archive that `tar -S` has packed, with a layer that has a hole."""
    with tempfile.TemporaryDirectory() as folder:
        as_directory(docker_archive(HOLED), folder)
        for name in os.listdir(folder):
            subprocess.run(["fallocate", "--dig-holes", os.path.join(folder, name)], check=True)
        command = ["tar", "-cS", f"--format={form}", "-C", folder, "."]
        packed = subprocess.run(command, capture_output=True, check=True).stdout
    assert len(packed) < len(HOLED[0])
    return packed


def zip_file() -> bytes:
    """What is no tar."""
    raw = BytesIO()
    with ZipFile(raw, "w") as file:
        file.writestr("manifest.json", "[]")
    return raw.getvalue()


HOLED = (make_tar(regular("zeros", bytes(1 << 19)), regular("after", b"1")),)
HOST = {"platform": {"os": "linux", "architecture": "amd64"}}
ONE: dict[str, tuple[str, ...]] = {IMAGE: (NAME,)}
TWICE = sha(config_of((BASE, BASE)))[7:]

TAKEN: dict[str, tuple[Callable[[], bytes], object]] = {
    "a docker-archive without names": (lambda: as_tar(docker_archive(tags=None)), {IMAGE: ()}),
    "two names": (lambda: as_tar(docker_archive(tags=[NAME, "example.org/b:2"])), {IMAGE: ("example.org/b:2", NAME)}),
    "names with dots before": (lambda: in_folder(docker_archive(), "."), ONE),
    "the manifest last": (lambda: as_tar(docker_archive()), ONE),
    "the manifest first": (lambda: as_tar(docker_archive(), first=["manifest.json"]), ONE),
    "a layer that is a hard link": (lambda: with_links(hardlink), {TWICE: (NAME,)}),
    "a layer that is a symbolic link": (
        lambda: with_links(lambda new, old: symlink(new, f"../{old}")),
        {TWICE: (NAME,)},
    ),
    "layers that are not compressed": (lambda: as_tar(oci_layout(zipped=False)), ONE),
    "layers by sha512": (lambda: as_tar(sha512_layers()), ONE),
    "zstd layers with frames to skip": (
        lambda: as_tar(layers_as(lambda body: FRAME + compress(body, "zstd") + FRAME, "+zstd")),
        ONE,
    ),
    "gzip layers of several members": (
        lambda: as_tar(layers_as(lambda body: ESTARGZ if body == BASE else gzip.compress(body), "+gzip")),
        ONE,
    ),
    "an index in an index": (lambda: as_tar(nested(2)), ONE),
    "an index in an index, of no type": (lambda: as_tar(nested(2, typed=False)), ONE),
    "an entry of the index without a type": (lambda: as_tar(without_types("index")), ONE),
    "a config without a type": (lambda: as_tar(without_types("config")), ONE),
    "layers without types": (lambda: as_tar(without_types("layers")), ONE),
    "nothing has a type": (lambda: as_tar(without_types("index", "manifest", "config", "layers")), ONE),
    "a blob of no type beside the image": (lambda: as_tar(beside_an_image()), ONE),
    "bytes after the end": (lambda: as_tar(docker_archive()) + b"\0" * 10_240, ONE),
    "an artifact beside the image, in an index": (lambda: as_tar(beside_in_an_index({}, artifact={})), ONE),
    "an artifact for this machine": (lambda: as_tar(beside_in_an_index(HOST, artifact=HOST)), ONE),
    "a name that only the index has": (lambda: as_tar(named_in_the_index()), ONE),
    "a name that says that there is none": (lambda: as_tar(of_docker(RepoTags=["<none>:<none>"])), {IMAGE: ()}),
    "keys in lower case": (lambda: as_tar(in_lower_case()), ONE),
    "layers of xz": (lambda: as_tar(layers_as(lambda body: compress(body, "xz"), "+xz")), ONE),
    "layers of bzip2": (lambda: as_tar(layers_as(lambda body: compress(body, "bzip2"), "+bzip2")), ONE),
    "a manifest without a version": (lambda: as_tar(changed(lambda document: document.pop("schemaVersion"))), ONE),
    "an entry of the index without a size": (lambda: as_tar(without_size()), ONE),
    "packed by tar -S": (lambda: sparse("gnu"), {sha(config_of(HOLED))[7:]: (NAME,)}),
    "packed by tar -S as PAX": (lambda: sparse("pax"), {sha(config_of(HOLED))[7:]: (NAME,)}),
    "a link out of the archive that nobody needs": (
        lambda: make_tar(symlink("README", "../../etc/passwd"))[:512] + as_tar(docker_archive()),
        ONE,
    ),
    "a text that comes twice": (
        lambda: make_tar(*[regular("README", b"x")] * 2)[:2048] + as_tar(docker_archive()),
        ONE,
    ),
    "a layout in a directory": (lambda: in_folder(oci_layout()), ONE),
    "a layout in a directory without an entry": (lambda: in_folder(oci_layout(), and_its_entry=False), ONE),
    "a layout two directories down": (lambda: in_folder(oci_layout(), "a/b"), ONE),
    "a docker-archive in a directory": (lambda: in_folder(docker_archive()), ONE),
    "a layout beside a text": (lambda: make_tar(regular("README", b"text"))[:1024] + in_folder(oci_layout()), ONE),
}

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "two layouts": (lambda: in_folder(oci_layout(), "a")[:-1024] + in_folder(oci_layout(), "b"), r"'a', 'b' .*load"),
    "a layout deep down": (lambda: in_folder(oci_layout(), "a/b/c/d"), "contains one: 'a/b/c/d'"),
    "a root file system": (lambda: BASE, "not an archive of images.*cstore import creates an image"),
    "a root file system with a layout": (
        lambda: make_tar(regular("etc/passwd", b"x"))[:1024] + in_folder(oci_layout(), "opt"),
        "contains one: 'opt'",
    ),
    "a root file system with a manifest": (
        lambda: make_tar(regular("etc/passwd", b"x"), regular("srv/manifest.json", b"{}")),
        "cstore import creates",
    ),
    "only attestations": (lambda: as_tar(attestations_only()), "unknown media type .application/vnd.in-toto"),
    "only a blob of no type": (
        lambda: as_tar(with_index({f"blobs/sha256/{sha(b'x')[7:]}": b"x"}, {"digest": sha(b"x"), "size": 1})),
        "not a manifest",
    ),
    "a type that is a number": (lambda: as_tar(beside_an_image(mediaType=5)), "expected a text under 'mediaType'"),
    "the same member twice": (lambda: as_tar(docker_archive())[:-1024] + as_tar(docker_archive()), "occurs twice"),
    "a link out of the archive": (
        lambda: make_tar(symlink("manifest.json", "/etc/passwd"), *(regular(*pair) for pair in oci_layout().items())),
        "manifest.json.*which is not a file of the archive",
    ),
    "another machine only": (lambda: as_tar(platforms_layout("riscv64", "s390x")), "no image for"),
    "gzip in gzip": (lambda: gzip.compress(gzip.compress(as_tar(docker_archive()))), "gzip"),
    "zip": (zip_file, "[Zz][Ii][Pp]"),
    "cpio": (lambda: b"070701" + b"0" * 600, "cpio"),
    "deb": (lambda: b"!<arch>\ndebian-binary   " + b"0" * 600, "ar archive|deb"),
    "lz4": (lambda: b"\x04\x22\x4d\x18" + b"\0" * 600, "lz4"),
    "lzip": (lambda: b"LZIP\x01" + b"\0" * 600, "lzip"),
    "a layer that is elsewhere": (
        lambda: as_tar(
            {
                name: body
                for name, body in of_docker(LayerSources={sha(CHANGE): {"urls": ["https://example.org/l"]}}).items()
                if name != f"{sha(CHANGE)[7:]}.tar"
            }
        ),
        r"but at https://example\.org/l",
    ),
    "a layer that comes twice": (
        lambda: as_tar(oci_layout(zipped=False))[:-1024] + make_tar(regular(f"blobs/sha256/{sha(BASE)[7:]}", BASE)),
        "occurs twice",
    ),
    "a document in UTF-16": (
        lambda: as_tar({**docker_archive(), "manifest.json": "[]".encode("utf-16")}),
        "manifest.json: it is not JSON",
    ),
    "a name without a tag": (lambda: as_tar(docker_archive(tags=["app"])), "has no tag.*--tag"),
    "a document": (lambda: as_json({"schemaVersion": 2}) + b" " * 600, "a JSON document"),
    "a pointer of Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n", "Git LFS"),
    "zstd in zstd, with a frame to skip": (lambda: compress(FRAME + compress(BASE, "zstd"), "zstd"), "zstd inside"),
    "nothing": (lambda: b"", "empty|no tar|not an archive"),
    "cut": (lambda: as_tar(docker_archive())[:1500], "ends"),
}


@pytest.mark.parametrize(("make", "wanted"), TAKEN.values(), ids=TAKEN)
@pytest.mark.usefixtures("needs_root")
def test_it_is_taken_from_every_form(make: Callable[[], bytes], wanted: object) -> None:
    """The same image with the same names."""
    for archive, stream in forms(make()):
        assert answer(archive, stream=stream) == wanted


@pytest.mark.parametrize(("make", "said"), REFUSED.values(), ids=REFUSED)
@pytest.mark.usefixtures("needs_root")
def test_it_is_refused_in_every_form(make: Callable[[], bytes], said: str) -> None:
    """With a sentence that says what it is, and nothing left behind."""
    for archive, stream in forms(make()):
        got = answer(archive, stream=stream)
        assert isinstance(got, str)
        assert re.search(said, got), got


def test_a_layout_in_a_directory_of_a_directory(store: Store, tmp_path: Path) -> None:
    """One is taken; of two, both are named."""
    as_directory(oci_layout(), str(tmp_path / "got/layout"))
    assert load_path(store, str(tmp_path / "got")).images[0].names == (NAME,)
    as_directory(docker_archive(), str(tmp_path / "got/other"))

    with pytest.raises(ImageArchiveError, match="contains some: 'layout', 'other'"):
        load_path(store, str(tmp_path / "got"))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (without_types("config"), "does not give the types of its parts"),
        (without_types("layers"), "does not give the types of its parts"),
        (layers_as(lambda body: compress(body, "xz"), "+xz"), r"a layer of the type 'application/.*\+xz'"),
    ],
)
def test_a_manifest_that_podman_cannot_use_is_not_kept(
    store: Store, load_bytes: Load, members: Members, said: str
) -> None:
    """Podman lists no image of its store, or cannot save it: one that is made of the config takes its place."""
    told = load_bytes(as_tar(members))
    document = json.loads(store.images.get_data(IMAGE, "manifest"))

    assert all(part.get("mediaType") for part in (document, document["config"], *document["layers"]))
    assert not any("xz" in part["mediaType"] for part in document["layers"])
    assert re.search(said, told.warnings[0])


def test_a_variant_is_chosen(store: Store, load_bytes: Load) -> None:
    """Of images for several kinds of one machine, the one that was asked for."""
    members: Members = {}
    instances = [
        {
            **oci_image(members, (BASE,), architecture="arm", variant=variant),
            "platform": {"os": "linux", "architecture": "arm", "variant": variant},
        }
        for variant in ("v5", "v7", "v6")
    ]
    archive = as_tar(with_index(members, *instances))
    load_bytes(archive, platform="linux/arm/v7")

    wanted = sha(config_of((BASE,), architecture="arm", variant="v7"))[7:]
    assert [image.id for image in store.images.list()] == [wanted]


def test_the_oldest_form_keeps_both_images() -> None:
    """`repositories` alone names the one that the other was made from."""
    got = answer(as_tar(v1_archive()), stream=True)

    assert isinstance(got, dict)
    assert ("example.org/old:1",) in got.values()
