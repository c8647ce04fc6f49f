"""Images into a layout, a directory or an archive. See `contract.ImageSink`."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from functools import partial

from cstore import gojson, presence
from cstore.archive.streams import FileSink
from cstore.config.parse import read_named
from cstore.errors import ImageArchiveError, InvalidOption, SystemFailure
from cstore.fs.atomic import write_file
from cstore.oci.config import parse_config
from cstore.oci.names import parse_name
from cstore.store.result_files import result_at
from cstore.transfer import media
from cstore.transfer.blob_sink import COMPRESSED, PLAIN, BlobSink
from cstore.transfer.docker_archive import MANIFEST
from cstore.transfer.docker_writer import PackedImage, write_docker
from cstore.transfer.manifests import LARGEST, Manifest, parse_document
from cstore.transfer.members import Part, PartReader
from cstore.transfer.oci_layout import INDEX, LAYOUT, NAME_KEYS, VERSION, blob_name, parse_index
from cstore.transfer.packing import DirectoryPackage, TarPackage, add_bytes, new_directory, require_new
from cstore.transfer.scratch import ScratchSink, scratch_file
from cstore.transfer.sources import in_directory
from cstore.transfer.verifying import drained, pour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import IO, Any

    from cstore.archive.streams import ReadInto, Sink
    from cstore.transfer.contract import ImageSource
    from cstore.transfer.manifests import Descriptor

_VERSION_FILE, _DIRECTORY_VERSION = "version", b"Directory Transport Version: 1.1\n"
_DOCUMENTS = media.INDEXES | media.MANIFESTS | media.CONFIGS
_LAYOUT_DOCUMENT = gojson.encode({VERSION: "1.0.0"})


class LayoutSink(BlobSink):
    """An OCI layout in a directory: a new one appears when it is whole, one that is there gets the image added."""

    layers = COMPRESSED
    docker = False

    def __init__(self, path: str, reference: str | None, *, sync: bool) -> None:
        """`reference` is the image's name in the layout, "" for none, None for the names in its source.

        Raises:
            InvalidOption: something else has that name.
            ImageArchiveError, ConfigError, SystemFailure: the existing layout has no usable index.
        """
        self.shown = self.room = path
        self._path, self._naming, self._sync = path, _Naming(reference), sync
        self._opened = ExitStack()
        self._added = reference is not None and presence.is_there(os.path.join(path, LAYOUT))
        if not self._added:
            require_new(path)
        self._before()  # fails before anything is written if the index cannot be extended
        self._entries: list[dict[str, Any]] = []
        self._package: DirectoryPackage | None = None
        self._written: set[str] = set()

    def _into(self) -> DirectoryPackage:
        if self._package is None and self._added:
            self._package = DirectoryPackage(self._path, sync=self._sync)
        elif self._package is None:
            self._package = self._opened.enter_context(new_directory(self._path, sync=self._sync))
            add_bytes(self._package, LAYOUT, _LAYOUT_DOCUMENT)
        return self._package

    def begin(self, source: ImageSource) -> None:
        """See `BlobSink.begin`."""
        self._naming.begin(source)

    def has(self, blob: Descriptor) -> bool:
        """See `BlobSink.has`."""
        if blob.digest in self._written:
            return True
        try:
            return self._added and os.path.getsize(os.path.join(self._path, blob_name(blob.digest))) == blob.size
        except OSError:
            return False

    def put(self, blob: Descriptor, source: ReadInto) -> None:
        """See `BlobSink.put`."""
        package, name = self._into(), blob_name(blob.digest)
        if not self._added:
            package.add(name, blob.size, partial(pour, source))
            self._written.add(blob.digest)
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
            self._entries += _entries(described, self._naming.names)

    def finish(self) -> tuple[str, ...]:
        """See `BlobSink.finish`."""
        raw = _index_with(self._entries, self._before())
        if self._added:
            write_file(os.path.join(self._path, INDEX), raw, mode=0o644, sync=self._sync)
        else:
            add_bytes(self._into(), INDEX, raw)
        self._opened.close()
        return self._naming.given

    def _before(self) -> list[dict[str, Any]]:
        """The entries that the layout has."""
        if not self._added:
            return []
        import json

        try:
            raw = read_named(os.path.join(self._path, INDEX), LARGEST)
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


class _Naming:
    """The names of images in an archive or a layout: one given name, or with None the names in their sources.

    Attributes:
        names: of the present image.
        given: of all so far.
    """

    def __init__(self, said: str | None) -> None:
        self._said = said
        self.names: tuple[str, ...] = ()
        self.given: tuple[str, ...] = ()

    def begin(self, source: ImageSource) -> None:
        """Name the next image."""
        own = getattr(source, "names", None) or tuple(filter(None, [source.name]))
        self.names = own if self._said is None else tuple(filter(None, [self._said]))
        self.given += self.names


def _entries(described: Descriptor, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the index entries of an image: one for each name, or one without a name."""
    entry = {"mediaType": described.media_type, "digest": described.digest, "size": described.size}
    return [{**entry, "annotations": {NAME_KEYS[1]: name}} for name in names] or [entry]


def _index_with(entries: list[dict[str, Any]], before: list[dict[str, Any]]) -> bytes:
    """The index of a layout with more images; the names that they have are taken from others."""

    def name_of(entry: dict[str, Any]) -> object:
        return (entry.get("annotations") or {}).get(NAME_KEYS[1])

    taken = {name_of(entry) for entry in entries} - {None}
    kept = [one for one in before if name_of(one) not in taken and one not in entries]
    document = {"schemaVersion": 2, "mediaType": media.OCI_INDEX}
    return gojson.encode({**document, "manifests": [*kept, *entries]})


class DirectorySink(BlobSink):
    """A directory as skopeo's `dir:` has it, which appears when it is whole. One that is there is replaced."""

    def __init__(self, path: str, *, sync: bool) -> None:
        """Note the target.

        Raises:
            InvalidOption: something else has that name.
        """
        self.shown = self.room = path
        self._path, self._sync = path, sync
        self._replaced = presence.is_file(os.path.join(path, _VERSION_FILE))
        if not self._replaced and presence.is_there(path) and (not presence.is_directory(path) or os.listdir(path)):
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


class _ArchiveSink(BlobSink):
    """A sink for archives whose first members are known only at the end.

    Blobs that a source can write at any time are written when everything is known; others are spooled to an unnamed
    file.
    """

    layers = COMPRESSED
    docker = False

    def __init__(self, target: str | Sink, reference: str | None, *, sync: bool = False, scratch: str = "") -> None:
        """Note the target.

        Args:
            target: the path of the archive, which appears when it is complete; or a sink for its bytes.
            reference: the image's name in the archive, "" for none, None for the names in its source.
            sync: whether a file shall survive a power cut.
            scratch: a directory for temporary files; "" for that of the archive or, if it has none, the default one.
        """
        self.shown = target if isinstance(target, str) else "the archive"
        self._target, self._naming, self._sync = target, _Naming(reference), sync
        if isinstance(target, str) and not target.startswith("/dev/"):
            self.room = os.path.dirname(os.path.abspath(target))
        self.scratch = scratch or self.room
        self._file: IO[bytes] | None = None
        self._blobs: dict[str, tuple[Descriptor, Callable[[Sink], object]]] = {}
        self._tops: list[tuple[bytes, Descriptor, tuple[str, ...]]] = []

    def begin(self, source: ImageSource) -> None:
        """See `BlobSink.begin`."""
        self._naming.begin(source)

    @contextmanager
    def spool(self) -> Iterator[int]:
        """See `BlobSink.spool`: one file for everything, made when something has to wait."""
        if self._file is None:
            self._file = scratch_file(self.scratch)
        yield self._file.fileno()

    def has(self, blob: Descriptor) -> bool:
        """See `BlobSink.has`."""
        return blob.digest in self._blobs

    def promised(self, blob: Descriptor, write: Callable[[Sink], object]) -> bool:
        """See `BlobSink.promised`."""
        if blob.media_type in _DOCUMENTS and blob.size <= LARGEST:
            data = bytearray()
            write(_Extending(data))
            self._keep(blob, bytes(data))
        else:
            self._blobs[blob.digest] = blob, write
        return True

    def put(self, blob: Descriptor, source: ReadInto) -> None:
        """See `BlobSink.put`."""
        with self.spool() as spool:
            at = os.lseek(spool, 0, os.SEEK_END)
            pour(source, ScratchSink(spool))
            part = Part(blob.digest, os.lseek(spool, 0, os.SEEK_CUR) - at, spool, at)
        self._blobs[blob.digest] = blob.with_(size=part.size), lambda sink: pour(PartReader(part.fd, part), sink)

    def put_manifest(self, raw: bytes, described: Descriptor, *, instance: bool) -> None:
        """See `BlobSink.put_manifest`."""
        self._keep(described, raw)
        if not instance:
            self._tops.append((raw, described, self._naming.names))

    def _keep(self, blob: Descriptor, data: bytes) -> None:
        self._blobs[blob.digest] = blob, lambda sink: sink.write(data)

    def finish(self) -> tuple[str, ...]:
        """See `BlobSink.finish`."""
        with ExitStack() as stack:
            if self._file is not None:
                stack.enter_context(self._file)
            sink = self._target
            if isinstance(sink, str):
                sink = FileSink(stack.enter_context(result_at(sink, sync=self._sync)), sink)
            package = TarPackage(sink)
            self._pack(package)
            package.close()
        return self._naming.given

    def give_up(self) -> None:
        """See `BlobSink.give_up`."""
        if self._file is not None:
            self._file.close()

    def _pack(self, package: TarPackage) -> None:
        raise TypeError(f"{type(self).__name__} does not write {package!r}")

    def _give(self, digest: str, sink: Sink) -> None:
        self._blobs[digest][1](sink)


class _Extending:
    """Appends to what is in memory."""

    def __init__(self, data: bytearray) -> None:
        self._data = data

    def write(self, data: bytes | memoryview, /) -> None:
        """Append all of `data`."""
        self._data += data


class LayoutArchiveSink(_ArchiveSink):
    """An OCI layout in a tar: what names the blobs first, so that a reader of the stream knows what each is for."""

    def _pack(self, package: TarPackage) -> None:
        add_bytes(package, LAYOUT, _LAYOUT_DOCUMENT)
        entries = [entry for _, top, names in self._tops for entry in _entries(top, names)]
        add_bytes(package, INDEX, _index_with(entries, []))
        for blob, write in sorted(self._blobs.values(), key=_place):
            package.add(blob_name(blob.digest), blob.size, write)


def _place(blob: tuple[Descriptor, object]) -> int:
    """Manifests first, then configs, then the rest."""
    kind = blob[0].media_type
    return 0 if kind in media.INDEXES | media.MANIFESTS else 1 if kind in media.CONFIGS else 2


class DockerArchiveSink(_ArchiveSink):
    """A docker-archive, as skopeo and Podman write it."""

    layers = PLAIN
    several = False

    def __init__(self, target: str | Sink, reference: str | None, *, sync: bool = False, scratch: str = "") -> None:
        """See `_ArchiveSink`.

        Raises:
            InvalidName: the reference is not a valid name.
        """
        name = str(parse_name(reference)) if reference else reference
        super().__init__(target, name, sync=sync, scratch=scratch)

    def _pack(self, package: TarPackage) -> None:
        images = []
        for raw, top, names in self._tops:
            manifest, config = parse_document(raw, top.digest), bytearray()
            if not isinstance(manifest, Manifest):
                raise ImageArchiveError(self.shown, "expected a manifest, found an index")
            self._give(manifest.config.digest, _Extending(config))
            images.append(PackedImage(parse_config(bytes(config)), manifest.layers, tuple(map(parse_name, names))))
        write_docker(package, images, self._give)
