"""Faulty archives of images: one row each of the table in docker spec 19, and what must be said of it."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.builders import END, directory, hardlink, make_tar, node, regular, symlink
from tests.unit.transfer.archives import (
    BASE,
    CHANGE,
    OCI,
    TOP,
    as_json,
    as_tar,
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

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.unit.transfer.archives import Members


@dataclass(frozen=True)
class Fault:
    """One archive, and parts of the sentence that refuses it: the member, and what was expected."""

    name: str
    build: Callable[[], bytes]
    told: tuple[str, ...]


FAULTS: list[Fault] = []
BASE_NAME = f"{sha(BASE)[7:]}.tar"


def fault(name: str, *told: str) -> Callable[[Callable[[], Members | bytes]], Callable[[], Members | bytes]]:
    """Put an archive into the table."""

    def add(build: Callable[[], Members | bytes]) -> Callable[[], Members | bytes]:
        def built() -> bytes:
            found = build()
            return found if isinstance(found, bytes) else as_tar(found)

        FAULTS.append(Fault(name, built, told))
        return build

    return add


def docker(change: Callable[[Members], object], **more: Any) -> Members:
    """A docker-archive with a change."""
    members = docker_archive(**more)
    change(members)
    return members


def item(**changes: Any) -> Callable[[Members], None]:
    """A change of the one item of `manifest.json`."""

    def change(members: Members) -> None:
        items = json.loads(members["manifest.json"])
        items[0].update(changes)
        members["manifest.json"] = as_json(items)

    return change


def manifest_with(change: Callable[[dict[str, Any]], object], *, size: int | None = None) -> Members:
    """An OCI layout whose manifest is changed, and named by its new digest."""
    members: Members = {}
    entry = oci_image(members, (BASE, CHANGE))
    document = json.loads(members.pop(f"blobs/sha256/{entry['digest'][7:]}"))
    change(document)
    new = descriptor(members, entry["mediaType"], as_json(document))
    return with_index(members, named({**new, "size": size or new["size"]}, "example.org/app:1"))


def config_with(**changes: Any) -> Members:
    """A docker-archive whose config says something else."""
    return docker_archive(**changes)


# ── layers that are not what was said ──


fault("fewer layers than DiffIDs", "manifest.json, image 0", "names 1 layers", "has 2")(
    lambda: docker(item(Layers=[BASE_NAME]))
)
fault("layer bytes are not of the DiffID", BASE_NAME, f"expected DiffID {sha(BASE)}", sha(TOP))(
    lambda: {**docker_archive(), BASE_NAME: TOP}
)
fault("rubbish for a layer", BASE_NAME, "expected DiffID")(lambda: {**docker_archive(), BASE_NAME: bytes(2048)})
fault("no tar for a layer", BASE_NAME)(lambda: {**docker_archive(), BASE_NAME: b"rubbish" * 200})
fault("OCI config names other DiffIDs", "expected DiffID", sha(TOP))(
    lambda: oci_layout(rootfs={"type": "layers", "diff_ids": [sha(BASE), sha(TOP)]})
)
fault("fewer DiffIDs than layers", "names 2 layers", "config has 1")(
    lambda: oci_layout(rootfs={"type": "layers", "diff_ids": [sha(BASE)]}, history=[])
)
fault("layer file missing", BASE_NAME, "this member, which", "manifest.json, image 0")(
    lambda: docker(lambda members: members.pop(BASE_NAME))
)
fault("layer twice the same path", "twice", "blobs/sha256")(
    lambda: oci_layout((make_tar(regular("twice", b"1"), regular("twice", b"2")),))
)
fault("layer entry climbs", "'../../x'")(lambda: docker_archive((make_tar(regular("../../x", b"1")),)))
fault("hard link out of the layer", "its target etc/passwd does not exist")(
    lambda: docker_archive((make_tar(hardlink("x", "/etc/passwd")),))
)
fault("layer is cut", "unexpected EOF")(lambda: docker_archive((BASE[:1200],)))
fault("layer stream is cut", "blobs/sha256", "gzip")(lambda: _layer_of(gzip.compress(BASE, mtime=0)[:-9]))


def _layer_of(body: bytes) -> Members:
    members: Members = {}
    manifest = {
        "schemaVersion": 2,
        "config": descriptor(members, f"{OCI}.config.v1+json", docker_config((BASE,))),
        "layers": [descriptor(members, f"{OCI}.layer.v1.tar+gzip", body)],
    }
    return with_index(members, descriptor(members, f"{OCI}.manifest.v1+json", as_json(manifest)))


def docker_config(layers: tuple[bytes, ...]) -> bytes:
    """The config of an image of these layers."""
    return next(body for name, body in docker_archive(layers).items() if name.endswith(".json"))


# ── blobs that are not what was said ──


def _altered(place: int, change: Callable[[bytes], bytes], *, zipped: bool = True) -> Members:
    members = oci_layout(zipped=zipped)
    names = [name for name in members if name.startswith("blobs/")]
    members[names[place]] = change(members[names[place]])
    return members


fault("OCI config altered", "blobs/sha256/", "expected digest")(
    lambda: _altered(0, lambda body: body.replace(b"hello", b"hallo"))
)
fault("OCI layer altered", "blobs/sha256/", "expected digest")(
    lambda: _altered(1, lambda body: body.replace(b"hello\n", b"hallo\n"), zipped=False)
)
fault("OCI manifest altered, file name kept", "blobs/sha256/", "expected digest")(
    lambda: _altered(3, lambda body: body.replace(b"schemaVersion", b"schemaversion"))
)
fault("manifest size wrong in the index", "expected 7 bytes")(lambda: manifest_with(lambda _: None, size=7))
fault("layer size wrong", "blobs/sha256/", "expected 3 bytes")(
    lambda: manifest_with(lambda document: document["layers"][0].update(size=3))
)
fault("config size wrong", "blobs/sha256/", "expected 3 bytes")(
    lambda: manifest_with(lambda document: document["config"].update(size=3))
)
fault("layer blob missing", "blobs/sha256/", "this member, which")(
    lambda: {name: body for name, body in oci_layout().items() if body[:2] != b"\x1f\x8b"}
)
fault("manifest missing", "this member, which")(
    lambda: {k: v for k, v in oci_layout().items() if b'"layers":' not in v}
)
fault("digest is a path", "index.json: manifests[0]", "expected a digest")(
    lambda: with_index({}, {"mediaType": f"{OCI}.manifest.v1+json", "digest": "sha256:../../../etc/passwd", "size": 1})
)
fault("negative size", "index.json: manifests[0]", "expected a size")(
    lambda: with_index({}, {"mediaType": f"{OCI}.manifest.v1+json", "digest": sha(b""), "size": -1})
)
fault("blob in a docker-archive is not of its name", f"blobs/sha256/{sha(BASE)[7:]}", "expected digest")(
    lambda: docker(item(Config=f"blobs/sha256/{sha(BASE)[7:]}")) | {f"blobs/sha256/{sha(BASE)[7:]}": docker_config(())}
)


# ── documents that make no sense ──


fault("unknown layout version", "oci-layout", "found '2.0.0'")(
    lambda: {**oci_layout(), "oci-layout": b'{"imageLayoutVersion":"2.0.0"}'}
)
fault("unknown layer type", "layer 0", "application/x-zoo")(
    lambda: manifest_with(lambda document: document["layers"][0].update(mediaType="application/x-zoo"))
)
fault("an artifact", "artifact", "application/x-sbom")(
    lambda: manifest_with(lambda document: document["config"].update(mediaType="application/x-sbom"))
)
fault("manifest could be an index too", "is ambiguous", "manifests")(
    lambda: manifest_with(lambda document: document.update(manifests=[]))
)
fault("schema 1", "in the old form, schema 1")(lambda: manifest_with(lambda document: document.update(schemaVersion=1)))
fault("index calls a manifest an index", "expected", "image.index")(
    lambda: _mistyped(f"{OCI}.index.v1+json", f"{OCI}.manifest.v1+json")
)
fault("manifest of an unknown type", "expected a manifest or an index", "application/x-zoo")(
    lambda: _mistyped("application/x-zoo")
)
fault("endless indexes", "deep")(lambda: _nested(9))
fault("history longer than layers", "has 3 layers", "image has 2")(
    lambda: config_with(history=[{"created_by": "x"}] * 3)
)
fault("no rootfs", ".json", "no rootfs")(lambda: config_with(rootfs=None))
fault("config is no JSON", "not JSON")(lambda: {**docker(item(Config="c.json")), "c.json": b"{"})
fault("DiffID of another form", "DiffID of layer 0", "sha256")(
    lambda: config_with(rootfs={"type": "layers", "diff_ids": ["sha512:" + "a" * 128, sha(CHANGE)]})
)
fault("manifest.json is null", "manifest.json", "found null")(lambda: {**docker_archive(), "manifest.json": b"null"})
fault("manifest.json is empty", "contains no image")(lambda: {**docker_archive(), "manifest.json": b"[]"})
fault("manifest.json is no JSON", "manifest.json", "not JSON")(lambda: {**docker_archive(), "manifest.json": b"[{]"})
fault("manifest.json is too large", "manifest.json", "more than the allowed 1048576")(
    lambda: {**docker_archive(), "manifest.json": b" " * (1 << 20) + b"[]"}
)
fault("one image thousands of times", "manifest.json", "1001 images")(
    lambda: docker(lambda members: members.update({"manifest.json": as_json([{"Config": "c", "Layers": []}] * 1001)}))
)
fault("one entry thousands of times", "more than 1000 images")(lambda: _repeated(1001))
fault("config is too large", ".json", "more than the allowed 4194304")(lambda: config_with(comment="x" * (4 << 20)))
fault("index is too large", "index.json", "more than the allowed 4194304")(
    lambda: {**oci_layout(), "index.json": b" " * (4 << 20) + b"{}"}
)
fault("number that is none", "manifest.json", "not JSON")(lambda: {**docker_archive(), "manifest.json": b"[NaN]"})
fault("document in another encoding", "manifest.json", "not JSON")(
    lambda: {**docker_archive(), "manifest.json": '"[]"'.encode("utf-16")}
)
fault("manifest.json is a manifest", "manifest.json", "expected a list")(
    lambda: {**docker_archive(), "manifest.json": b'{"schemaVersion":2}'}
)
fault("manifest.json is deep", "manifest.json", "not JSON")(
    lambda: {**docker_archive(), "manifest.json": b"[" * 200_000}
)
fault("Layers is no list", "manifest.json, image 0", "'Layers'")(lambda: docker(item(Layers="x")))
fault("bad tag", "library/UPPER", "not in lower case")(lambda: docker(item(RepoTags=["UPPER:1"])))
fault("name without a tag", "'nameonly'", "no tag")(lambda: docker(item(RepoTags=["nameonly"])))
fault("bad name in an index", "index.json", "sha256:")(lambda: _image_named("Bad Name"))
fault("too many layers", "501 layers")(lambda: docker_archive([TOP] * 501, history=[]))
fault("oldest form: unknown image", "repositories", "found 'zz'")(
    lambda: {**v1_archive(), "repositories": b'{"a":{"1":"zz"}}'}
)
fault("oldest form: parents in a ring", "form a loop")(
    lambda: {**v1_archive(), f"{'a' * 64}/json": as_json({"id": "a" * 64, "parent": "b" * 64})}
)
fault("oldest form: an image ID that is no text", "repositories", "found []")(
    lambda: {**v1_archive(), "repositories": b'{"a":{"1":[]}}'}
)
fault("oldest form: a parent that is no text", "/json", "found ['a']")(
    lambda: {**v1_archive(), f"{'b' * 64}/json": as_json({"id": "b" * 64, "parent": ["a"]})}
)
fault("no platform suits", "no image for")(lambda: platforms_layout("made-up", "another"))


def _mistyped(said: str, found: str = "") -> Members:
    members: Members = {}
    entry = oci_image(members, (BASE,))
    assert not found or entry["mediaType"] == found
    return with_index(members, {**entry, "mediaType": said})


def _repeated(times: int) -> Members:
    members: Members = {}
    return with_index(members, *[oci_image(members, (BASE,))] * times)


def _image_named(name: str) -> Members:
    members: Members = {}
    return with_index(members, named(oci_image(members, (BASE,)), name))


def _nested(depth: int) -> Members:
    members: Members = {}
    entry = {**oci_image(members, (BASE,)), "platform": {"os": "linux", "architecture": "amd64"}}
    for _ in range(depth):
        raw = as_json({"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [entry]})
        entry = descriptor(members, f"{OCI}.index.v1+json", raw)
    return with_index(members, entry)


# ── members that lead elsewhere ──


fault("config outside of the archive", "../../etc/passwd", "not a member")(
    lambda: docker(item(Config="../../etc/passwd"))
)
fault("config with an absolute name", "etc/passwd", "this member, which")(lambda: docker(item(Config="/etc/passwd")))
fault("layer outside of the archive", "../x.tar", "not a member")(
    lambda: docker(item(Layers=["../x.tar", f"{sha(CHANGE)[7:]}.tar"]))
)
fault("member climbs", "../evil", "leads out")(lambda: make_tar(regular("../evil", b"x")))
fault("member climbs and comes back", "a/../../a", "leads out")(lambda: make_tar(regular("a/../../a", b"x")))
fault("link out of the archive", "manifest.json", "leads out")(
    lambda: make_tar(symlink("manifest.json", "../../etc/passwd"))
)
fault("absolute link", "manifest.json", "not a file of the archive")(
    lambda: make_tar(symlink("manifest.json", "/etc/passwd"))
)
fault("links in a ring", "manifest.json", "form a loop")(
    lambda: make_tar(symlink("manifest.json", "b"), symlink("b", "manifest.json"))
)
fault("link to nothing", "manifest.json", "not a file of the archive")(lambda: make_tar(symlink("manifest.json", "b")))
fault("a device for a document", "manifest.json", "regular file")(lambda: make_tar(node("manifest.json", b"3", (1, 5))))
fault("a directory for a document", "not an archive of images")(lambda: make_tar(directory("manifest.json")))
fault("one member twice", "manifest.json", "twice")(
    lambda: as_tar(docker_archive())[: -len(END)] + make_tar(regular("./manifest.json", b"[]"))
)


# ── archives that are none ──


fault("the tar of a layer", "not an archive of images", "manifest.json")(lambda: BASE)
fault("an empty tar", "not an archive of images")(lambda: END)
fault("rubbish", "not a valid tar")(lambda: b"rubbish" * 100)
fault("cut in a member", "unexpected EOF")(lambda: as_tar(docker_archive())[:1500])
fault("a document that is a blob of another", "is ambiguous")(
    lambda: _of_one(b'{"schemaVersion":2,"manifests":[],"layers":[]}')
)


def _of_one(raw: bytes) -> Members:
    members: Members = {}
    return with_index(members, descriptor(members, f"{OCI}.manifest.v1+json", raw))
