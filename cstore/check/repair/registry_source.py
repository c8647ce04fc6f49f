"""An image in a registry as a source of lost data: its manifests, its configs, and its layers.

Documents are fetched immediately, a layer when it is needed. Each is verified against the digest that names it. The
data that it repairs is then verified against the store's records, as for all sources.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from cstore.archive.streams import BUFFER_SIZE
from cstore.digests import algorithm_of, digest_from, new_hash
from cstore.errors import CstoreError, SourceUnusable
from cstore.gojson import object_in
from cstore.oci.config import parse_config
from cstore.registry import Access, open_repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cstore.registry import Repository

_MOST_IMAGES = 64


class RegistryImage:
    """One image of a registry, possibly for several platforms."""

    def __init__(self, given: str, access: Access | None) -> None:
        """Fetch its documents.

        Raises:
            SourceUnusable: there is no such image, or it cannot be fetched.
        """
        self.given = given
        self._access = access
        self.documents: list[bytes] = []
        self._layers: dict[str, tuple[str, int]] = {}
        try:
            with self._opened() as repository:
                self._read(repository, repository.manifest().raw)
        except SourceUnusable:
            raise
        except CstoreError as error:
            raise SourceUnusable(given, error.message) from None

    def _opened(self) -> Repository:
        return open_repository(self.given, access=self._access)

    def _read(self, repository: Repository, raw: bytes) -> None:
        self.documents.append(raw)
        document = object_in(raw)
        if document is None:
            raise SourceUnusable(self.given, "its manifest is not a JSON object")
        for entry in _objects(document, "manifests")[:_MOST_IMAGES]:
            self._read(repository, repository.manifest(str(entry.get("digest"))).raw)
        config = document.get("config")
        if not isinstance(config, dict):
            return
        try:
            known = repository.read_blob(str(config.get("digest")), int(config.get("size", -1)))
            diff_ids = parse_config(known).rootfs.diff_ids
        except (CstoreError, ValueError, TypeError):
            return  # an attestation or some other artifact, not an image
        self.documents.append(known)
        for layer, diff_id in zip(_objects(document, "layers"), diff_ids, strict=False):
            digest, size = layer.get("digest"), layer.get("size")
            if isinstance(digest, str) and isinstance(size, int) and size >= 0:
                self._layers.setdefault(diff_id, (digest, size))

    def has(self, diff_id: str) -> bool:
        """Return whether one of its layers has a DiffID."""
        return diff_id in self._layers

    def fetch(self, diff_id: str, into: IO[bytes], append: Callable[[IO[bytes], memoryview], None]) -> None:
        """Fetch a layer into a file, compressed or not.

        Raises:
            SourceUnusable: the registry returned another blob.
            RegistryError: the layer cannot be fetched.
        """
        digest, size = self._layers[diff_id]
        hashed, buffer = new_hash(algorithm_of(digest)), memoryview(bytearray(BUFFER_SIZE))
        with self._opened() as repository, repository.blob(digest, size) as reader:
            while count := reader.readinto(buffer):
                hashed.update(buffer[:count])
                append(into, buffer[:count])
        if digest_from(hashed) != digest:
            raise SourceUnusable(self.given, f"it returns another blob instead of {digest}")


def _objects(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = document.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
