"""The copy loop: one image from its source into a sink that keeps blobs by their digests, the manifest last."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial

from cstore.archive.compression import Compression
from cstore.archive.streams import HashingSink, compressed
from cstore.digests import algorithm_of, digest_of
from cstore.errors import ImageArchiveError
from cstore.oci.config import parse_config
from cstore.oci.platforms import show_platform, suits, wanted_platform
from cstore.transfer import media
from cstore.transfer.blob_sink import COMPRESSED, PLAIN
from cstore.transfer.contract import (
    BlobDone,
    BlobPresent,
    CopiedImage,
    Planned,
    Remembers,
    RemoteSource,
    TriesAgain,
    WritesBlobs,
    window_for,
)
from cstore.transfer.manifests import Descriptor, Index, Manifest, is_image, rewritten
from cstore.transfer.members import Part, PartReader
from cstore.transfer.oci_layout import Choice, chosen_instances, digest_differs
from cstore.transfer.plan import MOST_IMAGES
from cstore.transfer.rate import Limited, Rate
from cstore.transfer.room import require_room
from cstore.transfer.scratch import ScratchSink
from cstore.transfer.sources import layer_forms, read_blob, read_document
from cstore.transfer.telling import TellingSink, Verified
from cstore.transfer.verifying import pour, uncompressed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.streams import Sink
    from cstore.transfer.blob_sink import BlobSink
    from cstore.transfer.contract import CopyRequest, ImageSource, Tell

_DEEPEST = 4


class ImageCopy:
    """The copy of one image."""

    def __init__(
        self,
        sink: BlobSink,
        source: ImageSource,
        request: CopyRequest,
        tell: Tell,
        forms: dict[tuple[str, Compression], Descriptor],
        promised: list[Descriptor],
    ) -> None:
        self._sink, self._source, self._request, self._tell = sink, source, request, tell
        self._forms = forms
        """Recompressed layers of all images."""
        self._promised = promised
        """Blobs that are written when the sink is finished."""
        self._copied: dict[str, int] = {}
        self._present: dict[str, int] = {}
        self._placed: dict[str, Descriptor] = {}
        self._rate = Rate(request.limit_rate if isinstance(source, RemoteSource) else 0)
        self._id = ""
        if isinstance(source, TriesAgain):
            source.hear(tell)
        sink.begin(source)

    def run(self) -> CopiedImage:
        """Copy everything, the manifest last."""
        document = self._wanted(read_document(self._source, artifacts=self._sink.layers != PLAIN), 0)
        self._announce(document)
        digest = digest_of(document.raw)
        if not self._request.dry_run:
            digest = self._document(document, instance=False).digest
        return CopiedImage(
            self._source.shown,
            self._sink.shown,
            self._id,
            digest,
            copied=tuple(self._copied),
            present=tuple(self._present),
            size=sum(self._copied.values()),
        )

    def _wanted(self, document: Manifest | Index, depth: int) -> Manifest | Index:
        """Return the part of an index to copy: all of it, or the image for one platform."""
        if isinstance(document, Manifest) and self._request.platform and not depth:
            # It is the only image there is, so it must be for the platform that was asked for.
            offered = parse_config(read_blob(self._source, document.config)).platform
            if not suits(offered, wanted_platform(self._request.platform)):
                reason = f"it has no image for {self._request.platform}"
                raise ImageArchiveError(self._source.shown, reason, hint=f"it has: {show_platform(offered)}")
        if isinstance(document, Manifest) or self._request.all_platforms:
            return document
        if depth == _DEEPEST:
            raise ImageArchiveError(self._source.shown, f"indexes within indexes, more than {_DEEPEST} deep")
        choice = Choice(wanted_platform(self._request.platform))
        entry = chosen_instances(document.manifests, choice, self._source.shown)[0]
        return self._wanted(read_document(self._source, entry), depth + 1)

    def _announce(self, document: Manifest | Index) -> None:
        """Report the plan. For an index, it lists only the manifests, because they are read one after the other.

        Raises:
            DoesNotFit: there is no room for it.
        """
        parts = document.manifests if isinstance(document, Index) else (document.config, *document.layers)
        if isinstance(document, Manifest):
            self._id = document.config.digest.partition(":")[2]
        there = {part.digest for part in parts if self._sink.has(part)}
        fetch = {part.digest: (part.digest, part.size, 0) for part in parts if part.digest not in there}
        if self._request.dry_run:
            self._present = {part.digest: part.size for part in parts if part.digest in there}
            self._copied = {digest: size for digest, size, _ in fetch.values()}
        needs, free = 0, -1
        if self._sink.room:
            kept = self._request.compression is None and not isinstance(self._source, Remembers)
            needs = sum(size for _, size, _ in fetch.values()) if kept else 0
            free = require_room(self._source.shown, self._sink.room, needs)
        self._tell(Planned(tuple(fetch.values()), tuple(there), needs, free))

    def _document(self, document: Manifest | Index, *, instance: bool, depth: int = 0) -> Descriptor:
        """Copy a document and everything that it names. An index may name a document twice."""
        key = digest_of(document.raw)
        if key in self._placed:
            return self._placed[key]
        if isinstance(document, Index):
            if depth == _DEEPEST:
                raise ImageArchiveError(self._source.shown, f"indexes within indexes, more than {_DEEPEST} deep")
            if len(document.manifests) > MOST_IMAGES:
                raise ImageArchiveError(self._source.shown, f"its index names more than {MOST_IMAGES} images")
            parts = [
                self._document(read_document(self._source, entry, artifacts=True), instance=True, depth=depth + 1)
                for entry in document.manifests
            ]
            docker = self._sink.docker and document.media_type in media.DOCKER
            before, kinds = document.manifests, (media.OCI_INDEX, media.DOCKER_INDEX)
        else:
            document, parts = self._parts(document)
            docker = self._sink.docker and document.media_type in media.DOCKER
            docker = docker and not any(part.media_type.endswith("zstd") for part in parts)
            parts = [part.with_(media_type=_typed(part, docker=docker)) for part in parts]
            before, kinds = document.layers, (media.OCI_MANIFEST, media.DOCKER_MANIFEST)
        same = docker == (document.media_type in media.DOCKER) and all(
            (part.media_type, *_content(part)) == (old.media_type, *_content(old))
            for part, old in zip(parts, before, strict=True)
        )
        raw = document.raw if same else rewritten(document, parts, docker=docker)
        kind = document.media_type if same else kinds[docker]
        described = Descriptor(kind, digest_of(raw), len(raw))
        self._sink.put_manifest(raw, described, instance=instance)
        self._placed[key] = described
        return described

    def _parts(self, manifest: Manifest) -> tuple[Manifest, list[Descriptor]]:
        """Copy layers and config; return the layers at the destination, and the manifest to write with them."""
        # The one that the image came with, if its source remembers it and its layers are in a form that is wanted.
        original = self._source.original if isinstance(self._source, Remembers) else None
        if original is not None:
            forms = {media.LAYERS.get(layer.media_type) for layer in original.layers}
            unwanted = self._request.compression is not None and forms != {self._request.compression}
            if unwanted or self._sink.layers == PLAIN or original.config.digest != manifest.config.digest:
                original = None
        if is_image(manifest):
            parts = self._layers(manifest, original)
        else:
            parts = list(manifest.layers)
            for layer in parts:
                self._blob(layer)
        if original is not None and list(map(_content, parts)) == list(map(_content, original.layers)):
            parts = list(original.layers)
            if self._sink.docker or original.media_type not in media.DOCKER:
                manifest = original
        self._blob(manifest.config)
        return manifest, parts

    # ── layers ──

    def _layers(self, manifest: Manifest, original: Manifest | None) -> list[Descriptor]:
        plain = all(media.LAYERS.get(layer.media_type) is Compression.NONE for layer in manifest.layers)
        if plain and isinstance(self._source, Remembers):
            diff_ids: Sequence[str] = [layer.digest for layer in manifest.layers]  # the source held them to its config
        else:
            diff_ids = layer_forms(self._source, manifest)
        originals: Sequence[Descriptor | None] = original.layers if original else [None] * len(manifest.layers)
        triples = list(zip(manifest.layers, diff_ids, originals, strict=True))
        if not self._sink.parallel or len(triples) < 2:
            return [self._layer(*each) for each in triples]
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(max(1, self._request.jobs), "cstore-copy")
        try:
            return [each.result() for each in [pool.submit(self._layer, *triple) for triple in triples]]
        finally:
            pool.shutdown(cancel_futures=True)

    def _layer(self, layer: Descriptor, diff_id: str, original: Descriptor | None) -> Descriptor:
        """Copy a layer in the form that is wanted; return its descriptor at the destination."""
        if original is not None and self._sink.has(original):
            self._is_there(original)
            return original
        form = media.LAYERS.get(layer.media_type, Compression.NONE)
        wanted = self._wanted_form(form)
        if wanted == form:
            self._blob(layer)
            return layer
        known = self._forms.get((layer.digest, wanted))
        if known is not None:
            self._is_there(known)
            return known
        with self._sink.spool() as spool:
            part = self._changed(layer, diff_id, form, wanted, spool)
            described = Descriptor(media.layer_type(wanted, docker=False), part.name, part.size)
            self._forms[layer.digest, wanted] = described
            if self._known(described):
                self._is_there(described)
                return described
            if not self._sink.promised(described, lambda sink: pour(PartReader(part.fd, part), sink)):
                self._sink.put(described, PartReader(part.fd, part))
            self._is_copied(described)
        return described

    def _wanted_form(self, form: Compression) -> Compression:
        if self._sink.layers == PLAIN:
            return Compression.NONE
        if self._request.compression is not None:
            return self._request.compression
        anew = self._sink.layers == COMPRESSED and isinstance(self._source, Remembers)
        return Compression.GZIP if anew and form is Compression.NONE else form

    def _changed(self, layer: Descriptor, diff_id: str, form: Compression, wanted: Compression, spool: int) -> Part:
        """Recompress a layer to the end of a file; return where it is, by its digest."""
        written = HashingSink(ScratchSink(spool))
        at = os.lseek(spool, 0, os.SEEK_END)
        with compressed(written, wanted) as sink:
            if form is Compression.NONE:
                found = layer.digest
                self._write(layer, sink)
            else:
                plain = HashingSink(sink, algorithm_of(diff_id))
                with self._read(layer) as reader:
                    pour(uncompressed(reader, window_for(self._source, self._request)), plain)
                found = plain.digest
        if found != diff_id:
            raise digest_differs(layer.digest, diff_id, found, "DiffID")
        return Part(written.digest, written.count, spool, at)

    # ── blobs ──

    def _blob(self, blob: Descriptor) -> None:
        if self._known(blob):
            self._is_there(blob)
            return
        if self._sink.room:
            require_room(self._source.shown, self._sink.room, blob.size)
        if not isinstance(self._source, RemoteSource) and self._sink.promised(blob, partial(self._write, blob)):
            self._copied[blob.digest] = blob.size
            self._promised.append(blob)
            return
        with self._read(blob) as reader:
            self._sink.put(blob, reader)
        self._is_copied(blob)

    @contextmanager
    def _read(self, blob: Descriptor) -> Iterator[Verified]:
        with self._source.open(blob) as opened:
            yield Verified(Limited(opened, self._rate), blob, self._tell)

    def _write(self, blob: Descriptor, sink: Sink) -> None:
        """Write a blob to a sink unchanged, and verify it."""
        if not isinstance(self._source, WritesBlobs):
            with self._read(blob) as reader:
                pour(reader, sink)
            return
        telling = TellingSink(sink, blob, self._tell)
        self._source.write(blob, telling)
        if telling.digest != blob.digest or blob.size not in {-1, telling.count}:
            raise self._source.damaged(blob)

    def _known(self, blob: Descriptor) -> bool:
        return blob.digest in self._copied or blob.digest in self._present or self._sink.has(blob)

    def _is_there(self, blob: Descriptor) -> None:
        if blob.digest not in self._copied and blob.digest not in self._present:
            self._present[blob.digest] = blob.size
            self._tell(BlobPresent(blob.digest, blob.size))

    def _is_copied(self, blob: Descriptor) -> None:
        self._copied[blob.digest] = blob.size
        self._tell(BlobDone(blob.digest, blob.size))


def _typed(layer: Descriptor, *, docker: bool) -> str:
    """A layer's media type in the one form or the other; one that says what is special stays."""
    form = media.LAYERS.get(layer.media_type)
    if form is None or (layer.media_type in media.DOCKER_LAYERS) == docker:
        return layer.media_type
    return media.layer_type(form, docker=docker)


def _content(part: Descriptor) -> tuple[str, int]:
    return part.digest, part.size
