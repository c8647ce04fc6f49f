"""Containers in a registry: each is an OCI artifact with its own manifest.

    manifest     artifactType application/vnd.cstore.container.v1
    config       application/vnd.cstore.container.v1+json: the container's record, with the keys that it has on disk
    layers       application/vnd.cstore.container.data.v1 for each data item, its key in the annotation
                 org.opencontainers.image.title; then application/vnd.cstore.container.directory.v1.tar+gzip: what its
                 own directory holds, where engines keep what they know of it (`buildah.json`), unless it is empty; then
                 application/vnd.oci.image.layer.v1.tar+gzip: what the container has written, with OCI's whiteouts

The same container always has the same bytes, so only changes are sent to a registry. On the way back, the container is
created only after every digest was verified, and never in place of another one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from cstore import gojson
from cstore.archive.compression import Compression
from cstore.archive.streams import FileReader, HashingSink, compressed
from cstore.digests import digest_of
from cstore.errors import IDTaken, ImageArchiveError, InvalidTime, Unsupported
from cstore.oci.media_types import OCI_MANIFEST
from cstore.oci.names import LOCAL, ImageName, is_tag
from cstore.store import NewContainer
from cstore.store.ends import as_reader
from cstore.store.image_creation import check_time
from cstore.transfer.contract import BlobDone, CopiedImage, Planned
from cstore.transfer.manifests import Descriptor, Manifest, load_json
from cstore.transfer.room import require_room
from cstore.transfer.scratch import ScratchSink, scratch_file
from cstore.transfer.sources import read_blob, read_document
from cstore.transfer.telling import Verified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Self

    from cstore.archive.streams import ReadInto, Sink
    from cstore.idmap import IDMap
    from cstore.store import Store
    from cstore.transfer.contract import CopyRequest, ImageSource, Tell

ARTIFACT = "application/vnd.cstore.container.v1"
CONFIG = f"{ARTIFACT}+json"
DATA = "application/vnd.cstore.container.data.v1"
DIRECTORY = "application/vnd.cstore.container.directory.v1.tar+gzip"
WRITTEN = "application/vnd.oci.image.layer.v1.tar+gzip"
TITLE = "org.opencontainers.image.title"

REPOSITORY, UNNAMED = "cstore/containers", "cstore/images"
"""Under which path of `localhost` containers are kept, and images of theirs that have no name; the tag is the ID."""
_BY_DIGEST = "id-"
_MOST_DATA = 64 << 20
"""Bytes in all data items of one container: they are in memory together."""
_LABELS = ("ProcessLabel", "MountLabel", "MountOpts", "Volatile")
"""Flags that a container is made with by other means."""


def name_of(identifier: str, path: str = REPOSITORY) -> ImageName:
    """The name that a container has at a registry; an ID that cannot be a tag is kept under its digest."""
    usable = is_tag(identifier) and not identifier.startswith(_BY_DIGEST)
    return ImageName(LOCAL, path, identifier if usable else _BY_DIGEST + digest_of(identifier.encode())[7:])


def is_container(path: str) -> bool:
    """Whether a repository is one for containers."""
    return f"/{path}".endswith(f"/{REPOSITORY}")


class ContainerSource:
    """One container of a store, as a source. To be used as a context manager.

    What it has written, and its own directory, are packed once, into files without a name.
    """

    name = ""

    def __init__(self, store: Store, ref: str) -> None:
        """Find a container.

        Raises:
            ContainerUnknown: there is no such container.
        """
        self.record = store.containers.get(ref)
        self.shown = f"container {self.record.id}"
        self._store = store
        self._stack = ExitStack()
        self._small: dict[str, bytes] = {}
        self._packed: dict[str, int] = {}
        """The files that large parts are in, by digest."""
        self._raw = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def manifest(self, digest: str = "") -> bytes:
        """See `ImageSource.manifest`.

        Raises:
            Unsupported: its data items are too large.
        """
        if digest:
            raise ImageArchiveError(digest, f"{self.shown} is one artifact, and no index names it")
        if not self._raw:
            containers, layers = self._store.containers, self._store.layers
            parts: list[dict[str, Any]] = [
                {**self._kept(DATA, containers.get_data(self.record.id, key)), "annotations": {TITLE: key}}
                for key in self.record.data_names
            ]
            if sum(part["size"] for part in parts) > _MOST_DATA:
                raise Unsupported(f"the data items of {self.shown} have more than {_MOST_DATA} bytes")
            parts += self._pack(DIRECTORY, lambda sink: containers.write_directory(self.record.id, sink))
            if self.record.layer:
                # A deleted file has no time, and the same container must have the same bytes.
                parts += self._pack(WRITTEN, lambda sink: layers.write_changes(self.record.layer, sink, gone_at=0))
            # What the record says of data items, the manifest says.
            told = {key: value for key, value in self.record.document().items() if not key.startswith("big-data")}
            config = self._kept(CONFIG, gojson.encode(told))
            top = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": ARTIFACT}
            self._raw = gojson.encode({**top, "config": config, "layers": parts})
        return self._raw

    def _kept(self, media_type: str, data: bytes) -> dict[str, Any]:
        digest = digest_of(data)
        self._small[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _pack(self, media_type: str, write: Callable[[Sink], object]) -> list[dict[str, Any]]:
        """Pack the output of `write`; nothing if it returns False."""
        file = self._stack.enter_context(scratch_file()).fileno()
        packed = HashingSink(ScratchSink(file))
        with compressed(packed, Compression.GZIP) as plain:
            if write(plain) is False:
                return []
        self._packed[packed.digest] = file
        return [{"mediaType": media_type, "digest": packed.digest, "size": packed.count}]

    @contextmanager
    def open(self, blob: Descriptor, offset: int = 0) -> Iterator[ReadInto]:
        """See `ImageSource.open`."""
        self.manifest()
        if blob.digest in self._packed:
            os.lseek(self._packed[blob.digest], offset, os.SEEK_SET)
            yield FileReader(self._packed[blob.digest], self.shown)
        elif blob.digest in self._small:
            yield as_reader(self._small[blob.digest][offset:], blob.digest)
        else:
            raise ImageArchiveError(self.shown, f"it has no blob {blob.digest}")


# ── back ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def identifier_of(source: ImageSource, tag: str) -> str:
    """Return the ID of the container under a tag.

    Raises:
        CstoreError: it is not a container, or cannot be read.
    """
    return (
        _wanted(read_blob(source, _manifest_of(source).config), source.shown).id if tag.startswith(_BY_DIGEST) else tag
    )


def _manifest_of(source: ImageSource) -> Manifest:
    manifest = read_document(source, artifacts=True)
    if not isinstance(manifest, Manifest) or manifest.config.media_type != CONFIG:
        raise ImageArchiveError(source.shown, f"it is not a container: its config is not of type {CONFIG}")
    return manifest


def restore_container(store: Store, source: ImageSource, request: CopyRequest, tell: Tell) -> CopiedImage:
    """Create a container again, with its ID, names, data items, its own directory and its changes.

    Raises:
        ImageArchiveError: it is not a container, or differs from its manifest.
        IDTaken, NameTaken: the store has another container with that ID or name.
        ImageUnknown: the store lacks its image.
        DoesNotFit: there is no room for it.
        CstoreError: it cannot be read or created.
    """
    manifest = _manifest_of(source)
    items = [part for part in manifest.layers if part.media_type == DATA]
    packed = {part.media_type: part for part in manifest.layers if part.media_type in {DIRECTORY, WRITTEN}}
    if len(items) + len(packed) != len(manifest.layers):
        raise ImageArchiveError(source.shown, "it has parts that containers do not have")
    size = sum(part.size for part in items)
    if size > _MOST_DATA:
        raise ImageArchiveError(source.shown, f"its data items have {size} bytes, and may have {_MOST_DATA}")
    wanted = _wanted(read_blob(source, manifest.config), source.shown)
    known = store.containers.find(wanted.id)
    if known is not None and known.id == wanted.id:
        raise IDTaken("container", wanted.id)
    every = (manifest.config, *manifest.layers)
    total = sum(part.size for part in every)
    free = require_room(source.shown, store.config.graph_root, total)
    tell(Planned(tuple((part.digest, part.size, 0) for part in every), (), 0, free))
    if not request.dry_run:
        data = {part.annotations.get(TITLE, ""): read_blob(source, part, _MOST_DATA) for part in items}
        if len(data) != len(items):
            raise ImageArchiveError(source.shown, "two of its data items have the same key")
        with ExitStack() as stack:
            contents, directory = (
                Verified(stack.enter_context(source.open(packed[kind])), packed[kind], tell) if kind in packed else None
                for kind in (WRITTEN, DIRECTORY)
            )
            store.containers.create(wanted.with_(data=data), contents, directory)
        for part in every:
            tell(BlobDone(part.digest, part.size))
    digests = tuple(part.digest for part in every)
    shown = f"container {wanted.id}"
    return CopiedImage(source.shown, shown, "", digest_of(manifest.raw), wanted.names, digests, (), total)


def _wanted(raw: bytes, shown: str) -> NewContainer:
    """Parse the record of a container. Refuses values that other programs could not read.

    Raises:
        ImageArchiveError: it is not valid.
    """
    told = load_json(raw, shown)
    if not isinstance(told, dict):
        raise ImageArchiveError(shown, "its record is not a JSON object")
    texts: dict[str, Any] = {key: told.get(key) or "" for key in ("id", "image", "layer", "metadata", "created")}
    names, flags = told.get("names") or [], told.get("flags") or {}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise ImageArchiveError(shown, f"its record has {value!r} under {key!r}")
    try:
        check_time(texts["created"])
        sound = bool(texts["id"])
    except InvalidTime:
        sound = False
    if not sound:
        raise ImageArchiveError(shown, "its record has no ID, or no valid time of creation")
    if not _are_texts(names) or not isinstance(flags, dict) or not all(map(_is_flag, flags.values())):
        raise ImageArchiveError(shown, "its record has invalid names or flags")
    options = flags.get("MountOpts")
    return NewContainer(
        **texts,
        names=tuple(names),
        id_map=_id_map(told, shown),
        host_uids=not told.get("uidmap"),
        host_gids=not told.get("gidmap"),
        process_label=str(flags.get("ProcessLabel") or ""),
        mount_label=str(flags.get("MountLabel") or ""),
        mount_options=tuple(options) if isinstance(options, list) else (),
        volatile=flags.get("Volatile") is True,
        flags={key: value for key, value in flags.items() if key not in _LABELS},
    )


def _id_map(told: Mapping[str, Any], shown: str) -> IDMap:
    from cstore.records.model import IDMapEntry, to_id_map

    keys = ("container_id", "host_id", "size")
    ranges = []
    for which in ("uidmap", "gidmap"):
        entries = told.get(which) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ImageArchiveError(shown, f"expected ranges under {which!r} in its record")
        numbers = [[entry.get(key) for key in keys] for entry in entries]
        if not all(type(number) is int and 0 <= number < 1 << 32 for row in numbers for number in row):
            raise ImageArchiveError(shown, f"its record has invalid ranges under {which!r}")
        ranges.append([IDMapEntry(*row) for row in numbers])
    return to_id_map(*ranges)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_flag(value: object) -> bool:
    """Whether every program can read a flag: not large numbers, and not nested values."""
    return isinstance(value, str | bool) or _are_texts(value) or (isinstance(value, int) and abs(value) < 1 << 53)
