"""Media types of manifests and configs in registries, layouts and archives (docker 18.5), and generated manifests."""

from __future__ import annotations

from cstore import gojson
from cstore.digests import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})


# ── generated manifests ──
#
# The manifest of an image whose source has none, byte for byte as skopeo and Podman generate it (docker 16).

LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
"""gzip, although digest and size are of the uncompressed tar: other programs write it, and digests must agree."""


def made_up_manifest(config: bytes, layers: Iterable[tuple[str, int]]) -> bytes:
    """Return the manifest of an image whose source has none.

    Args:
        config: the image JSON.
        layers: DiffID and uncompressed size of each layer, bottom first.
    """
    described = {"mediaType": DOCKER_CONFIG, "size": len(config), "digest": digest_of(config)}
    parts = [{"mediaType": LAYER_TYPE, "size": size, "digest": diff_id} for diff_id, size in layers]
    return gojson.encode({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": described, "layers": parts})
