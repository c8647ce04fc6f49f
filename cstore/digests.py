"""Digest values such as `sha256:…`: what is valid, in the peer's order of checks."""

from __future__ import annotations

from cstore.errors import InvalidDigest

_SHAPE = r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+"
_HEX = frozenset("0123456789abcdef")
_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}


def check_digest(text: str) -> str:
    """Return `text` if it is a digest.

    Raises:
        InvalidDigest: wrong shape, unknown algorithm, wrong length or not lowercase hex, checked in this order.
    """
    algorithm, _, value = text.partition(":")
    if len(value) == _HEX_LENGTH.get(algorithm) and _HEX.issuperset(value):
        return text
    import re

    if not re.fullmatch(_SHAPE, text):
        raise InvalidDigest(text, "invalid checksum digest format")
    if algorithm not in _HEX_LENGTH:
        raise InvalidDigest(text, "unsupported digest algorithm")
    if len(value) != _HEX_LENGTH[algorithm]:
        raise InvalidDigest(text, "invalid checksum digest length")
    raise InvalidDigest(text, "invalid checksum digest format")
