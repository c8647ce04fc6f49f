"""Create an image record like skopeo and Podman, for an image whose source has no manifest (docker 16)."""

from __future__ import annotations

from cstore.digests import digest_of
from cstore.oci.media_types import made_up_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.oci.config import ImageConfig
    from cstore.records.model import Layer
    from cstore.store import Store


def make_image(store: Store, config: ImageConfig, line: Sequence[Layer]) -> None:
    """Create an image without names.

    Args:
        store: the store.
        config: the config; its digest is the ID.
        line: the image's layers, bottom first.
    """
    from cstore.store import NewImage

    manifest = made_up_manifest(config.raw, [(layer.diff_digest, layer.diff_size) for layer in line])
    data = {config.digest: config.raw, f"manifest-{digest_of(manifest)}": manifest, "manifest": manifest}
    top = line[-1].id if line else ""
    store.images.create(NewImage(id=config.id, layer=top, created=config.created, metadata="{}", data=data))
