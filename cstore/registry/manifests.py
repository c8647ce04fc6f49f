"""Manifests as registries send them: bytes and a media type."""

from __future__ import annotations

import re

from cstore.oci.media_types import INDEXES, MANIFESTS, OCI_INDEX, OCI_MANIFEST
from cstore.registry.errors import AnswerInvalid, cleaned
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import urllib3

    from cstore.registry.wire import Wire

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+", re.ASCII)


class Manifest(Value):
    """A manifest or an index, byte for byte. `digest` is that of the bytes."""

    raw: bytes
    media_type: str
    digest: str

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests for several platforms."""
        return self.media_type in INDEXES


def media_type_of(wire: Wire, response: urllib3.BaseHTTPResponse, raw: bytes, action: str) -> str:
    """Return a manifest's media type. The header and the document must not contradict each other."""
    document = wire.parsed(raw, action)
    header = response.headers.get("Content-Type", "").partition(";")[0].strip()
    inside = document.get("mediaType")
    known = INDEXES | MANIFESTS
    if isinstance(inside, str) and inside:
        if header in known and inside != header:
            reason = f"cannot {action}: the Content-Type is {header}, but the document says {cleaned(inside)!r}"
            raise AnswerInvalid(wire.registry, reason)
        header = inside
    if header not in known and not inside:
        header = OCI_INDEX if "manifests" in document else OCI_MANIFEST if "layers" in document else header
    if "manifests" in document and "layers" in document:
        raise AnswerInvalid(wire.registry, f"cannot {action}: it is both a manifest and an index")
    if not _MEDIA_TYPE.fullmatch(header):
        raise AnswerInvalid(wire.registry, f"cannot {action}: it has no media type")
    return header
