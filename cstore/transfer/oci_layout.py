"""The image layout of OCI, in a directory or a tar: an index, and blobs called by their digests (docker 18.2, 19)."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain

from cstore.digests import algorithm_of, digest_of, is_digest_of
from cstore.errors import CstoreError, ImageArchiveError, MemberMissing, NoImage
from cstore.oci.config import Platform
from cstore.oci.platforms import best, show_platform
from cstore.transfer import media
from cstore.transfer.manifests import LARGEST, Index, Manifest, load_json, parse_document
from cstore.transfer.members import get_part
from cstore.transfer.plan import MOST_IMAGES, ImagePlan, LayerPlan, layer_count_differs, merge, read_config
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cstore.transfer.manifests import Descriptor
    from cstore.transfer.members import Members
    from cstore.transfer.plan import Naming

INDEX = "index.json"
LAYOUT = "oci-layout"
VERSION = "imageLayoutVersion"
NAME_KEYS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""Annotations of an entry that name it, the first one best."""

_DEEPEST = 4
"""Limit of nested indexes; programs write at most one in another."""

_INDEXES, _MANIFESTS = media.INDEXES | {""}, media.MANIFESTS | {""}
"""Media types of entries; an entry without a type may be either, and its contents decide."""

_NOWHERE = "unknown"
"""The platform of attestations, which accompany an image and are not images."""


class Choice(Value):
    """Which instances of an image for several platforms are wanted: the one for `platform`, or all of them."""

    platform: Platform
    all_platforms: bool = False


def read_plans(
    members: Members, choice: Choice, naming: Naming, warnings: list[str], *, complete: bool = True
) -> list[ImagePlan]:
    """Read the wanted images. Adds harmless problems, and entries that are not images, to `warnings`.

    Args:
        members: the layout.
        choice: which instances of an image for several platforms are wanted.
        naming: which names are wanted.
        warnings: warnings for the user.
        complete: whether all members have arrived; otherwise, a missing one may still come.

    Raises:
        ImageArchiveError: a document is not valid, or names a missing member, or no platform matches.
    """
    layout = members.find(LAYOUT)
    if layout is None:
        warnings.append(f"{members.shown} has no {LAYOUT!r}, which every OCI layout should have")
    else:
        document = load_json(layout.read(LARGEST), LAYOUT)
        version = document.get(VERSION) if isinstance(document, dict) else None
        if not isinstance(version, str) or version.partition(".")[0] != "1":
            raise ImageArchiveError(LAYOUT, f"expected {VERSION} 1.0.0, found {version!r}")
    reading = _Reading(members, choice, naming, complete=complete)
    plans = merge(reading.top(read_index(members)))
    warnings += reading.passed_over
    return plans


def names_of_configs(members: Members, naming: Naming) -> dict[str, tuple[str, ...]]:
    """Return the names of images in an index, by the digests of their configs. Skips what cannot be read."""
    found: dict[str, tuple[str, ...]] = {}
    with suppress(CstoreError):
        reading = _Reading(members, Choice(Platform()), naming, complete=True)
        for entry in read_index(members).manifests:
            name = reading.name_of(entry)
            if not name:
                continue
            for config in reading.configs_in(entry):
                found[config] = (*found.get(config, ()), name)
    return found


def read_index(members: Members) -> Index:
    """Read the index of a layout.

    Raises:
        ImageArchiveError: there is none.
    """
    return parse_index(get_part(members, INDEX, "the format").read(LARGEST))


def parse_index(raw: bytes) -> Index:
    """Parse a layout's index.

    Raises:
        ImageArchiveError: they are none.
    """
    index = parse_document(raw, INDEX)
    if not isinstance(index, Index):
        raise ImageArchiveError(INDEX, "expected an index, found a manifest")
    return index


class _Reading:
    """One layout being read.

    Attributes:
        passed_over: entries that are not images, or are missing.
    """

    def __init__(self, members: Members, choice: Choice, naming: Naming, *, complete: bool) -> None:
        self._members = members
        self._choice = choice
        self._naming = naming
        self._complete = complete
        self._entries = 0
        self._configs: dict[str, tuple[str, ...]] = {}
        self.passed_over: list[str] = []

    def top(self, index: Index) -> list[ImagePlan]:
        """Read what the index of the layout lists, as far as it is wanted and an image."""
        # Entries of one name, or of none, each with a platform, are one image for several platforms.
        grouped: dict[object, list[Descriptor]] = {}
        for place, entry in enumerate(index.manifests):
            single = entry.platform is None or entry.platform.os == _NOWHERE or entry.media_type not in _MANIFESTS
            grouped.setdefault(place if single else self.name_of(entry), []).append(entry)
        chosen = [group for group in grouped.values() if self._naming.wants([self.name_of(group[0])])]
        if not chosen:  # an index without a name may have names inside
            firsts = [group[0] for group in grouped.values()]
            chosen = [[first] for first in firsts if not self.name_of(first) and first.media_type in _INDEXES]
        plans: list[ImagePlan] = []
        others: list[NoImage] = []
        for group in chosen:
            try:
                plans += self.group(group)
            except NoImage as error:
                others.append(error)
        if others and not plans:
            raise others[0]
        self._pass_over(others)
        return plans

    def _pass_over(self, others: Iterable[ImageArchiveError]) -> None:
        self.passed_over += (f"passed over: {error.message}" for error in others)

    def name_of(self, entry: Descriptor) -> str:
        """The name that an entry has, "" if it has none."""
        said = [entry.annotations[key] for key in NAME_KEYS if entry.annotations.get(key)]
        for place, text in enumerate(said, 1):
            last = place == len(said)
            naming = self._naming if last else self._naming.with_(forgiving=True)
            name = naming.read(text, f"{INDEX}: the name of {entry.digest}")
            if name:
                return name
        return ""

    def group(self, entries: Sequence[Descriptor], index: bytes = b"", depth: int = 0) -> list[ImagePlan]:
        """Read an image: one entry, or several for different platforms."""
        if len(entries) == 1 and not index:
            return self._entry(entries[0], b"", self.name_of(entries[0]), depth)
        name = self.name_of(entries[0]) if entries else ""
        found: list[ImagePlan] = []
        others: list[ImageArchiveError] = []
        for entry in chosen_instances(entries, self._choice, self._members.shown):
            try:
                found += self._entry(entry, index, "", depth)
            except (NoImage, MemberMissing) as error:
                if isinstance(error, MemberMissing) and not self._choice.all_platforms:
                    raise
                reason = f"{show_platform(entry.platform)}: {error.reason}"
                others.append(type(error)(error.member, reason, hint=error.hint))
            if found and not self._choice.all_platforms:
                break
        if others and not found:
            raise others[0]
        self._pass_over(others)
        if found and name:
            found[0] = found[0].with_(names=(name,))
        return found

    def _entry(self, entry: Descriptor, index: bytes, name: str, depth: int) -> list[ImagePlan]:
        if entry.media_type not in _INDEXES | _MANIFESTS:
            where = f"the entry {entry.digest}"
            raise NoImage(where, f"expected a manifest or an index, found {entry.media_type!r}")
        self._entries += 1
        if self._entries > MOST_IMAGES:
            raise ImageArchiveError(self._members.shown, f"its indexes name more than {MOST_IMAGES} images")
        member, raw = self.blob(entry)
        try:
            document = parse_document(raw, member)
        except ImageArchiveError as error:
            if entry.media_type or isinstance(error, NoImage):
                raise
            raise NoImage(member, f"it has no type and is not a manifest: {error.reason}") from None
        if entry.media_type and isinstance(document, Index) != (entry.media_type in media.INDEXES):
            raise ImageArchiveError(member, f"expected {entry.media_type!r}, found {document.media_type!r}")
        if isinstance(document, Manifest):
            return [self._image(document, member, index, name, entry)]
        if depth == _DEEPEST:
            raise ImageArchiveError(member, f"there are indexes within indexes, more than {_DEEPEST} deep")
        plans = self.group(document.manifests, index or raw, depth + 1)
        return [plans[0].with_(names=(name,) if name else plans[0].names), *plans[1:]] if plans else []

    def _image(self, manifest: Manifest, member: str, index: bytes, name: str, entry: Descriptor) -> ImagePlan:
        algorithm = algorithm_of(manifest.config.digest)
        if algorithm != "sha256":
            reason = f"it names its config by {algorithm}, and Podman finds configs by sha256 alone"
            raise ImageArchiveError(member, reason, hint="build the image with sha256 digests")
        config_member, raw = self.blob(manifest.config)
        config = read_config(raw, config_member)
        diff_ids = config.rootfs.diff_ids
        if len(diff_ids) != len(manifest.layers):
            raise layer_count_differs(member, len(manifest.layers), len(diff_ids))
        layers = [
            LayerPlan(
                blob_name(layer.digest),
                diff_id,
                layer.digest,
                layer.size,
                media.LAYERS.get(layer.media_type),
                urls=layer.urls,
            )
            for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)
        ]
        if self._choice.all_platforms and self._complete:
            for layer in layers:
                get_part(self._members, layer.member, member)
        names = (name,) if name else ()
        raw = manifest.raw
        types = {part.media_type for part in (manifest.config, *manifest.layers)}
        unknown = sorted(types & media.UNSPECIFIED.keys())
        if unknown or "" in types:
            # With such a manifest Podman lists no image of the store, or cannot save this one: so it gets one as an
            # image without any does.
            raw = index = b""
            told = f"has a layer of the type {unknown[0]!r}" if unknown else "does not give the types of its parts"
            self.passed_over.append(f"{member} {told}; a manifest of its config is kept instead")
        return ImagePlan(member, config, tuple(layers), names, raw, index, entry.platform)

    def configs_in(self, entry: Descriptor, depth: int = 0) -> tuple[str, ...]:
        """The digests of the configs of an image, or of all images in an index; what cannot be read has none."""
        if entry.digest not in self._configs:
            self._configs[entry.digest] = ()  # meanwhile, and for what contains itself
            with suppress(CstoreError):
                document = parse_document(self.blob(entry)[1], INDEX)
                if isinstance(document, Manifest):
                    self._configs[entry.digest] = (document.config.digest,)
                elif depth < _DEEPEST:
                    inside = (self.configs_in(inner, depth + 1) for inner in document.manifests)
                    self._configs[entry.digest] = tuple(chain.from_iterable(inside))
        return self._configs[entry.digest]

    def blob(self, entry: Descriptor) -> tuple[str, bytes]:
        """Read a small blob and verify it against its descriptor."""
        member = blob_name(entry.digest)
        part = get_part(self._members, member, "a descriptor")
        check_size(member, entry.size, part.size)
        raw = part.read(LARGEST)
        require_digest(member, entry.digest, raw)
        return member, raw


def chosen_instances(entries: Sequence[Descriptor], choice: Choice, shown: str) -> list[Descriptor]:
    """Order the instances of an image that are wanted, the best for the wanted platform first; not all may be images.

    `shown` names the image.

    Raises:
        NoImage: none of the entries is an image.
        ImageArchiveError: none is for the wanted platform.
    """
    # What is at once known to be something else is left out: attestations go by an unknown platform.
    known = [entry for entry in entries if entry.media_type in _INDEXES | _MANIFESTS]
    images = [entry for entry in known if entry.platform is None or entry.platform.os != _NOWHERE]
    if entries and not images:
        raise NoImage(f"the entry {entries[0].digest}", "no entry of its index is an image")
    ordered: list[Descriptor] = []
    left = list(images)
    while (place := best([entry.platform for entry in left], choice.platform)) >= 0:
        ordered.append(left.pop(place))
    if choice.all_platforms:
        return ordered + left
    ordered += [entry for entry in left if entry.platform is None]
    if not ordered:
        offered = ", ".join(sorted({show_platform(entry.platform) for entry in images})) or "none"
        raise ImageArchiveError(
            shown,
            f"it has no image for {show_platform(choice.platform)}",
            hint=f"choose one with --platform: {offered}",
            go_text=f"no image found in image index for architecture {choice.platform.architecture}",
        )
    return ordered


def blob_name(digest: str) -> str:
    """Return the name of the member with this digest."""
    return f"blobs/{digest.replace(':', '/', 1)}"


def check_size(member: str, expected: int, found: int) -> None:
    """Check a member's size against the expected one; -1 if unknown.

    Raises:
        ImageArchiveError: it differs.
    """
    if expected not in {-1, found}:
        raise ImageArchiveError(member, f"expected {expected} bytes, found {found}", go_text="blob size mismatch")


def require_digest(member: str, digest: str, data: bytes) -> None:
    """Verify a member's contents against a digest.

    Raises:
        ImageArchiveError: it differs.
    """
    if not is_digest_of(digest, data):
        raise digest_differs(member, digest, digest_of(data, algorithm_of(digest)))


def digest_differs(member: str, expected: str, found: str, what: str = "digest") -> ImageArchiveError:
    """Return the error for a member with the wrong digest."""
    go_text = f"Digest did not match, expected {expected}, got {found}"
    return ImageArchiveError(member, f"expected {what} {expected}, found {found}", go_text=go_text)
