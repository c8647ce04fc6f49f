"""Resolve the prefix of an image ID by Docker's rules (docker 7.3)."""

from __future__ import annotations

import re

from cstore.errors import AmbiguousImageID, ImageUnknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_WITH_ALGORITHM = re.compile(r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")


def resolve(term: str, images: Iterable[str]) -> str:
    """Return the one ID that begins with `term`.

    Args:
        term: one or more lower-case hex digits, with or without `sha256:` before them.
        images: IDs without `sha256:`.

    Raises:
        ImageUnknown: there is no such ID, or `term` has no digits.
        AmbiguousImageID: there are several.
    """
    parts = _WITH_ALGORITHM.fullmatch(term)
    algorithm, digits = (parts[1], parts[2]) if parts else ("sha256", term)
    if not digits or algorithm != "sha256":
        raise _unknown(term)
    found = [image for image in images if image.startswith(digits)]
    if digits in found:
        return digits
    if len(found) > 1:
        raise AmbiguousImageID(term, sorted(found))
    if not found:
        raise _unknown(term)
    return found[0]


def _unknown(term: str) -> ImageUnknown:
    error = ImageUnknown(term)
    error.go_text = f"No such image: {term}"
    return error
