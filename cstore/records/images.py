"""Images: how their names leave a history, and which digests they are found by (store-format 4.2, 7.2)."""

from __future__ import annotations

from cstore import errors
from cstore.digests import check_digest
from cstore.records.model import Image
from cstore.records.table import Kind

MANIFEST = "manifest"
"""Data items whose key starts like this hold manifests, and their digests are the image's."""


def digests(image: Image) -> tuple[str, ...]:
    """List the digests by which an image is found: its own, then those of its manifests.

    Go takes the manifests in random order; here `manifest` comes first and then the sorted keys.

    Raises:
        InvalidDigest: one of them is none.
    """
    return tuple(dict.fromkeys(map(check_digest, _recorded_digests(image))))


def valid_digests(image: Image) -> tuple[str, ...]:
    """List those of the same that are digests: all of them, unless the record file is damaged."""
    return tuple(dict.fromkeys(digest for digest in _recorded_digests(image) if _is_digest(digest)))


def _recorded_digests(image: Image) -> list[str]:
    keys = [key for key in image.data_digests if key.startswith(MANIFEST)]
    found = [image.data_digests[key] for key in (sorted(keys) if len(keys) > 1 else keys)]  # `manifest` sorts first
    return [image.digest, *found] if image.digest else found


def _is_digest(text: str) -> bool:
    try:
        check_digest(text)
    except errors.InvalidDigest:
        return False
    return True


def with_digest(image: Image) -> Image:
    """Freeze the first manifest's digest as the image's own, if it has none yet. Do so before a record is saved."""
    found = () if image.digest else valid_digests(image)
    return image.with_(digest=found[0]) if found else image


def with_valid_digests(image: Image) -> Image:
    """Leave out invalid digests by which an image would be found."""
    keys = image.data_digests.items()
    data = {key: text for key, text in keys if not key.startswith(MANIFEST) or _is_digest(text)}
    own = image.digest if _is_digest(image.digest) else ""
    return with_digest(image.with_(digest=own, data_digests=data))


def with_names(image: Image, names: tuple[str, ...]) -> Image:
    """Replace an image's names: each is pushed to the front of the history in turn (semantics 9)."""
    history = tuple(dict.fromkeys((*reversed(names), *image.names_history)))
    return image.with_(names=names, names_history=history)


def flaw(image: Image) -> str:
    """Return what is wrong with an image's digests, or "": the Go tool does not load a file with invalid ones."""
    try:
        for digest in _recorded_digests(image):
            check_digest(digest)
    except errors.InvalidDigest as error:
        return error.message
    return ""


IMAGES: Kind[Image] = Kind("image", Image, renamed=with_names, flaw=flaw, duplicates=True)
