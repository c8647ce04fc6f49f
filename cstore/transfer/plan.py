"""What an archive says of one image, checked as far as that can be without reading a layer."""

from __future__ import annotations

from cstore.errors import ImageArchiveError, ImageInvalid
from cstore.oci.config import parse_config
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.compression import Compression
    from cstore.oci.config import ImageConfig, Platform


MOST_IMAGES = 1000
"""Images in one archive. A small document can name the same large one many thousand times."""


class LayerPlan(Value):
    """One layer.

    Attributes:
        member: where it is.
        diff_id: the digest that it has when it is not compressed.
        digest: the digest of the member; "" if nobody says.
        size: bytes in the member; -1 if nobody says.
        compression: how it is said to be compressed; None if nobody says.
        linked: the member is a link to another one.
    """

    member: str
    diff_id: str
    digest: str = ""
    size: int = -1
    compression: Compression | None = None
    linked: bool = False


class ImagePlan(Value):
    """One image.

    Attributes:
        member: what names it in messages.
        config: its config.
        layers: bottom first.
        names: in full.
        manifest: its manifest; b"" for an image that came without one.
        index: the index it was chosen from, or b"".
        platform: what the index says it runs on, if one does.
    """

    member: str
    config: ImageConfig
    layers: tuple[LayerPlan, ...]
    names: tuple[str, ...] = ()
    manifest: bytes = b""
    index: bytes = b""
    platform: Platform | None = None


def read_config(raw: bytes, member: str) -> ImageConfig:
    """Read an image config and hold it to its own word.

    Raises:
        ImageArchiveError: it is no config, or its history tells of more layers than it has.
    """
    try:
        config = parse_config(raw)
        config.check_diff_ids()
        config.check_history()
    except ImageInvalid as error:
        raise ImageArchiveError(member, error.message, peer=error.peer) from None
    return config


def merge(plans: list[ImagePlan]) -> list[ImagePlan]:
    """Make one of those that are the same image in the same form; the names come together."""
    merged: dict[tuple[str, bytes], ImagePlan] = {}
    for plan in plans:
        key = (plan.config.id, plan.manifest)
        known = merged.get(key)
        names = plan.names if known is None else tuple(dict.fromkeys((*known.names, *plan.names)))
        merged[key] = (known or plan).with_(names=names)
    return list(merged.values())


def layer_count_differs(member: str, in_manifest: int, in_config: int) -> ImageArchiveError:
    """Say that manifest and config do not tell of the same number of layers."""
    return ImageArchiveError(
        member,
        f"it names {in_manifest} layers, and its config has {in_config}",
        peer=f"invalid manifest, layers length mismatch: expected {in_manifest}, got {in_config}",
    )
