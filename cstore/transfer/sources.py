"""Images on this machine, in a layout, a directory or a store. See `contract.ImageSource`, and `archive_images`."""

from __future__ import annotations

from contextlib import contextmanager

from cstore.archive.compression import Compression
from cstore.errors import ContentDamaged, ImageArchiveError, InvalidName
from cstore.oci.names import DOCKER, parse_name
from cstore.oci.platforms import best, host_platform
from cstore.store.ends import as_reader
from cstore.transfer import media
from cstore.transfer.docker_archive import MANIFEST
from cstore.transfer.manifests import LARGEST, Descriptor, Index, Manifest, make_manifest, parse_document
from cstore.transfer.members import get_part
from cstore.transfer.oci_layout import NAME_KEYS, blob_name, check_size, read_index, require_digest
from cstore.transfer.stored import take_apart
from cstore.transfer.verifying import drained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.streams import ReadInto, Sink
    from cstore.errors import CstoreError
    from cstore.records.model import Layer
    from cstore.store import Store
    from cstore.transfer.contract import ImageSource
    from cstore.transfer.members import Members, Part
    from cstore.transfer.stored import StoredImage


def read_document(
    source: ImageSource, wanted: Descriptor | None = None, *, artifacts: bool = False
) -> Manifest | Index:
    """Read the manifest or index of a source, or the one that its index names, held to its digest and size.

    With `artifacts`, the manifest may be one of something else than an image.

    Raises:
        ImageArchiveError: it is another one, or none.
    """
    if wanted is None:
        return parse_document(_bounded(source.manifest(), source.shown), source.shown, artifacts=artifacts)
    raw = _bounded(source.manifest(wanted.digest), wanted.digest)
    check_size(wanted.digest, wanted.size, len(raw))
    require_digest(wanted.digest, wanted.digest, raw)
    return parse_document(raw, wanted.digest, artifacts=artifacts)


def read_blob(source: ImageSource, blob: Descriptor, limit: int = LARGEST) -> bytes:
    """Read a small blob, such as a config, held to its digest and size.

    Raises:
        ImageArchiveError: it is another one, or too large.
    """
    if blob.size > limit:
        raise ImageArchiveError(blob.digest, f"it has {blob.size} bytes, more than the allowed {limit}")
    data = bytearray()
    with source.open(blob) as reader:
        for piece in drained(reader):
            data += piece
            if len(data) > blob.size:
                break
    check_size(blob.digest, blob.size, len(data))
    whole = bytes(data)
    require_digest(blob.digest, blob.digest, whole)
    return whole


def _bounded(raw: bytes, where: str) -> bytes:
    if len(raw) > LARGEST:
        raise ImageArchiveError(where, f"it has {len(raw)} bytes, more than the allowed {LARGEST}")
    return raw


def full_name(text: str, home: str = DOCKER) -> str:
    """Complete a name; "" if it is not valid."""
    try:
        return str(parse_name(text, home=home)) if text else ""
    except InvalidName:
        return ""


@contextmanager
def opened_at(part: Part, offset: int) -> Iterator[ReadInto]:
    """Open a member for reading from a byte on."""
    with part.with_(offset=part.offset + offset, size=max(part.size - offset, 0)).opened() as reader:
        yield reader


# ── layouts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class LayoutSource:
    """One image of an OCI layout, in a directory or an archive."""

    def __init__(self, members: Members, reference: str) -> None:
        """Choose the image.

        Raises:
            ImageArchiveError: it is not a layout, has no such image, or has several and no name was given.
        """
        self.shown = members.shown
        self._members = members
        entries = read_index(members).manifests
        found = [entry for entry in entries if not reference or reference in references_of(entry)]
        if reference and not found:
            wanted = full_name(reference)
            found = [entry for entry in entries if wanted and wanted in map(full_name, references_of(entry))]
        if not found:
            called = ", ".join(name for entry in entries for name in references_of(entry)) or "none has a name"
            raise ImageArchiveError(members.shown, f"it has no image {reference!r}", hint=f"it has: {called}")
        self._entry = found[0]
        if len({entry.digest for entry in found}) > 1:
            place = best([entry.platform for entry in found], host_platform())
            if place < 0 or not reference:
                called = ", ".join(name for entry in found for name in references_of(entry)) or "none has a name"
                raise ImageArchiveError(
                    members.shown, f"it has {len(found)} images", hint=f"name one of them: {called}"
                )
            self._entry = found[place]
        said = [self._entry.annotations.get(key, "") for key in NAME_KEYS]
        self.name = next(filter(None, map(full_name, said)), "")

    def manifest(self, digest: str = "") -> bytes:
        """See `ImageSource.manifest`."""
        wanted = digest or self._entry.digest
        raw = get_part(self._members, blob_name(wanted), "the index").read(LARGEST)
        require_digest(blob_name(wanted), wanted, raw)
        return raw

    @contextmanager
    def open(self, blob: Descriptor, offset: int = 0) -> Iterator[ReadInto]:
        """See `ImageSource.open`."""
        with opened_at(get_part(self._members, blob_name(blob.digest), "the manifest"), offset) as reader:
            yield reader


def references_of(entry: Descriptor) -> tuple[str, ...]:
    """Return the names of an image in a layout."""
    return tuple(entry.annotations[key] for key in NAME_KEYS if entry.annotations.get(key))


class DirectorySource:
    """The image in a directory as skopeo's `dir:` has it: `manifest.json`, and blobs called by their digests."""

    name = ""

    def __init__(self, members: Members) -> None:
        """`members` are those of the directory.

        Raises:
            ImageArchiveError: it has no manifest.
        """
        self.shown = members.shown
        self._members = members
        get_part(members, MANIFEST, "the format")

    def manifest(self, digest: str = "") -> bytes:
        """See `ImageSource.manifest`."""
        name = f"{in_directory(digest)}.{MANIFEST}" if digest else MANIFEST
        return get_part(self._members, name, "the format").read(LARGEST)

    @contextmanager
    def open(self, blob: Descriptor, offset: int = 0) -> Iterator[ReadInto]:
        """See `ImageSource.open`."""
        with opened_at(get_part(self._members, in_directory(blob.digest), "the manifest"), offset) as reader:
            yield reader


def in_directory(digest: str) -> str:
    """Return the file name of a blob in a `dir:` directory."""
    algorithm, _, value = digest.partition(":")
    return value if algorithm == "sha256" else f"{algorithm}-{value}"


# ── a store ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class StoreSource:
    """One image of a store, its layers as they were before they were compressed."""

    def __init__(self, store: Store, wanted: str | StoredImage) -> None:
        """Find the image by name, ID or ID prefix, unless it is given.

        Raises:
            ImageUnknown: there is none.
            ImageInvalid: its parts are inconsistent.
        """
        self.store = store
        self.image = take_apart(store, wanted) if isinstance(wanted, str) else wanted
        self.shown = wanted if isinstance(wanted, str) else wanted.id
        self.names = tuple(map(str, self.image.names))
        self.name = self.names[0] if self.names else ""
        self._layers: dict[str, Layer] = {layer.diff_digest: layer for layer in self.image.layers}

    @property
    def all_names(self) -> tuple[str, ...]:
        """Every name that the image has in the store."""
        return self.store.images.get(self.image.id).names

    @property
    def original(self) -> Manifest | None:
        """The manifest that the image came with (see `contract.Remembers`)."""
        known, layers = self.image.manifest, self.image.layers
        if known is None or len(known.layers) != len(layers):
            return None
        for said, layer in zip(known.layers, layers, strict=True):
            form = media.LAYERS.get(said.media_type, Compression.NONE)
            if said.digest == layer.diff_digest and form is not Compression.NONE:
                return None  # it describes a layer in another form than the imported one
        return known

    def manifest(self, digest: str = "") -> bytes:
        """See `ImageSource.manifest`: the one of layers that are not compressed."""
        if digest:
            raise ImageArchiveError(digest, f"{self.shown} is one image, and no index names it")
        known = self.image.manifest
        docker = known is not None and known.media_type == media.DOCKER_MANIFEST
        plain = media.layer_type(Compression.NONE, docker=docker)
        layers = [Descriptor(plain, layer.diff_digest, layer.diff_size) for layer in self.image.layers]
        return make_manifest(self.image.config.raw, layers, docker=docker)

    @contextmanager
    def open(self, blob: Descriptor, offset: int = 0) -> Iterator[ReadInto]:
        """See `ImageSource.open`. A layer is rebuilt, so skipping to an offset costs as much as reading up to it."""
        if blob.digest == self.image.config.digest:
            yield as_reader(self.image.config.raw[offset:], blob.digest)
            return
        with self.store.layers.diff(self._layer(blob).id, compression=Compression.NONE) as stream:
            skip(stream, offset)
            yield stream

    def write(self, blob: Descriptor, sink: Sink) -> None:
        """See `contract.WritesBlobs.write`."""
        if blob.digest == self.image.config.digest:
            sink.write(self.image.config.raw)
        else:
            self.store.layers.diff(self._layer(blob).id, sink, compression=Compression.NONE)

    def damaged(self, blob: Descriptor) -> CstoreError:
        """See `contract.WritesBlobs.damaged`."""
        flaw = f"no longer gives the archive with the digest {blob.digest}"
        return ContentDamaged(self._layer(blob).id, "/", flaw)

    def _layer(self, blob: Descriptor) -> Layer:
        if blob.digest not in self._layers:
            raise ImageArchiveError(self.shown, f"it has no layer {blob.digest}")
        return self._layers[blob.digest]


def skip(reader: ReadInto, count: int) -> None:
    """Read past some bytes."""
    buffer = memoryview(bytearray(min(count, 1 << 20)))
    while count:
        read = reader.readinto(buffer[:count])
        if not read:
            return
        count -= read


def layer_forms(source: ImageSource, manifest: Manifest) -> Sequence[str]:
    """Return the DiffIDs of a manifest's layers, from its config.

    Raises:
        ImageArchiveError: the config is not valid, or has another number of layers.
    """
    from cstore.transfer.plan import layer_count_differs, read_config

    config = read_config(read_blob(source, manifest.config), manifest.config.digest)
    diff_ids = config.rootfs.diff_ids
    if len(diff_ids) != len(manifest.layers):
        raise layer_count_differs(source.shown, len(manifest.layers), len(diff_ids))
    return diff_ids
