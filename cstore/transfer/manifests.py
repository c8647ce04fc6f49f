"""Manifests and indexes of both kinds, read strictly and never rewritten (docker 18.2, 18.5, 19).

A document that could be taken for two things is refused: what one program reads as a manifest another would read as an
index, and each would run something else.
"""

from __future__ import annotations

from cstore.digests import check_digest
from cstore.errors import ImageArchiveError, InvalidDigest, NoImage
from cstore.oci.config import Platform
from cstore.transfer import media
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

LARGEST = 4 << 20
"""Bytes in a manifest, index or config: what skopeo and Podman take at most."""


class Descriptor(Value):
    """What a document says of another part: its type, digest and size in bytes; "" and -1 if it does not say."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = {}
    platform: Platform | None = None
    urls: tuple[str, ...] = ()


class Manifest(Value):
    """One image: its config, and its layers from the bottom up. `raw` are the bytes that its digest is of."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Index(Value):
    """Several images, or one for several platforms."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]


def parse_document(raw: bytes, member: str, *, artifacts: bool = False) -> Manifest | Index:
    """Read a manifest or an index. `member` is where it stands, for messages.

    With `artifacts`, a manifest of something else than an image is read all the same.

    Raises:
        NoImage: it is the manifest of something else.
        ImageArchiveError: it is neither, or could be both, or a field is not what it should be.
    """
    document = load_json(raw, member)
    if not isinstance(document, dict):
        raise ImageArchiveError(member, "expected a JSON object")
    if document.get("schemaVersion") == 1:
        hint = "pull and push it again with Docker 20 or skopeo, which convert such images"
        raise ImageArchiveError(member, "it is an image in the old form, schema 1, which names no config", hint=hint)
    if document.get("schemaVersion", 2) != 2:  # which some leave out; the fields tell what it is
        raise ImageArchiveError(member, f"expected schemaVersion 2, found {document.get('schemaVersion')!r}")
    kind = _kind(document, member)
    if kind in media.INDEXES:
        return Index(raw, kind, _descriptors(document, "manifests", member))
    config = _descriptor(document.get("config"), f"{member}: config")
    named = document.get("artifactType")
    if not artifacts and config.media_type not in (media.CONFIGS if named else {*media.CONFIGS, ""}):
        kind_of_artifact = named if isinstance(named, str) and named else config.media_type
        raise NoImage(
            member,
            f"it is not an image but an artifact of type {kind_of_artifact!r}",
            go_text=f'unsupported image-specific operation on artifact with type "{config.media_type}"',
        )
    layers = _descriptors(document, "layers", member)
    for place, layer in enumerate(layers):
        if layer.media_type and layer.media_type not in media.LAYERS and not artifacts:
            raise NoImage(member, f"layer {place} is of the unknown media type {layer.media_type!r}")
    return Manifest(raw, kind, config, layers)


def is_image(manifest: Manifest) -> bool:
    """Whether a manifest is one of an image: attestations, signatures and charts are kept in the same form."""
    layers = all(layer.media_type in media.LAYERS for layer in manifest.layers if layer.media_type)
    return layers and manifest.config.media_type in {*media.CONFIGS, ""}


def make_manifest(config: bytes, layers: Sequence[Descriptor], *, docker: bool = False) -> bytes:
    """Write the manifest of an image, of OCI's kind or of Docker's, as Go writes it.

    Args:
        config: the bytes of its config.
        layers: bottom first, with media types of that kind.
        docker: which kind.
    """
    from cstore import gojson
    from cstore.digests import digest_of

    kind, config_kind = _KINDS[docker]
    parts = [Descriptor(config_kind, digest_of(config), len(config)), *layers]
    first, *rest = ({"mediaType": part.media_type, "digest": part.digest, "size": part.size} for part in parts)
    return gojson.encode({"schemaVersion": 2, "mediaType": kind, "config": first, "layers": rest})


def rewritten(document: Manifest | Index, parts: Sequence[Descriptor], *, docker: bool) -> bytes:
    """Write a manifest with other layers, or an index with other manifests, in OCI's form or in Docker's.

    What a document says beside its parts stays as it is; so does its config, and with it the ID of the image.
    """
    import json

    from cstore import gojson

    told = json.loads(document.raw)
    key = "manifests" if isinstance(document, Index) else "layers"
    parts_told = told.get(key) or []
    told[key] = [
        {**said, "mediaType": part.media_type, "digest": part.digest, "size": part.size}
        for said, part in zip(parts_told, parts, strict=True)
    ]
    if isinstance(document, Index):
        told["mediaType"] = media.DOCKER_INDEX if docker else media.OCI_INDEX
    else:
        told["mediaType"], told["config"]["mediaType"] = _KINDS[docker]
    return gojson.encode(told)


_KINDS = {
    False: (media.OCI_MANIFEST, media.OCI_CONFIG),
    True: (media.DOCKER_MANIFEST, media.DOCKER_CONFIG),
}


def load_json(raw: bytes, member: str) -> object:
    """Read JSON.

    Raises:
        ImageArchiveError: it is not valid.
    """
    import json

    try:
        # Not left to the decoder, which would take UTF-16 as well: Podman would not, of what is kept as it came.
        return json.loads(raw.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ImageArchiveError(member, f"it is not JSON: {error}") from None


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")


def _kind(document: Mapping[str, Any], member: str) -> str:
    """Tell what a document is, by what it says and what it holds."""
    is_index, is_manifest = "manifests" in document, "config" in document or "layers" in document
    if (is_index and is_manifest) or "fsLayers" in document or "history" in document:
        found = sorted({"config", "fsLayers", "history", "layers", "manifests"} & document.keys())
        reason = f"it is ambiguous, because it has {', '.join(found)}"
        raise ImageArchiveError(member, reason, go_text="rejecting ambiguous manifest, unexpected fields")
    said = document.get("mediaType")
    if said is None:
        if not is_index and not is_manifest:
            raise ImageArchiveError(member, "it is neither a manifest nor an index")
        if is_index:
            return media.OCI_INDEX
        config = document.get("config")
        docker = isinstance(config, dict) and config.get("mediaType") == media.DOCKER_CONFIG
        return media.DOCKER_MANIFEST if docker else media.OCI_MANIFEST
    if not isinstance(said, str) or said not in media.INDEXES | media.MANIFESTS:
        raise ImageArchiveError(member, f"expected a manifest or an index, found media type {said!r}")
    if is_index != (said in media.INDEXES):
        raise ImageArchiveError(member, f"it calls itself {said!r}, but lacks the fields of that type")
    return said


def _descriptors(document: Mapping[str, Any], key: str, member: str) -> tuple[Descriptor, ...]:
    found = document.get(key)
    if found is None and key == "layers":
        return ()
    if not isinstance(found, list):
        raise ImageArchiveError(member, f"expected a list under {key!r}")
    sized = key == "layers"  # of a manifest, whoever reads the index can see the size
    return tuple(_descriptor(item, f"{member}: {key}[{place}]", sized=sized) for place, item in enumerate(found))


def _descriptor(found: object, where: str, *, sized: bool = True) -> Descriptor:
    if not isinstance(found, dict):
        raise ImageArchiveError(where, "expected a descriptor, a JSON object")
    media_type, digest, size = found.get("mediaType", ""), found.get("digest"), found.get("size")
    if not isinstance(media_type, str):
        raise ImageArchiveError(where, f"expected a text under 'mediaType', found {media_type!r}")
    if size is None and not sized:
        size = -1
    elif (
        not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63
    ):  # more than that, Go cannot read
        raise ImageArchiveError(where, f"expected a size in bytes, found {size!r}")
    annotations = found.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(text, str) for text in annotations.values()):
        raise ImageArchiveError(where, "expected texts under 'annotations'")
    platform, keys = found.get("platform"), ("os", "architecture", "variant", "os.version")
    if platform is not None:
        if not isinstance(platform, dict) or not all(isinstance(platform.get(key, ""), str) for key in keys):
            raise ImageArchiveError(where, "expected texts under 'platform'")
        platform = Platform(*(platform.get(key, "") for key in keys))
    if not isinstance(digest, str):
        raise ImageArchiveError(where, "expected a digest")
    try:
        check_digest(digest)
    except InvalidDigest as error:
        raise ImageArchiveError(where, f"expected a digest, found {digest!r}: {error.reason}") from None
    return Descriptor(media_type, digest, size, annotations, platform, urls_in(found))


def urls_in(descriptor: Mapping[str, Any]) -> tuple[str, ...]:
    """Where else a descriptor says that its content can be had."""
    urls = descriptor.get("urls")
    return tuple(url for url in urls if isinstance(url, str)) if isinstance(urls, list) else ()
