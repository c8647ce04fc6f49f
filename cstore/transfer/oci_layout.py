"""The image layout of OCI, in a directory or a tar: an index, and blobs called by their digests (docker 18.2, 19)."""

from __future__ import annotations

import hashlib

from cstore.errors import ImageArchiveError, InvalidName
from cstore.oci.names import LOCAL, parse_name
from cstore.oci.platforms import best, show_platform
from cstore.transfer import media
from cstore.transfer.manifests import LARGEST, Index, Manifest, load_json, parse_document
from cstore.transfer.members import get_part
from cstore.transfer.plan import MOST_IMAGES, ImagePlan, LayerPlan, layer_count_differs, merge, read_config
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.oci.config import Platform
    from cstore.transfer.manifests import Descriptor
    from cstore.transfer.members import Members

INDEX = "index.json"
LAYOUT = "oci-layout"
VERSION = "imageLayoutVersion"
NAME_KEYS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""Annotations of an entry that name it, the first one best."""

_DEEPEST = 4
"""Indexes within indexes; nobody writes more than one in another."""

_NOWHERE = "unknown"
"""Platform of what goes with an image and is none: attestations."""


class Choice(Value):
    """Which instances of an image for several platforms are wanted: the one for `platform`, or all of them."""

    platform: Platform
    all_platforms: bool = False


def read_plans(members: Members, choice: Choice, warnings: list[str]) -> list[ImagePlan]:
    """Read what images there are. What is odd but harmless is added to `warnings`.

    Raises:
        ImageArchiveError: a document is not what it should be, or names what is not there, or no platform suits.
    """
    _check_layout(members, warnings)
    raw = get_part(members, INDEX, "the format").read(LARGEST)
    index = parse_document(raw, INDEX)
    if not isinstance(index, Index):
        raise ImageArchiveError(INDEX, "expected an index, found a manifest")
    reading = _Reading(members, choice)
    return merge([plan for group in _groups(index) for plan in reading.group(group)])


def _check_layout(members: Members, warnings: list[str]) -> None:
    part = members.find(LAYOUT)
    if part is None:
        warnings.append(f"{members.shown} has no {LAYOUT!r}, which every OCI layout should have")
        return
    document = load_json(part.read(LARGEST), LAYOUT)
    version = document.get(VERSION) if isinstance(document, dict) else None
    if not isinstance(version, str) or version.partition(".")[0] != "1":
        raise ImageArchiveError(LAYOUT, f"expected {VERSION} 1.0.0, found {version!r}")


def _groups(index: Index) -> Iterator[list[Descriptor]]:
    """Put entries together that are one image for several platforms: of one name, or none, each with a platform."""
    groups: dict[object, list[Descriptor]] = {}
    for place, entry in enumerate(index.manifests):
        single = entry.platform is None or entry.media_type in media.INDEXES
        groups.setdefault(place if single else _name_of(entry), []).append(entry)
    yield from groups.values()


def _name_of(entry: Descriptor) -> str:
    said = next((entry.annotations[key] for key in NAME_KEYS if entry.annotations.get(key)), "")
    if not said:
        return ""
    try:
        return str(parse_name(said, home=LOCAL))
    except InvalidName as error:
        raise ImageArchiveError(INDEX, f"the name of {entry.digest}: {error.message}", peer=error.peer) from None


class _Reading:
    """One layout being read."""

    def __init__(self, members: Members, choice: Choice) -> None:
        self._members = members
        self._choice = choice
        self._entries = 0

    def group(self, entries: Sequence[Descriptor], index: bytes = b"", depth: int = 0) -> list[ImagePlan]:
        """Read an image: one entry, or several for different platforms."""
        if len(entries) == 1 and not index:
            return self._entry(entries[0], b"", _name_of(entries[0]), depth)
        name = _name_of(entries[0]) if entries else ""
        chosen = self._chosen(entries)
        plans = [self._entry(entry, index, "", depth) for entry in chosen]
        found = [plan for group in plans for plan in group]
        if found and name:
            found[0] = found[0].with_(names=(name,))
        return found

    def _chosen(self, entries: Sequence[Descriptor]) -> list[Descriptor]:
        """Pick the instances that are wanted, the one for the wanted platform first."""
        images = [entry for entry in entries if entry.platform is None or entry.platform.os != _NOWHERE]
        place = best([entry.platform for entry in images], self._choice.platform)
        if place < 0 and len(images) == 1 and images[0].platform is None:
            place = 0
        first = images[place : place + 1] if place >= 0 else []
        if self._choice.all_platforms:
            return [*first, *(entry for entry in images if entry not in first)]
        if not first:
            offered = ", ".join(sorted({show_platform(entry.platform) for entry in images})) or "none"
            wanted = show_platform(self._choice.platform)
            raise ImageArchiveError(
                self._members.shown,
                f"it has no image for {wanted}",
                hint=f"choose one with --platform: {offered}",
                peer=f"no image found in image index for architecture {self._choice.platform.architecture}",
            )
        return first

    def _entry(self, entry: Descriptor, index: bytes, name: str, depth: int) -> list[ImagePlan]:
        if entry.media_type not in media.INDEXES | media.MANIFESTS:
            where = f"the entry {entry.digest}"
            raise ImageArchiveError(where, f"expected a manifest or an index, found {entry.media_type!r}")
        self._entries += 1
        if self._entries > MOST_IMAGES:
            raise ImageArchiveError(self._members.shown, f"its indexes name more than {MOST_IMAGES} images")
        member, raw = self._blob(entry)
        document = parse_document(raw, member)
        if isinstance(document, Index) != (entry.media_type in media.INDEXES):
            raise ImageArchiveError(member, f"expected {entry.media_type!r}, found {document.media_type!r}")
        if isinstance(document, Manifest):
            return [self._image(document, member, index, name, entry)]
        if depth == _DEEPEST:
            raise ImageArchiveError(member, f"there are indexes within indexes, more than {_DEEPEST} deep")
        plans = self.group(document.manifests, index or raw, depth + 1)
        return [plans[0].with_(names=(name,) if name else plans[0].names), *plans[1:]] if plans else []

    def _image(self, manifest: Manifest, member: str, index: bytes, name: str, entry: Descriptor) -> ImagePlan:
        config_member, raw = self._blob(manifest.config)
        config = read_config(raw, config_member)
        diff_ids = config.rootfs.diff_ids
        if len(diff_ids) != len(manifest.layers):
            raise layer_count_differs(member, len(manifest.layers), len(diff_ids))
        layers = [
            LayerPlan(blob_name(layer.digest), diff_id, layer.digest, layer.size, media.LAYERS[layer.media_type])
            for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)
        ]
        names = (name,) if name else ()
        return ImagePlan(member, config, tuple(layers), names, manifest.raw, index, entry.platform)

    def _blob(self, entry: Descriptor) -> tuple[str, bytes]:
        """Read a small blob and hold it to its descriptor."""
        member = blob_name(entry.digest)
        part = get_part(self._members, member, "a descriptor")
        check_size(member, entry.size, part.size)
        raw = part.read(LARGEST)
        algorithm = entry.digest.partition(":")[0]
        found = f"{algorithm}:{hashlib.new(algorithm, raw, usedforsecurity=False).hexdigest()}"
        if found != entry.digest:
            raise digest_differs(member, entry.digest, found)
        return member, raw


def blob_name(digest: str) -> str:
    """Name the member with the content of this digest."""
    return f"blobs/{digest.replace(':', '/', 1)}"


def check_size(member: str, expected: int, found: int) -> None:
    """Hold a member to the size that is said of it; -1 if nobody says.

    Raises:
        ImageArchiveError: it has another one.
    """
    if expected not in {-1, found}:
        raise ImageArchiveError(member, f"expected {expected} bytes, and it has {found}", peer="blob size mismatch")


def digest_differs(member: str, expected: str, found: str, what: str = "digest") -> ImageArchiveError:
    """Say that a member is not the one that was named."""
    peer = f"Digest did not match, expected {expected}, got {found}"
    return ImageArchiveError(member, f"expected {what} {expected}, and it has {found}", peer=peer)
