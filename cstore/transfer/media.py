"""Media types: what the parts of an image call themselves (docker 18.5)."""

from __future__ import annotations

from cstore.archive.compression import Compression
from cstore.oci.media_types import (
    CONFIGS,
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEXES,
    MANIFESTS,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)

__all__ = [
    "CONFIGS",
    "DOCKER_CONFIG",
    "DOCKER_INDEX",
    "DOCKER_MANIFEST",
    "INDEXES",
    "LAYERS",
    "MANIFESTS",
    "OCI_CONFIG",
    "OCI_INDEX",
    "OCI_LAYER",
    "OCI_MANIFEST",
    "OCI_SUFFIX",
]

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"

_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar"

DOCKER = frozenset({DOCKER_INDEX, DOCKER_MANIFEST})

UNSPECIFIED = {f"{OCI_LAYER}+xz": Compression.XZ, f"{OCI_LAYER}+bzip2": Compression.BZIP2}
"""Layer types that the specification does not know: Podman loads such images, and cannot save them again."""

LAYERS: dict[str, Compression] = {
    OCI_LAYER: Compression.NONE,
    f"{OCI_LAYER}+gzip": Compression.GZIP,
    f"{OCI_LAYER}+zstd": Compression.ZSTD,
    **UNSPECIFIED,
    _OCI_FOREIGN: Compression.NONE,
    f"{_OCI_FOREIGN}+gzip": Compression.GZIP,
    f"{_OCI_FOREIGN}+zstd": Compression.ZSTD,
    _DOCKER_LAYER: Compression.NONE,
    f"{_DOCKER_LAYER}.gzip": Compression.GZIP,
    f"{_DOCKER_LAYER}.zstd": Compression.ZSTD,
    _DOCKER_FOREIGN: Compression.NONE,
    f"{_DOCKER_FOREIGN}.gzip": Compression.GZIP,
}
"""Layer type → how such a layer says it is compressed."""

DOCKER_LAYERS = frozenset(kind for kind in LAYERS if kind.startswith("application/vnd.docker."))

OCI_SUFFIX: dict[Compression, str] = {Compression.NONE: "", Compression.GZIP: "+gzip", Compression.ZSTD: "+zstd"}
"""The suffixes of `OCI_LAYER` for the compressions of the format."""


def layer_type(compression: Compression, *, docker: bool) -> str:
    """The media type of a layer that is compressed in one of the ways that the formats know."""
    if docker:
        return _DOCKER_LAYER + ("" if compression is Compression.NONE else f".{compression.label}")
    return OCI_LAYER + OCI_SUFFIX[compression]
