"""Images into a layout, a directory or an archive. See `contract.ImageSink`."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from functools import partial

from cstore import gojson
from cstore.archive.streams import FileSink
from cstore.errors import ImageArchiveError, InvalidOption, SystemFailure
from cstore.fs.atomic import write_file
from cstore.oci.names import parse_name
from cstore.records.model import Layer
from cstore.store.result_files import result_at
from cstore.transfer import media
from cstore.transfer.blob_sink import COMPRESSED, PLAIN, BlobSink
from cstore.transfer.docker_archive import MANIFEST
from cstore.transfer.docker_writer import write_docker
from cstore.transfer.manifests import Manifest, parse_document
from cstore.transfer.members import Part, PartReader
from cstore.transfer.oci_layout import INDEX, LAYOUT, NAME_KEYS, VERSION, blob_name, parse_index
from cstore.transfer.packing import DirectoryPackage, TarPackage, add_bytes, new_directory
from cstore.transfer.plan import read_config
from cstore.transfer.scratch import scratch_file
from cstore.transfer.sources import full_name, in_directory
from cstore.transfer.stored import LayerWriter, StoredImage
from cstore.transfer.verifying import drained, pour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from cstore.archive.streams import ReadInto, Sink
    from cstore.transfer.manifests import Descriptor

_VERSION_FILE, _DIRECTORY_VERSION = "version", b"Directory Transport Version: 1.1\n"
_DOCUMENTS = media.INDEXES | media.MANIFESTS | media.CONFIGS
_LAYOUT_DOCUMENT = gojson.encode({VERSION: "1.0.0"})


class LayoutSink(BlobSink):
    """An OCI layout in a directory: a new one appears when it is whole, one that is there gets the image added."""

    layers = COMPRESSED
    docker = False

    def __init__(self, path: str, reference: str, *, sync: bool) -> None:
        """`reference` is what the layout shall call the image, "" for nothing.

        Raises:
            InvalidOption: there is something else of that name.
        """
        self.shown = path
        self._path, self._reference, self._sync = path, reference, sync
        self._opened = ExitStack()
        self._added = os.path.lexists(os.path.join(path, LAYOUT))
        self._entry: dict[str, Any] = {}
        self._package: DirectoryPackage | None = None

    def _into(self) -> DirectoryPackage:
        if self._package is None and self._added:
            self._package = DirectoryPackage(self._path, sync=self._sync)
        elif self._package is None:
            self._package = self._opened.enter_context(new_directory(self._path, sync=self._sync))
            add_bytes(self._package, LAYOUT, _LAYOUT_DOCUMENT)
        return self._package

    def has(self, blob: Descriptor) -> bool:
        """See `BlobSink.has`."""
        try:
            return self._added and os.path.getsize(os.path.join(self._path, blob_name(blob.digest))) == blob.size
        except OSError:
            return False

    def put(self, blob: Descriptor, source: ReadInto) -> None:
        """See `BlobSink.put`."""
        package, name = self._into(), blob_name(blob.digest)
        if not self._added:
            package.add(name, blob.size, partial(pour, source))
            return
        path = os.path.join(self._path, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except OSError as error:
            raise SystemFailure("make the directory", os.path.dirname(path), error) from error
        write_file(path, (bytes(piece) for piece in drained(source)), mode=0o644, sync=self._sync)

    def put_manifest(self, raw: bytes, described: Descriptor, *, instance: bool) -> None:
        """See `BlobSink.put_manifest`."""
        from cstore.store.ends import as_reader

        if not self.has(described):
            self.put(described, as_reader(raw, described.digest))
        if not instance:
            named = {"annotations": {NAME_KEYS[1]: self._reference}} if self._reference else {}
            about = {"mediaType": described.media_type, "digest": described.digest, "size": described.size}
            self._entry = {**about, **named}

    def finish(self) -> tuple[str, ...]:
        """See `BlobSink.finish`."""
        raw = _index_with(self._entry, self._before())
        if self._added:
            write_file(os.path.join(self._path, INDEX), raw, mode=0o644, sync=self._sync)
        else:
            add_bytes(self._into(), INDEX, raw)
        self._opened.close()
        return (self._reference,) if self._reference else ()

    def _before(self) -> list[dict[str, Any]]:
        """The entries that the layout has."""
        if not self._added:
            return []
        try:
            with open(os.path.join(self._path, INDEX), "rb") as file:
                raw = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SystemFailure("read", os.path.join(self._path, INDEX), error) from error
        parse_index(raw)
        entries: list[dict[str, Any]] = json.loads(raw)["manifests"]
        return entries

    def give_up(self) -> None:
        """See `BlobSink.give_up`."""
        error = InterruptedError()
        self._opened.__exit__(type(error), error, None)


def _index_with(entry: dict[str, Any], before: list[dict[str, Any]]) -> bytes:
    """The index of a layout with one more image; the name that it has is taken from others."""
    name = (entry.get("annotations") or {}).get(NAME_KEYS[1])
    kept = [one for one in before if (one.get("annotations") or {}).get(NAME_KEYS[1]) != name or name is None]
    kept = [one for one in kept if one != entry]
    document = {"schemaVersion": 2, "mediaType": media.OCI_INDEX}
    return gojson.encode({**document, "manifests": [*kept, entry]})


class DirectorySink(BlobSink):
    """A directory as skopeo's `dir:` has it, which appears when it is whole. One that is there is replaced."""

    def __init__(self, path: str, *, sync: bool) -> None:
        """Note where it goes.

        Raises:
            InvalidOption: there is something else of that name.
        """
        self.shown = path
        self._path, self._sync = path, sync
        self._replaced = os.path.isfile(os.path.join(path, _VERSION_FILE))
        if not self._replaced and os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
            raise InvalidOption(f"{path} exists but holds no image", hint="choose another name")
        self._opened = ExitStack()
        self._package: DirectoryPackage | None = None

    def _into(self) -> DirectoryPackage:
        if self._package is None:
            self._package = self._opened.enter_context(
                new_directory(self._path, sync=self._sync, replace=self._replaced)
            )
            add_bytes(self._package, _VERSION_FILE, _DIRECTORY_VERSION)
        return self._package

    def has(self, blob: Descriptor) -> bool:  # noqa: ARG002  - it is made anew
        """See `BlobSink.has`."""
        return False

    def put(self, blob: Descriptor, source: ReadInto) -> None:
        """See `BlobSink.put`."""
        self._into().add(in_directory(blob.digest), blob.size, partial(pour, source))

    def put_manifest(self, raw: bytes, described: Descriptor, *, instance: bool) -> None:
        """See `BlobSink.put_manifest`."""
        add_bytes(self._into(), f"{in_directory(described.digest)}.{MANIFEST}" if instance else MANIFEST, raw)

    def finish(self) -> tuple[str, ...]:
        """See `BlobSink.finish`."""
        self._opened.close()
        return ()

    def give_up(self) -> None:
        """See `BlobSink.give_up`."""
        error = InterruptedError()
        self._opened.__exit__(type(error), error, None)


class _Spooling(BlobSink):
    """A sink that knows only in the end what comes first: blobs wait in a file without a name."""

    layers = COMPRESSED
    docker = False

    def __init__(self, path: str, reference: str, *, sync: bool) -> None:
        """`reference` is what the archive shall call the image, "" for nothing."""
        self.shown = path
        self._path, self._reference, self._sync = path, reference, sync
        self._file: IO[bytes] | None = None
        self._blobs: dict[str, tuple[int, int]] = {}
        self._documents: set[str] = set()
        self._top: tuple[bytes, Descriptor] | None = None

    @property
    def _spool(self) -> IO[bytes]:
        """The file, made when something has to wait."""
        if self._file is None:
            folder = os.path.dirname(os.path.abspath(self._path))
            self._file = scratch_file("" if self._path.startswith("/dev/") else folder)
        return self._file

    def has(self, blob: Descriptor) -> bool:
        """See `BlobSink.has`."""
        return blob.digest in self._blobs

    def put(self, blob: Descriptor, source: ReadInto) -> None:
        """See `BlobSink.put`."""
        at = os.lseek(self._spool.fileno(), 0, os.SEEK_END)
        pour(source, FileSink(self._spool.fileno(), "a temporary file"))
        self._blobs[blob.digest] = (at, os.lseek(self._spool.fileno(), 0, os.SEEK_CUR) - at)
        if blob.media_type in _DOCUMENTS:
            self._documents.add(blob.digest)

    def put_manifest(self, raw: bytes, described: Descriptor, *, instance: bool) -> None:
        """See `BlobSink.put_manifest`."""
        from cstore.store.ends import as_reader

        self.put(described, as_reader(raw, described.digest))
        if not instance:
            self._top = raw, described

    def finish(self) -> tuple[str, ...]:
        """See `BlobSink.finish`."""
        with self._spool, result_at(self._path, sync=self._sync) as descriptor:
            package = TarPackage(FileSink(descriptor, self._path))
            self._write(package)
            package.close()
        return (self._reference,) if self._reference else ()

    def give_up(self) -> None:
        """See `BlobSink.give_up`."""
        if self._file is not None:
            self._file.close()

    def _write(self, package: TarPackage) -> None:
        raise TypeError(f"{type(self).__name__} does not write {package!r}")

    def _give(self, digest: str, sink: Sink) -> None:
        at, size = self._blobs[digest]
        pour(PartReader(self._spool.fileno(), Part("a temporary file", size, offset=at)), sink)

    def _read(self, digest: str) -> bytes:
        at, size = self._blobs[digest]
        return os.pread(self._spool.fileno(), size, at)


class LayoutArchiveSink(_Spooling):
    """An OCI layout in a tar: what names the blobs first, so that a reader of the stream knows what each is for."""

    def _write(self, package: TarPackage) -> None:
        _, top = self._top or _nothing(self.shown)
        named = {"annotations": {NAME_KEYS[1]: self._reference}} if self._reference else {}
        entry = {"mediaType": top.media_type, "digest": top.digest, "size": top.size, **named}
        add_bytes(package, LAYOUT, _LAYOUT_DOCUMENT)
        add_bytes(package, INDEX, _index_with(entry, []))
        for digest in sorted(self._blobs, key=lambda each: each not in self._documents):
            package.add(blob_name(digest), self._blobs[digest][1], partial(self._give, digest))


class DockerArchiveSink(_Spooling):
    """A docker-archive of one image, as skopeo and Podman write it."""

    layers = PLAIN
    several = False

    def __init__(self, path: str, reference: str, *, sync: bool) -> None:
        """`reference` is the image's name, "" for none.

        Raises:
            InvalidName: it is none.
        """
        self._names = (parse_name(reference),) if reference else ()
        super().__init__(path, full_name(reference), sync=sync)

    def _write(self, package: TarPackage) -> None:
        raw, top = self._top or _nothing(self.shown)
        manifest = parse_document(raw, top.digest)
        if not isinstance(manifest, Manifest):
            raise ImageArchiveError(self.shown, "expected a manifest, found an index")
        config = read_config(self._read(manifest.config.digest), manifest.config.digest)
        layers = tuple(Layer(id=one.digest, diff_digest=one.digest, diff_size=one.size) for one in manifest.layers)
        write_docker(_Spooled(self._give), [StoredImage(config.id, config, None, layers, self._names)], package)


class _Spooled(LayerWriter):
    """Writes layers that wait in a file."""

    def __init__(self, give: Any) -> None:
        self._give = give

    def write(self, layer: Layer, sink: Sink) -> None:
        """Write one (see `LayerWriter.write`)."""
        self._give(layer.diff_digest, sink)


def _nothing(shown: str) -> tuple[bytes, Descriptor]:
    raise ImageArchiveError(shown, "no image was written to it")
