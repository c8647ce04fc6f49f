"""Check the data items of layers, images and containers: present, readable, and with the recorded size and digest."""

from __future__ import annotations

import os
from hashlib import new as new_hash

from cstore.check.findings import Finding, Subject, of_image
from cstore.digests import check_digest
from cstore.errors import CstoreError, DataItemUnknown, InvalidDigest, UnsafeID
from cstore.gojson import encode, object_in
from cstore.oci.media_types import CONFIGS
from cstore.records import bigdata
from cstore.records.images import MANIFEST
from cstore.store.item_journal import item_directory, path_of_new
from cstore.store.lookup import layout_of_image
from cstore.store.places import ItemKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cstore.check.snapshot import StoreSnapshot
    from cstore.layout import Layout
    from cstore.records.model import Container, Image, Layer


_BLOCK = 1 << 20


def item_findings(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[Finding]:
    """Yield a finding for each flaw in the data items of the `wanted` layers, images and containers.

    Data of layers that are being removed may be missing: the next writer removes the rest.
    """
    for layer, read_only in snapshot.all_layers.values():
        if layer.data_names and not layer.incomplete and wanted("layer", layer.id):
            owner = _Owner("layer", layer.id, {}, {}, read_only=read_only)
            yield from _look(owner, layer, snapshot.layout_of(layer.id))
    for image, read_only in snapshot.all_images.values():
        if wanted("image", image.id):
            owner = _Owner("image", image.id, image.data_sizes, image.data_digests, read_only=read_only)
            layout = layout_of_image(snapshot, snapshot.layout, image.id)
            yield from _look(owner, image, layout)
    for container in snapshot.containers:
        if wanted("container", container.id):
            owner = _Owner("container", container.id, container.data_sizes, container.data_digests, read_only=False)
            yield from _look(owner, container, snapshot.layout)


class _Owner:
    """The item whose data items are checked, with their recorded sizes and digests."""

    def __init__(
        self, noun: str, identifier: str, sizes: Mapping[str, int], digests: Mapping[str, str], *, read_only: bool
    ) -> None:
        self.noun, self.id, self.read_only = noun, identifier, read_only
        self.sizes, self.digests = sizes, digests

    def finding(self, problem: str, key: str, sentence: str, go_text: str, **evidence: object) -> Finding:
        """Return a finding about one data item."""
        who = f"{'read-only ' if self.read_only else ''}{self.noun} {self.id}"
        line = f"{who}: data item {encode(key).decode()}: {go_text}" if go_text else ""
        found = {"part": key, "key": key, **evidence}
        kind, subject = f"{self.noun}-data-{problem}", Subject(self.noun, self.id)
        return Finding(kind, subject, f"its data item {key!r} {sentence}", found, line, read_only=self.read_only)


def _look(owner: _Owner, record: Layer | Image | Container, layout: Layout) -> Iterator[Finding]:
    item_kind = ItemKind(owner.noun)
    try:
        directory = item_directory(layout, item_kind, owner.id)
    except UnsafeID:
        return  # unsafe-id reports it
    for key in dict.fromkeys(record.data_names):
        try:
            path = path_of_new(layout, item_kind, record, key)
            descriptor = bigdata.open_item(directory, key, noun=owner.noun, path=path)
        except DataItemUnknown:
            yield owner.finding("missing", key, "is missing", f"{owner.noun} data item is missing")
        except CstoreError as error:
            yield owner.finding("unreadable", key, f"cannot be read: {error.message}", error.go_text)
        else:
            try:
                yield from _compare(owner, key, descriptor)
            except OSError as error:
                text = os.strerror(error.errno or 0)
                yield owner.finding("unreadable", key, f"cannot be read: {text}", text.lower())
            finally:
                os.close(descriptor)


def _compare(owner: _Owner, key: str, descriptor: int) -> Iterator[Finding]:
    size, recorded = os.fstat(descriptor).st_size, owner.digests.get(key, "")
    if owner.sizes.get(key, size) != size:
        yield owner.finding(
            "size", key, f"has {size} bytes instead of {owner.sizes[key]}",
            f"{owner.noun} data item has incorrect size", found=size, recorded=owner.sizes[key],
        )  # fmt: skip
        return
    if key not in owner.sizes and not recorded and size > bigdata.LARGEST:
        return  # nothing is recorded to compare a layer's item with, and reading a huge file takes too long
    try:
        algorithm = check_digest(recorded).partition(":")[0] if recorded else "sha256"
    except InvalidDigest:
        algorithm = "sha256"
    hashing, head = new_hash(algorithm, usedforsecurity=False), b""
    while block := os.read(descriptor, _BLOCK):
        hashing.update(block)
        head = head or block
    found = f"{algorithm}:{hashing.hexdigest()}"
    if not recorded or found == recorded:
        return
    document = object_in(head) if key.startswith(MANIFEST) else None
    if document is None or document.get("schemaVersion") != 1:  # the digest of schema 1 excludes its signatures
        yield owner.finding("digest", key, "has another digest than recorded", "", found=found, recorded=recorded)


# ── manifests ──
#
# Images as a whole: a valid manifest, the config that it names, and the layers that the config names.

_CONFIG_TYPES = CONFIGS | {""}
"""Media types of configs that name layers. A manifest's other configs, such as an artifact's, are not checked."""


def manifest_findings(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[Finding]:
    """Yield a finding for each flaw in the manifests and configs of the `wanted` images."""
    for image, read_only in snapshot.all_images.values():
        if wanted("image", image.id):
            yield from _manifest(snapshot, image, read_only=read_only)


def _manifest(snapshot: StoreSnapshot, image: Image, *, read_only: bool) -> Iterator[Finding]:
    """Check an image's manifest, then the config and the layers that it leads to, as far as each can be read."""
    manifests = [key for key in image.data_names if key.startswith(MANIFEST)]
    if not (manifests or image.digest or f"sha256:{image.id}" in image.data_names):
        sentence = "it has neither a manifest nor a config, so Podman cannot list the images of this store"
        yield of_image("image-without-data", image.id, sentence, read_only=read_only)
        return
    if MANIFEST not in manifests:
        sentence = f"it has no item {MANIFEST!r}, where all tools look for its manifest"
        yield of_image("image-manifest-missing", image.id, sentence, read_only=read_only, others=manifests)
        return
    data = _read(snapshot, image, MANIFEST)
    if data is None:
        return  # item_findings reports it
    manifest = object_in(data)
    if manifest is None:
        yield of_image("image-manifest-broken", image.id, "its manifest is not a JSON object", read_only=read_only)
        return
    if manifest.get("schemaVersion") == 1 or "manifests" in manifest:
        return  # it has no config: schema 1 lists layers differently, and an index names manifests
    config = manifest.get("config")
    digest = config.get("digest") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(digest, str):
        if {"config", "layers", "mediaType"} & manifest.keys():  # else it is not the manifest of an image
            yield of_image("image-manifest-broken", image.id, "its manifest names no config", read_only=read_only)
        return
    if config.get("mediaType", "") not in _CONFIG_TYPES:
        return
    if digest in image.data_names:
        yield from _config(snapshot, image, digest, read_only=read_only)
    else:
        sentence = f"its manifest names the config {digest}"
        yield of_image("image-config-missing", image.id, sentence, read_only=read_only, part=digest)


def _read(snapshot: StoreSnapshot, image: Image, key: str) -> bytes | None:
    try:
        directory = layout_of_image(snapshot, snapshot.layout, image.id).image_data(image.id)
        return bigdata.read_item(directory, key, noun="image")
    except (UnsafeID, CstoreError):
        return None


def _config(snapshot: StoreSnapshot, image: Image, digest: str, *, read_only: bool) -> Iterator[Finding]:
    """Compare an image's layers with those that its config names."""
    raw = _read(snapshot, image, digest)
    if raw is None:
        return  # item_findings reports it
    from cstore.oci.config import parse_config

    try:
        named = list(parse_config(raw).rootfs.diff_ids)
    except CstoreError as error:
        yield of_image("image-config-broken", image.id, error.message, read_only=read_only, part=digest)
        return
    kind = "image-layers-differ"
    for top in filter(None, dict.fromkeys((image.layer, *image.mapped_layers))):
        records = [snapshot.all_layers.get(layer) for layer in snapshot.chain(top)]
        found = [record[0].diff_digest for record in reversed(records) if record]
        if all(records) and not fit(named, found):  # another finding reports a layer without a record
            sentence = f"its config names {len(named)} layers by digest, but layer {top} is built from others"
            evidence = {"part": top, "layer": top, "config": named, "found": found}
            yield of_image(kind, image.id, sentence, read_only=read_only, **evidence)
    if named and not image.layer:
        sentence = f"its config names {len(named)} layers, but its record lists none"
        yield of_image(kind, image.id, sentence, read_only=read_only, part="", layer="", config=named, found=[])


def fit(named: list[str], recorded: list[str]) -> bool:
    """Return whether two lists of digests can name the same layers. An unrecorded digest matches any."""
    return len(named) == len(recorded) and all(
        not found or found == wanted for wanted, found in zip(named, recorded, strict=True)
    )
