"""Media types: what the parts of an image call themselves (docker 18.5)."""

from __future__ import annotations

from cstore.archive.compression import Compression

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar"

INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})

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

OCI_SUFFIX: dict[Compression, str] = {Compression.NONE: "", Compression.GZIP: "+gzip", Compression.ZSTD: "+zstd"}
"""What follows `OCI_LAYER` for the compressions that the format knows."""
