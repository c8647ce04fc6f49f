"""docker-archives as skopeo and Podman write them, byte for byte (docker 18.1)."""

from __future__ import annotations

from functools import partial
from hashlib import sha256

from cstore import gojson
from cstore.oci.chain import chain_id
from cstore.transfer.packing import add_bytes
from cstore.transfer.rawjson import encoded, raw_object, raw_values
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.archive.streams import Sink
    from cstore.oci.config import ImageConfig
    from cstore.oci.names import ImageName
    from cstore.transfer.manifests import Descriptor
    from cstore.transfer.packing import Package

_OF_TOP = ("architecture", "config", "container", "container_config", "created", "docker_version", "os")
"""The keys of the image's config that the description of the uppermost layer repeats."""


class PackedImage(Value):
    """An image on its way into an archive. `layers` are not compressed; the lowest is first."""

    config: ImageConfig
    layers: tuple[Descriptor, ...]
    names: tuple[ImageName, ...]


def write_docker(package: Package, images: Sequence[PackedImage], write: Callable[[str, Sink], object]) -> None:
    """Write images, each layer and config once. `write` writes the blob of a digest."""
    written: set[str] = set()
    items: list[dict[str, object]] = []
    repositories: dict[str, dict[str, str]] = {}
    for image in images:
        members = [_layer_name(layer.digest) for layer in image.layers]
        for member, layer in zip(members, image.layers, strict=True):
            if member not in written:
                written.add(member)
                package.add(member, layer.size, partial(write, layer.digest))
        config_name = f"{image.config.id}.json"
        if config_name not in written:
            written.add(config_name)
            add_bytes(package, config_name, image.config.raw)
        top = _describe(package, image.config, written)
        for name in image.names:
            repositories.setdefault(name.repository, {})[name.tag] = top
        items.append({"Config": config_name, "RepoTags": [str(name) for name in image.names], "Layers": members})
    add_bytes(package, "manifest.json", gojson.encode(items))
    add_bytes(package, "repositories", gojson.encode(repositories, sort_keys=True))


def _describe(package: Package, config: ImageConfig, written: set[str]) -> str:
    """Write what programs before Docker 1.10 read of each layer; return the uppermost one's old ID."""
    below, diff_ids = "", config.rootfs.diff_ids
    for place, diff_id in enumerate(diff_ids):
        document = {"parent": encoded(below)} if below else {}
        if place == len(diff_ids) - 1:
            of_config = raw_values(config.raw)
            document |= {key: of_config.get(key, "null") for key in _OF_TOP}
        hashed = raw_object({**document, "layer_id": encoded(chain_id(diff_ids[: place + 1]))})
        below = sha256(hashed, usedforsecurity=False).hexdigest()
        if below not in written:
            written.add(below)
            package.link(f"{below}/layer.tar", f"../{_layer_name(diff_id)}")
            add_bytes(package, f"{below}/VERSION", b"1.0")
            add_bytes(package, f"{below}/json", raw_object({**document, "id": encoded(below)}))
    return below


def _layer_name(diff_id: str) -> str:
    return f"{diff_id.partition(':')[2]}.tar"
