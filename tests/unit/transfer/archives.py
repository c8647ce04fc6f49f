"""Makers of image archives, member by member, so that a test can change any of them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from tests.builders import make_tar, regular, symlink

if TYPE_CHECKING:
    from collections.abc import Sequence

Members = dict[str, bytes]

OCI = "application/vnd.oci.image"
GZIPPED = f"{OCI}.layer.v1.tar+gzip"
BASE = make_tar(regular("bin/hello", b"hello\n"), regular("etc/os", b"one"))
CHANGE = make_tar(regular("etc/os", b"another"), regular("new", b"n" * 700))
TOP = make_tar(regular("top", b"t"))


def sha(data: bytes) -> str:
    """The digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def as_json(value: object) -> bytes:
    """A value as JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def config_of(layers: Sequence[bytes], **more: Any) -> bytes:
    """The config of an image of these layers."""
    document = {
        "created": "2023-11-14T22:13:21Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/hello"]},
        "rootfs": {"type": "layers", "diff_ids": [sha(layer) for layer in layers]},
        "history": [{"created_by": f"step {place}"} for place in range(len(layers))],
    }
    return as_json({**document, **more})


def docker_archive(
    layers: Sequence[bytes] = (BASE, CHANGE), tags: Sequence[str] | None = ("example.org/app:1",), **config: Any
) -> Members:
    """A docker-archive of one image, as skopeo lays it out."""
    raw = config_of(layers, **config)
    config_name = f"{sha(raw)[7:]}.json"
    names = [f"{sha(layer)[7:]}.tar" for layer in layers]
    item = {"Config": config_name, "RepoTags": tags if tags is None else list(tags), "Layers": names}
    return {**dict(zip(names, layers, strict=True)), config_name: raw, "manifest.json": as_json([item])}


def blob(members: Members, data: bytes) -> str:
    """Add a blob; return its digest."""
    members[f"blobs/{sha(data).replace(':', '/')}"] = data
    return sha(data)


def descriptor(members: Members, media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
    """Add a blob; return what describes it."""
    return {"mediaType": media_type, "digest": blob(members, data), "size": len(data), **more}


def oci_image(members: Members, layers: Sequence[bytes], *, zipped: bool = True, **config: Any) -> dict[str, Any]:
    """Add an image to a layout; return the descriptor of its manifest."""
    bodies = [gzip.compress(layer, mtime=0) if zipped else layer for layer in layers]
    kind = GZIPPED if zipped else f"{OCI}.layer.v1.tar"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": descriptor(members, f"{OCI}.config.v1+json", config_of(layers, **config)),
        "layers": [descriptor(members, kind, body) for body in bodies],
    }
    return descriptor(members, f"{OCI}.manifest.v1+json", as_json(manifest))


def with_index(members: Members, *entries: dict[str, Any]) -> Members:
    """Complete a layout."""
    members["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    members["index.json"] = as_json({"schemaVersion": 2, "manifests": list(entries)})
    return members


def named(entry: dict[str, Any], name: str) -> dict[str, Any]:
    """The same entry with a name."""
    return {**entry, "annotations": {"org.opencontainers.image.ref.name": name}}


def oci_layout(layers: Sequence[bytes] = (BASE, CHANGE), *, zipped: bool = True, **config: Any) -> Members:
    """A layout of one image."""
    members: Members = {}
    return with_index(members, named(oci_image(members, layers, zipped=zipped, **config), "example.org/app:1"))


def platforms_layout(*architectures: str) -> Members:
    """A layout of one image for several platforms, with the same layer below."""
    members: Members = {}
    instances = [
        {
            **oci_image(members, (BASE, make_tar(regular("arch", name.encode()))), architecture=name),
            "platform": {"os": "linux", "architecture": name},
        }
        for name in architectures
    ]
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": instances}
    return with_index(members, named(descriptor(members, f"{OCI}.index.v1+json", as_json(index)), "example.org/many:1"))


def v1_archive() -> Members:
    """An archive as the oldest Docker wrote them: two images, one made from the other."""
    base, child = "a" * 64, "b" * 64
    low = {"id": base, "created": "2014-01-01T00:00:00Z", "architecture": "amd64", "os": "linux"}
    high = {**low, "id": child, "parent": base, "container_config": {"Cmd": ["/bin/sh", "-c", "x"]}, "Size": 5}
    return {
        f"{base}/VERSION": b"1.0",
        f"{base}/json": as_json(low),
        f"{base}/layer.tar": BASE,
        f"{child}/VERSION": b"1.0",
        f"{child}/json": as_json(high),
        f"{child}/layer.tar": CHANGE,
        "repositories": as_json({"example.org/old": {"1": child}}),
    }


def as_tar(members: Members, *, first: Sequence[str] = ()) -> bytes:
    """The members as one tar; `first` come first, a body that begins with `-> ` makes a link."""
    order = [*first, *(name for name in members if name not in first)]
    entries = [
        symlink(name, members[name][3:]) if members[name].startswith(b"-> ") else regular(name, members[name])
        for name in order
    ]
    return make_tar(*entries)


def as_directory(members: Members, path: str) -> str:
    """The members as a directory."""
    for name, body in members.items():
        place = os.path.join(path, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(body)
    return path
