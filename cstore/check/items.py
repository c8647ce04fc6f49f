"""Data items of layers, images and containers: there, readable, and the bytes that were stored."""

from __future__ import annotations

import os
from hashlib import new as new_hash

from cstore.check.findings import Finding, Subject
from cstore.digests import check_digest
from cstore.errors import CstoreError, DataItemUnknown, InvalidDigest, UnsafeID
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
    """Everything that is wrong with data items of the items that are `wanted`, by kind and ID."""
    for layer, read_only in snapshot.all_layers.values():
        if layer.data_names and wanted("layer", layer.id):
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
    """Whose items are looked at, and what is recorded of them."""

    def __init__(
        self, noun: str, identifier: str, sizes: Mapping[str, int], digests: Mapping[str, str], *, read_only: bool
    ) -> None:
        self.noun, self.id, self.read_only = noun, identifier, read_only
        self.sizes, self.digests = sizes, digests

    def finding(self, problem: str, key: str, sentence: str, go_text: str, **evidence: object) -> Finding:
        """Something wrong with one item."""
        who = f"{'read-only ' if self.read_only else ''}{self.noun} {self.id}"
        line = f"{who}: data item {_go_quoted(key)}: {go_text}" if go_text else ""
        found = {"part": key, "key": key, **evidence}
        kind, subject = f"{self.noun}-data-{problem}", Subject(self.noun, self.id)
        return Finding(kind, subject, f"its data item {key!r} {sentence}", found, line, read_only=self.read_only)


def _look(owner: _Owner, record: Layer | Image | Container, layout: Layout) -> Iterator[Finding]:
    item_kind = ItemKind(owner.noun)
    try:
        directory = item_directory(layout, item_kind, owner.id)
    except UnsafeID:
        return  # a finding of its own
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
        return  # of a layer's item nothing says what it should be, and to read it could take for ever
    try:
        algorithm = check_digest(recorded).partition(":")[0] if recorded else "sha256"
    except InvalidDigest:
        algorithm = "sha256"
    hashing, head = new_hash(algorithm, usedforsecurity=False), b""
    while block := os.read(descriptor, _BLOCK):
        hashing.update(block)
        head = head or block
    if recorded and f"{algorithm}:{hashing.hexdigest()}" != recorded and not _is_signed(key, head):
        found = f"{algorithm}:{hashing.hexdigest()}"
        yield owner.finding("digest", key, "has another digest than recorded", "", found=found, recorded=recorded)


def _is_signed(key: str, data: bytes) -> bool:
    """Whether it is a manifest of the first schema, whose digest leaves its signatures out."""
    if not key.startswith(MANIFEST):
        return False
    import json

    try:
        document = json.loads(data)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("schemaVersion") == 1


def _go_quoted(text: str) -> str:
    from cstore.gojson import encode

    return encode(text).decode()
