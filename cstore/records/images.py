"""The kind of images: the history of their names, and the digests they are found by (store-format 4.2, 7.2)."""

from __future__ import annotations

from cstore import errors
from cstore.digests import check_digest
from cstore.records.model import Image
from cstore.records.table import Kind

MANIFEST = "manifest"
"""The prefix of the keys of manifests, whose digests are also digests of the image."""


def digests(image: Image) -> tuple[str, ...]:
    """Return the digests by which an image is found: its own, then those of its manifests.

    Go uses the manifests in random order; here `manifest` comes first, then the other keys, sorted.

    Raises:
        InvalidDigest: one of them is not a digest.
    """
    return tuple(dict.fromkeys(map(check_digest, _recorded_digests(image))))


def valid_digests(image: Image) -> tuple[str, ...]:
    """Return the same digests without invalid ones, which only a damaged record file has."""
    return tuple(dict.fromkeys(digest for digest in _recorded_digests(image) if _is_digest(digest)))


def _recorded_digests(image: Image) -> list[str]:
    data = image.data_digests
    found = [data[key] for key in sorted(data) if key.startswith(MANIFEST)] if data else []  # `manifest` sorts first
    return [image.digest, *found] if image.digest else found


def _is_digest(text: str) -> bool:
    try:
        check_digest(text)
    except errors.InvalidDigest:
        return False
    return True


def with_digest(image: Image) -> Image:
    """Set an image's own digest to that of its first manifest, if it has none. Call this before a record is saved."""
    found = () if image.digest or not image.data_digests else valid_digests(image)
    return image.with_(digest=found[0]) if found else image


def with_valid_digests(image: Image) -> Image:
    """Remove invalid digests of an image itself and of its manifests."""
    keys = image.data_digests.items()
    data = {key: text for key, text in keys if not key.startswith(MANIFEST) or _is_digest(text)}
    own = image.digest if _is_digest(image.digest) else ""
    return with_digest(image.with_(digest=own, data_digests=data))


def with_names(image: Image, names: tuple[str, ...]) -> Image:
    """Replace an image's names; each new name is prepended to the history in turn (semantics 9)."""
    history = tuple(dict.fromkeys((*reversed(names), *image.names_history)))
    return image.with_(names=names, names_history=history)


def flaw(image: Image) -> str:
    """Return why an image's digests are invalid, or "". The Go tool does not load a file with such an image."""
    try:
        for digest in _recorded_digests(image):
            check_digest(digest)
    except errors.InvalidDigest as error:
        return error.message
    return ""


IMAGES: Kind[Image] = Kind("image", Image, renamed=with_names, flaw=flaw, duplicates=True)
