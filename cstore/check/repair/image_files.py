"""Read the data directory of an image without its record: the items, the manifest and the config."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.digests import digest_of
from cstore.errors import CstoreError
from cstore.gojson import object_in
from cstore.oci.config import parse_config
from cstore.records import bigdata
from cstore.records.images import MANIFEST
from cstore.values import cached_property

if TYPE_CHECKING:
    from typing import Any

    from cstore.oci.config import ImageConfig


class ImageFiles:
    """The data directory of one image. Its contents are not trusted before they are checked.

    Attributes:
        id: the image's ID, which is the name of the directory.
        keys: the data items, in the order in which they were written.
    """

    def __init__(self, directory: str, identifier: str) -> None:
        self.directory, self.id = directory, identifier
        self.keys = tuple(keys_in(directory, "image"))

    def read(self, key: str) -> bytes | None:
        """Read an item; None if it cannot be read."""
        try:
            return bigdata.read_item(self.directory, key, noun="image")
        except CstoreError:
            return None

    @cached_property
    def manifests(self) -> dict[str, bytes]:
        """Items that are manifests, by key."""
        found = {key: self.read(key) for key in self.keys if key.startswith(MANIFEST)}
        return {key: data for key, data in found.items() if data}

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The image's own manifest, with a config; empty if there is no valid one."""
        ordered = sorted(self.manifests, key=lambda key: key != MANIFEST)
        parsed = (object_in(self.manifests[key]) for key in ordered)
        return next((found for found in parsed if found and isinstance(found.get("config"), dict)), {})

    @cached_property
    def config(self) -> ImageConfig | None:
        """The config: the item whose digest is the image's ID, or the one that the manifest names."""
        named = self.manifest.get("config")
        digest = named.get("digest") if isinstance(named, dict) else None
        for key in (f"sha256:{self.id}", digest):
            raw = self.read(key) if isinstance(key, str) and key in self.keys else None
            if raw is not None and digest_of(raw) == key:
                try:
                    return parse_config(raw)
                except CstoreError:
                    continue
        return None

    @cached_property
    def diff_ids(self) -> tuple[str, ...]:
        """The DiffIDs of the layers, bottom first; none without a config."""
        return self.config.rootfs.diff_ids if self.config else ()

    @cached_property
    def blobs(self) -> tuple[dict[str, Any], ...]:
        """The descriptors of the layers as delivered, bottom first; none if they do not fit the config."""
        layers = self.manifest.get("layers", [])
        fits = len(layers) == len(self.diff_ids) and all(isinstance(layer, dict) for layer in layers)
        return tuple(layers) if fits else ()

    @property
    def digest(self) -> str:
        """The digest of the manifest that was written first, as the record has it; "" without a manifest."""
        first = next((key for key in self.keys if key in self.manifests), "")
        return digest_of(self.manifests[first]) if first else ""


def has_layers(manifest: bytes) -> bool:
    """Return whether data is a manifest that names a config and layers."""
    found = object_in(manifest) or {}
    return isinstance(found.get("layers"), list) and isinstance(found.get("config"), dict)


def is_config(data: bytes) -> bool:
    """Return whether data is a valid config."""
    try:
        parse_config(data)
    except CstoreError:
        return False
    return True


def keys_in(directory: str, noun: str) -> list[str]:
    """List the keys of the data items in a directory, in the order in which they were written."""
    try:
        with os.scandir(directory) as entries:
            files = [
                (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
                for entry in entries
                if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".tmp-")
            ]
    except OSError:
        return []
    keys = (_key_of(name, noun) for _, name in sorted(files))
    return [key for key in keys if key]


def _key_of(name: str, noun: str) -> str:
    """Return the key for a file name; "" if no key has this name (store-format 6.1)."""
    key = name
    if name.startswith("="):
        from base64 import b64decode

        try:
            key = b64decode(name[1:], validate=True).decode()
        except ValueError:
            return ""
    try:
        return key if bigdata.file_name(key, noun) == name else ""
    except CstoreError:
        return ""
