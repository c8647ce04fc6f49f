"""Compute, check (in the Go tool's order) and compare digests such as `sha256:…`, for all three algorithms."""

from __future__ import annotations

from cstore import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH

_SHAPE = r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+"
_HEX = b"0123456789abcdef"
_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}


def check_digest(text: str) -> str:
    """Return `text` if it is a digest.

    Raises:
        InvalidDigest: wrong form, unknown algorithm, wrong length or not lower-case hex, checked in this order.
    """
    algorithm, _, value = text.partition(":")
    if len(value) == _HEX_LENGTH.get(algorithm) and value.isascii() and not value.encode().translate(None, _HEX):
        return text
    import re

    if not re.fullmatch(_SHAPE, text):
        raise errors.InvalidDigest(text, "invalid checksum digest format")
    if algorithm not in _HEX_LENGTH:
        raise errors.InvalidDigest(text, "unsupported digest algorithm")
    if len(value) != _HEX_LENGTH[algorithm]:
        raise errors.InvalidDigest(text, "invalid checksum digest length")
    raise errors.InvalidDigest(text, "invalid checksum digest format")


def digest_of(data: bytes | memoryview, algorithm: str = "sha256") -> str:
    """Return the digest of `data`, as `ALGORITHM:HEX`."""
    return digest_from(new_hash(algorithm, data))


def digest_from(found: HASH) -> str:
    """Return the digest of a hash object, as `ALGORITHM:HEX`."""
    return f"{found.name}:{found.hexdigest()}"


def new_hash(algorithm: str = "sha256", data: bytes | memoryview = b"") -> HASH:
    """Return a new hash object for one of the algorithms of digests."""
    import hashlib

    return hashlib.new(algorithm, data, usedforsecurity=False)


def little_hash() -> HASH:
    """Begin a SHA-256 of not much: by Python's own code, which is slower, but loaded in a tenth of the time."""
    import sys

    if "_hashlib" in sys.modules:
        return new_hash()
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        try:
            from _sha2 import sha256  # type: ignore[import-not-found]  # from Python 3.12 on
        except ImportError:
            return new_hash()  # it is CPython's own, and may be left out
    found: HASH = sha256()
    return found


def algorithm_of(digest: str) -> str:
    """Return the algorithm of a digest; "" for ""."""
    return digest.partition(":")[0]


def is_digest_of(digest: str, data: bytes | memoryview) -> bool:
    """Return whether `digest`, which must be valid, is that of `data`."""
    return digest_of(data, algorithm_of(digest)) == digest
