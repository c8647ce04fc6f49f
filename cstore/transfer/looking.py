"""What is known of an image that is not in a store yet: its manifest, its config, its platforms. No layer is read."""

from __future__ import annotations

from cstore.arguments import checked
from cstore.digests import digest_of
from cstore.errors import ImageArchiveError
from cstore.insight.configs import ConfigSummary, summary
from cstore.oci.platforms import show_platform, wanted_platform
from cstore.transfer.manifests import Descriptor, Index, Manifest, is_image
from cstore.transfer.oci_layout import Choice, chosen_instances
from cstore.transfer.plan import read_config
from cstore.transfer.sources import read_blob, read_document
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.transfer.contract import ImageSource

_DEEPEST = 4


class SeenImage(Value):
    """An image of a source.

    Attributes:
        shown: where it is.
        name: its full name, "" if it has none.
        digest: digest of the index or manifest that its name refers to.
        media_type: of that.
        platforms: of an index: platform and digest of each of its images.
        manifest_digest: of the manifest of the image that was chosen.
        id: the ID that it would have in a store; "" if it is not an image.
        size: bytes of its blobs, as they would be fetched.
        layers: descriptor and DiffID of each layer, bottom first.
        config: a summary of its config; None if it is not an image.
    """

    shown: str
    name: str
    digest: str
    media_type: str
    platforms: tuple[tuple[str, str], ...]
    manifest_digest: str
    id: str
    size: int
    layers: tuple[tuple[Descriptor, str], ...]
    config: ConfigSummary | None


@checked
def look(source: ImageSource, platform: str = "") -> SeenImage:
    """Read what an image's documents say; of an index, those of the image for a platform ("": that of this machine).

    Raises:
        ImageArchiveError: a document is not what it should be, or no platform suits.
        RegistryError: it cannot be had.
    """
    top = document = read_document(source, artifacts=True)
    choice = Choice(wanted_platform(platform))
    for _ in range(_DEEPEST):
        if isinstance(document, Manifest):
            break
        entry = chosen_instances(document.manifests, choice, source.shown)[0]
        document = read_document(source, entry, artifacts=True)
    if not isinstance(document, Manifest):
        raise ImageArchiveError(source.shown, f"indexes within indexes, more than {_DEEPEST} deep")
    entries = top.manifests if isinstance(top, Index) else ()
    diff_ids: tuple[str, ...] = ("",) * len(document.layers)
    config = None
    if is_image(document):
        read = read_config(read_blob(source, document.config), document.config.digest)
        config, known = summary(read), read.rootfs.diff_ids
        diff_ids = known if len(known) == len(diff_ids) else diff_ids
    return SeenImage(
        source.shown,
        source.name,
        digest_of(top.raw),
        top.media_type,
        tuple((show_platform(entry.platform), entry.digest) for entry in entries),
        digest_of(document.raw),
        document.config.digest.partition(":")[2] if config is not None else "",
        document.config.size + sum(layer.size for layer in document.layers),
        tuple(zip(document.layers, diff_ids, strict=True)),
        config,
    )
