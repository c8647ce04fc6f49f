"""Most of a sink for whatever keeps manifests and blobs by their digests: a layout, a directory, a registry.

What is there already is not read. Layers are put into another form where the destination, or the caller, wants that;
the config stays what it is, byte for byte, and so does the image's ID. The manifest comes last.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING

from cstore.archive.compression import Compression
from cstore.archive.streams import FileSink, HashingSink, compressed
from cstore.digests import algorithm_of, digest_from, digest_of, new_hash
from cstore.errors import ImageArchiveError, Unsupported, UsageMistake
from cstore.oci.platforms import wanted_platform
from cstore.transfer import media
from cstore.transfer.contract import (
    BlobDone,
    BlobPresent,
    BlobProgress,
    CopiedImage,
    Planned,
    Remembers,
    RemoteSource,
    TriesAgain,
)
from cstore.transfer.manifests import Descriptor, Index, Manifest, rewritten
from cstore.transfer.members import Part, PartReader
from cstore.transfer.oci_layout import Choice, check_size, chosen_instances, digest_differs
from cstore.transfer.plan import MOST_IMAGES
from cstore.transfer.rate import Limited, Rate
from cstore.transfer.scratch import scratch_file
from cstore.transfer.sources import layer_forms, read_document
from cstore.transfer.verifying import drained, uncompressed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.archive.streams import ReadInto
    from cstore.transfer.contract import CopyRequest, ImageSource, Tell

KEPT, COMPRESSED, PLAIN = "kept", "compressed", "plain"
"""How a destination wants layers: as they are, compressed in some way unless they come as they are, not compressed."""

_DEEPEST = 4


class BlobSink(ABC):
    """A sink for whatever keeps blobs by their digests. A subclass says how.

    Attributes:
        shown: what to call it in messages.
        layers: in which form it wants layers: `KEPT`; `COMPRESSED`, if they are put together anew; or `PLAIN`.
        docker: whether it takes Docker's manifests; OCI's are made of them where it does not.
        several: whether it takes an index.
        parallel: whether it takes blobs side by side, each in a thread of its own.
    """

    shown = ""
    layers = KEPT
    docker = True
    several = True
    parallel = False

    @abstractmethod
    def has(self, blob: Descriptor) -> bool:
        """Whether a blob is there already, whole."""

    @abstractmethod
    def put(self, blob: Descriptor, source: ReadInto) -> None:
        """Take a blob. `source` raises at its end if that was not the blob: it shall not count before."""

    @abstractmethod
    def put_manifest(self, raw: bytes, described: Descriptor, *, instance: bool) -> None:
        """Take a manifest or index whose parts are all there; an `instance` is one of an index that comes later."""

    def finish(self) -> tuple[str, ...]:
        """Make the image visible, as the last manifest that was put; return its names."""
        return ()

    def give_up(self) -> None:  # noqa: B027  - most have nothing to do
        """Leave nothing of what was put that could be taken for an image."""

    # ── the same for all ──

    def take(self, source: ImageSource, request: CopyRequest, tell: Tell) -> CopiedImage:
        """Take an image (see `contract.ImageSink`)."""
        if request.all_platforms and not self.several:
            raise Unsupported(f"{self.shown} accepts one image, not an index of several", hint="leave out --all")
        if request.platform and request.all_platforms:
            raise UsageMistake("one platform and all platforms cannot both be wanted", hint="omit --platform or --all")
        if isinstance(source, TriesAgain):
            source.hear(tell)
        try:
            return _Taking(self, source, request, tell).run()
        except BaseException:
            self.give_up()
            raise


class _Taking:
    """One image on its way."""

    def __init__(self, sink: BlobSink, source: ImageSource, request: CopyRequest, tell: Tell) -> None:
        self._sink, self._source, self._request, self._tell = sink, source, request, tell
        self._copied: dict[str, int] = {}
        self._present: dict[str, int] = {}
        self._placed: dict[str, Descriptor] = {}
        self._rate = Rate(request.limit_rate if isinstance(source, RemoteSource) else 0)
        self._id = ""

    def run(self) -> CopiedImage:
        """Take everything, the manifest last."""
        document = self._wanted(read_document(self._source, artifacts=True), 0)
        self._announce(document)
        digest, names = digest_of(document.raw), tuple[str, ...]()
        if not self._request.dry_run:
            digest = self._document(document, instance=False).digest
            names = self._sink.finish()
        return CopiedImage(
            self._source.shown,
            self._sink.shown,
            self._id,
            digest,
            names,
            tuple(self._copied),
            tuple(self._present),
            sum(self._copied.values()),
        )

    def _wanted(self, document: Manifest | Index, depth: int) -> Manifest | Index:
        """What is to be taken of an index: all of it, or the image for one platform."""
        if isinstance(document, Manifest) or self._request.all_platforms:
            return document
        if depth == _DEEPEST:
            raise ImageArchiveError(self._source.shown, f"indexes within indexes, more than {_DEEPEST} deep")
        choice = Choice(wanted_platform(self._request.platform))
        entry = chosen_instances(document.manifests, choice, self._source.shown)[0]
        return self._wanted(read_document(self._source, entry), depth + 1)

    def _announce(self, document: Manifest | Index) -> None:
        """Tell what will be moved. An index is told of by its manifests alone: they are read one after the other."""
        parts = document.manifests if isinstance(document, Index) else (document.config, *document.layers)
        if isinstance(document, Manifest):
            self._id = document.config.digest.partition(":")[2]
        there = {part.digest for part in parts if self._sink.has(part)}
        fetch = {part.digest: (part.digest, part.size, 0) for part in parts if part.digest not in there}
        if self._request.dry_run:
            self._present = {part.digest: part.size for part in parts if part.digest in there}
            self._copied = {digest: size for digest, size, _ in fetch.values()}
        self._tell(Planned(tuple(fetch.values()), tuple(there)))

    def _document(self, document: Manifest | Index, *, instance: bool, depth: int = 0) -> Descriptor:
        """Take a document and all that it names. An index may name one twice."""
        before = self._placed.get(digest_of(document.raw))
        if before is None:
            before = self._placed[digest_of(document.raw)] = self._put(document, instance=instance, depth=depth)
        return before

    def _put(self, document: Manifest | Index, *, instance: bool, depth: int) -> Descriptor:
        docker = self._sink.docker and document.media_type in media.DOCKER
        if isinstance(document, Index):
            if depth == _DEEPEST:
                raise ImageArchiveError(self._source.shown, f"indexes within indexes, more than {_DEEPEST} deep")
            if len(document.manifests) > MOST_IMAGES:
                raise ImageArchiveError(self._source.shown, f"its index names more than {MOST_IMAGES} images")
            parts = [
                self._document(read_document(self._source, entry, artifacts=True), instance=True, depth=depth + 1)
                for entry in document.manifests
            ]
            before: Sequence[Descriptor] = document.manifests
        else:
            original = self._original(document)
            parts = self._layers(document, original) if is_image(document) else self._as_they_are(document.layers)
            if original is not None and [part.digest for part in parts] == [one.digest for one in original.layers]:
                document, parts = original, list(original.layers)
                docker = self._sink.docker and document.media_type in media.DOCKER
            docker = docker and not any(part.media_type.endswith("zstd") for part in parts)
            parts = [part.with_(media_type=_typed(part, docker=docker)) for part in parts]
            self._blob(document.config)
            before = document.layers
        same = docker == (document.media_type in media.DOCKER) and all(map(_same, parts, before))
        raw = document.raw if same else rewritten(document, parts, docker=docker)
        kind = document.media_type if same else _kind(document, docker=docker)
        described = Descriptor(kind, digest_of(raw), len(raw))
        self._sink.put_manifest(raw, described, instance=instance)
        return described

    def _original(self, manifest: Manifest) -> Manifest | None:
        """The manifest that an image came with, if its source remembers one, and these layers are wanted."""
        original = self._source.original if isinstance(self._source, Remembers) else None
        wanted = self._request.compression
        if original is None or self._sink.layers == PLAIN or original.config.digest != manifest.config.digest:
            return None
        forms = {media.LAYERS.get(layer.media_type) for layer in original.layers}
        return original if wanted is None or forms == {wanted} else None

    # ── layers ──

    def _layers(self, manifest: Manifest, original: Manifest | None) -> list[Descriptor]:
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
        """Take a layer in the form that is wanted; return what describes it there."""
        if original is not None and self._sink.has(original):
            self._is_there(original)
            return original
        form = media.LAYERS.get(layer.media_type, Compression.NONE)
        wanted = self._wanted_form(form)
        if wanted == form:
            self._blob(layer)
            return layer
        with ExitStack() as stack:
            spool = stack.enter_context(scratch_file())
            described = self._changed(layer, diff_id, form, wanted, spool.fileno())
            if self._known(described):
                self._is_there(described)
            else:
                self._sink.put(described, PartReader(spool.fileno(), Part(described.digest, described.size)))
                self._is_copied(described)
        return described

    def _wanted_form(self, form: Compression) -> Compression:
        if self._sink.layers == PLAIN:
            return Compression.NONE
        if self._request.compression is not None:
            return self._request.compression
        anew = self._sink.layers == COMPRESSED and isinstance(self._source, Remembers)
        return Compression.GZIP if anew and form is Compression.NONE else form

    def _changed(
        self, layer: Descriptor, diff_id: str, form: Compression, wanted: Compression, spool: int
    ) -> Descriptor:
        """Write a layer in another form into a file; return what describes that."""
        plain, written = new_hash(algorithm_of(diff_id)), HashingSink(FileSink(spool, "a temporary file"))
        with self._source.open(layer) as opened, compressed(written, wanted) as sink:
            verified = Verified(Limited(opened, self._rate), layer, self._tell)
            for piece in drained(uncompressed(verified) if form is not Compression.NONE else verified):
                plain.update(piece)
                sink.write(piece)
        if digest_from(plain) != diff_id:
            raise digest_differs(layer.digest, diff_id, digest_from(plain), "DiffID")
        os.lseek(spool, 0, os.SEEK_SET)
        return Descriptor(media.layer_type(wanted, docker=False), written.digest, written.count)

    # ── blobs ──

    def _as_they_are(self, layers: Sequence[Descriptor]) -> list[Descriptor]:
        for layer in layers:
            self._blob(layer)
        return list(layers)

    def _blob(self, blob: Descriptor) -> None:
        if self._known(blob):
            self._is_there(blob)
            return
        with self._source.open(blob) as opened:
            self._sink.put(blob, Verified(Limited(opened, self._rate), blob, self._tell))
        self._is_copied(blob)

    def _known(self, blob: Descriptor) -> bool:
        return blob.digest in self._copied or blob.digest in self._present or self._sink.has(blob)

    def _is_there(self, blob: Descriptor) -> None:
        if blob.digest not in self._copied and blob.digest not in self._present:
            self._present[blob.digest] = blob.size
            self._tell(BlobPresent(blob.digest, blob.size))

    def _is_copied(self, blob: Descriptor) -> None:
        self._copied[blob.digest] = blob.size
        self._tell(BlobDone(blob.digest, blob.size))


class Verified:
    """Reads a blob, and raises at its end, or past it, if it was not the one that was described."""

    def __init__(self, source: ReadInto, blob: Descriptor, tell: Tell | None = None) -> None:
        self._source, self._blob, self._tell = source, blob, tell
        self._hash = new_hash(algorithm_of(blob.digest))
        self._count = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Read once.

        Raises:
            ImageArchiveError: the blob is another one.
        """
        count = self._source.readinto(buffer)
        self._count += count
        if count == 0 or self._count > self._blob.size >= 0:
            check_size(self._blob.digest, self._blob.size, self._count)
            if digest_from(self._hash) != self._blob.digest:
                raise digest_differs(self._blob.digest, self._blob.digest, digest_from(self._hash))
            return 0
        self._hash.update(buffer[:count])
        if self._tell is not None:
            self._tell(BlobProgress(self._blob.digest, self._count, self._blob.size))
        return count


def is_image(manifest: Manifest) -> bool:
    """Whether a manifest is one of an image: attestations, signatures and charts are kept in the same form."""
    layers = all(layer.media_type in media.LAYERS for layer in manifest.layers if layer.media_type)
    return layers and manifest.config.media_type in {*media.CONFIGS, ""}


def _typed(layer: Descriptor, *, docker: bool) -> str:
    """A layer's media type in the one form or the other; one that says what is special stays."""
    form = media.LAYERS.get(layer.media_type)
    if form is None or (layer.media_type in media.DOCKER_LAYERS) == docker:
        return layer.media_type
    return media.layer_type(form, docker=docker)


def _same(one: Descriptor, other: Descriptor) -> bool:
    return (one.media_type, one.digest, one.size) == (other.media_type, other.digest, other.size)


def _kind(document: Manifest | Index, *, docker: bool) -> str:
    if isinstance(document, Index):
        return media.DOCKER_INDEX if docker else media.OCI_INDEX
    return media.DOCKER_MANIFEST if docker else media.OCI_MANIFEST
