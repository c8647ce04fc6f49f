"""The description of one image in an archive, checked as far as possible without reading a layer."""

from __future__ import annotations

from cstore.errors import ImageArchiveError, ImageInvalid, InvalidName
from cstore.oci.config import parse_config
from cstore.oci.names import DOCKER, LOCAL, parse_name
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.archive.compression import Compression
    from cstore.errors import CstoreError
    from cstore.oci.config import ImageConfig, Platform


MOST_IMAGES = 1000
"""Images in one archive. A small document can name the same large one many thousand times."""


class Naming(Value):
    """How the names in an archive are completed, and which are wanted.

    Attributes:
        wanted: names as typed by the user; empty to want every image.
        home: the domain of names without one.
        forgiving: ignore invalid names, because the image gets another name anyway.
    """

    wanted: tuple[str, ...] = ()
    home: str = DOCKER
    forgiving: bool = False

    def wants(self, names: Iterable[str]) -> bool:
        """Whether an image that has these names in the archive is wanted."""
        return not self.wanted or any(name in self.spellings(word) for word in self.wanted for name in names)

    def spellings(self, word: str) -> set[str]:
        """Return the possible full forms of a typed name."""
        return {str(parse_name(word, home=home)) for home in (self.home, LOCAL, DOCKER)}

    def read(self, text: str, where: str) -> str:
        """Complete a name of the archive; "" if it cannot be one and that is forgiven.

        Raises:
            ImageArchiveError: it cannot be one.
        """
        try:
            return str(parse_name(text, home=self.home))
        except InvalidName as error:
            if self.forgiving or self.wanted:  # what is not wanted need not have a name
                return ""
            hint = "--tag gives the image another name"
            raise ImageArchiveError(where, error.message, hint=hint, go_text=error.go_text) from None


class LayerPlan(Value):
    """One layer.

    Attributes:
        member: where it is.
        diff_id: the digest that it has when it is not compressed.
        digest: the digest of the member; "" if unknown.
        size: bytes in the member; -1 if unknown.
        compression: its declared compression; None if unknown.
        linked: the member is a link to another one.
        urls: where to fetch it, if archives need not contain it.
        changed: for a layer that is rebuilt from files and records: the error if it has changed.
    """

    member: str
    diff_id: str
    digest: str = ""
    size: int = -1
    compression: Compression | None = None
    linked: bool = False
    urls: tuple[str, ...] = ()
    changed: CstoreError | None = None


class ImagePlan(Value):
    """One image.

    Attributes:
        member: its name in messages.
        config: its config.
        layers: bottom first.
        names: in full.
        manifest: its manifest; b"" for an image that came without one.
        index: the index it was chosen from, or b"".
        platform: what the index says it runs on, if one does.
        ids: present or future IDs of its layers in the store; () to compute them from the DiffIDs.
        spares: whether an existing image with this ID keeps everything but its names.
    """

    member: str
    config: ImageConfig
    layers: tuple[LayerPlan, ...]
    names: tuple[str, ...] = ()
    manifest: bytes = b""
    index: bytes = b""
    platform: Platform | None = None
    ids: tuple[str, ...] = ()
    spares: bool = False

    @property
    def layer_ids(self) -> tuple[str, ...]:
        """The IDs of its layers in the store, bottom first."""
        return self.ids or self.config.rootfs.layer_ids


def read_config(raw: bytes, member: str) -> ImageConfig:
    """Parse an image config and check its consistency.

    Raises:
        ImageArchiveError: it is not a config, or its history has more layers than it lists.
    """
    try:
        config = parse_config(raw)
        config.check_diff_ids()
        config.check_history()
    except ImageInvalid as error:
        raise ImageArchiveError(member, error.message, go_text=error.go_text) from None
    return config


def merge(plans: list[ImagePlan]) -> list[ImagePlan]:
    """Merge plans of the same image in the same form, with all of their names."""
    merged: dict[tuple[str, bytes], ImagePlan] = {}
    for plan in plans:
        key = (plan.config.id, plan.manifest)
        known = merged.get(key)
        names = plan.names if known is None else tuple(dict.fromkeys((*known.names, *plan.names)))
        merged[key] = (known or plan).with_(names=names)
    return list(merged.values())


def layer_count_differs(member: str, in_manifest: int, in_config: int) -> ImageArchiveError:
    """Return the error for a manifest and a config with different numbers of layers."""
    return ImageArchiveError(
        member,
        f"it names {in_manifest} layers, but its config has {in_config}",
        go_text=f"invalid manifest, layers length mismatch: expected {in_manifest}, got {in_config}",
    )
