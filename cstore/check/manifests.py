"""Images as a whole: a manifest that makes sense, the config that it names, and the layers that the config names."""

from __future__ import annotations

from cstore.check.findings import Finding, of_image
from cstore.errors import CstoreError, UnsafeID
from cstore.oci.media_types import CONFIGS
from cstore.records import bigdata
from cstore.records.images import MANIFEST
from cstore.store.lookup import layout_of_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from cstore.check.snapshot import StoreSnapshot
    from cstore.records.model import Image

_CONFIG_TYPES = CONFIGS | {""}
"""Configs that name layers. Whatever else a manifest calls its config (an artifact's) is nobody's business here."""


def manifest_findings(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[Finding]:
    """Everything that is wrong with images as a whole, of those that are `wanted`."""
    for image, read_only in snapshot.all_images.values():
        if wanted("image", image.id):
            yield from _Look(snapshot, image, read_only=read_only).run()


class _Look:
    """A look at one image."""

    def __init__(self, snapshot: StoreSnapshot, image: Image, *, read_only: bool) -> None:
        self._snapshot, self._image, self._read_only = snapshot, image, read_only

    def _finding(self, kind: str, sentence: str, **evidence: object) -> Finding:
        return of_image(kind, self._image.id, sentence, read_only=self._read_only, **evidence)

    def run(self) -> Iterator[Finding]:
        """Go from the manifest to the layers, as far as there is something to go by."""
        names = self._image.data_names
        manifests = [key for key in names if key.startswith(MANIFEST)]
        if not (manifests or self._image.digest or f"sha256:{self._image.id}" in names):
            sentence = "it has neither a manifest nor a config, so Podman cannot list the images of this store"
            yield self._finding("image-without-data", sentence)
        elif MANIFEST not in names:
            sentence = f"it has no item {MANIFEST!r}, where all tools look for its manifest"
            yield self._finding("image-manifest-missing", sentence, others=manifests)
        else:
            data = self._read(MANIFEST)
            if data is not None:  # else a finding of its own
                yield from self._follow(data)

    def _read(self, key: str) -> bytes | None:
        try:
            directory = layout_of_image(self._snapshot, self._snapshot.layout, self._image.id).image_data(
                self._image.id
            )
            return bigdata.read_item(directory, key, noun="image")
        except (UnsafeID, CstoreError):
            return None

    def _follow(self, data: bytes) -> Iterator[Finding]:
        manifest = _object(data)
        if manifest is None:
            yield self._finding("image-manifest-broken", "its manifest is not a JSON object")
            return
        if manifest.get("schemaVersion") == 1 or "manifests" in manifest:
            return  # no config of its own: layers are named in another way, or by other manifests
        config = manifest.get("config")
        digest = config.get("digest") if isinstance(config, dict) else None
        if not isinstance(config, dict) or not isinstance(digest, str):
            if not {"config", "layers", "mediaType"} & manifest.keys():
                return  # no manifest of an image, whatever else somebody keeps there
            yield self._finding("image-manifest-broken", "its manifest names no config")
            return
        if config.get("mediaType", "") not in _CONFIG_TYPES:
            return
        if digest not in self._image.data_names:
            yield self._finding("image-config-missing", f"its manifest names the config {digest}", part=digest)
            return
        raw = self._read(digest)
        if raw is not None:
            yield from self._compare(raw, digest)

    def _compare(self, raw: bytes, digest: str) -> Iterator[Finding]:
        from cstore.oci.config import parse_config

        try:
            named = list(parse_config(raw).rootfs.diff_ids)
        except CstoreError as error:
            yield self._finding("image-config-broken", error.message, part=digest)
            return
        for top in filter(None, dict.fromkeys((self._image.layer, *self._image.mapped_layers))):
            recorded = self._diff_ids(top)
            if recorded is not None and not fit(named, recorded):
                sentence = f"its config names {len(named)} layers by digest, but layer {top} is built from others"
                yield self._finding("image-layers-differ", sentence, part=top, layer=top, config=named, found=recorded)
        if named and not self._image.layer:
            sentence = f"its config names {len(named)} layers, but its record lists none"
            yield self._finding("image-layers-differ", sentence, part="", layer="", config=named, found=[])

    def _diff_ids(self, top: str) -> list[str] | None:
        """The digests of the layers of a chain, bottom first; None if one has no record."""
        records = [self._snapshot.all_layers.get(layer) for layer in self._snapshot.chain(top)]
        if not all(records):
            return None
        return [found[0].diff_digest for found in reversed(records) if found]


def fit(named: list[str], recorded: list[str]) -> bool:
    """Whether these can be the same layers. One whose digest nobody recorded may be any; so may an empty one more."""
    return len(named) == len(recorded) and all(
        not found or found == wanted for wanted, found in zip(named, recorded, strict=True)
    )


def _object(data: bytes) -> dict[str, Any] | None:
    import json

    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
