"""Digest values such as `sha256:…`: what is valid, in the peer's order of checks."""

from __future__ import annotations

import re

from cstore.errors import InvalidDigest

_SHAPE = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}


def check_digest(text: str) -> str:
    """Return `text` if it is a digest.

    Raises:
        InvalidDigest: wrong shape, unknown algorithm, wrong length or not lowercase hex, checked in this order.
    """
    if not _SHAPE.fullmatch(text):
        raise InvalidDigest(text, "invalid checksum digest format")
    algorithm, _, value = text.partition(":")
    if algorithm not in _HEX_LENGTH:
        raise InvalidDigest(text, "unsupported digest algorithm")
    if len(value) != _HEX_LENGTH[algorithm]:
        raise InvalidDigest(text, "invalid checksum digest length")
    if not re.fullmatch(r"[0-9a-f]+", value):
        raise InvalidDigest(text, "invalid checksum digest format")
    return text
