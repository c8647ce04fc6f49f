"""Images of the store into an archive or a layout: the same bytes on every run, the layers as they were imported."""

from __future__ import annotations

from cstore.archive.compression import Compression
from cstore.archive.streams import compressed
from cstore.arguments import checked
from cstore.errors import UsageMistake
from cstore.store.ends import opened_sink
from cstore.transfer.blob_sink import PLAIN
from cstore.transfer.contract import BlobProgress, CopyRequest
from cstore.transfer.sinks import DockerArchiveSink, LayoutArchiveSink, LayoutSink
from cstore.transfer.sources import StoreSource
from cstore.transfer.stored import distinct, take_apart
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.store import Store
    from cstore.store.ends import Target
    from cstore.transfer.blob_sink import BlobSink
    from cstore.transfer.contract import Event
    from cstore.transfer.stored import StoredImage

DOCKER_ARCHIVE, OCI_ARCHIVE, OCI_DIRECTORY = "docker-archive", "oci-archive", "oci-dir"
FORMATS = (DOCKER_ARCHIVE, OCI_ARCHIVE, OCI_DIRECTORY)
COMPRESSIONS = {"none": Compression.NONE, "gzip": Compression.GZIP, "zstd": Compression.ZSTD}


class SaveRequest(Value):
    """What a caller asks for.

    Attributes:
        refs: images by name, ID or unique ID prefix; an image given by name keeps that name, one given by ID gets none.
        format: one of `FORMATS`.
        compression: of each layer in an OCI format, where None means gzip; or of a whole docker-archive, where None
            means uncompressed.
        scratch: a directory for temporary files; "" for the default one.
    """

    refs: Sequence[str]
    format: str = DOCKER_ARCHIVE
    compression: Compression | None = None
    scratch: str = ""


@checked
def save(store: Store, request: SaveRequest, sink: Target, progress: Callable[[int], None] | None = None) -> None:
    """Write images into an archive.

    Args:
        store: where they are.
        request: which images, and in which format.
        sink: a path, a descriptor, a file.
        progress: called now and then with the uncompressed bytes of layers that have been read; `size_of` says how
            many there are.

    Raises:
        ImageUnknown: there is no such image.
        ImageInvalid: it has no config, or its layers are not those of its config.
        ContentDamaged: a layer has changed since it was imported; what was written so far is not to be used.
        UsageMistake: the format is a directory.
    """
    images = check_save(store, request)
    if request.format == OCI_DIRECTORY:
        raise UsageMistake(f"{request.format} is a directory", hint="name it with --output")
    docker = request.format == DOCKER_ARCHIVE
    outside = (request.compression or Compression.NONE) if docker else Compression.NONE
    with opened_sink(sink, sync=store.config.sync) as opened, compressed(opened, outside) as outer:
        kind = DockerArchiveSink if docker else LayoutArchiveSink
        _copy(store, images, kind(outer, None, scratch=request.scratch), request, progress)


@checked
def save_directory(
    store: Store, request: SaveRequest, path: str, progress: Callable[[int], None] | None = None
) -> None:
    """Write images into a new directory, which has its name only when all is in it.

    Raises:
        InvalidOption: there is something of that name.
        CstoreError: as `save`.
    """
    images = check_save(store, request)
    sink = LayoutSink(path, None, sync=store.config.sync)
    sink.room, sink.scratch = "", request.scratch
    _copy(store, images, sink, request, progress)


def _copy(
    store: Store,
    images: Sequence[StoredImage],
    sink: BlobSink,
    request: SaveRequest,
    progress: Callable[[int], None] | None,
) -> None:
    compression = Compression.GZIP if request.compression is None else request.compression
    wanted = CopyRequest(compression=None if sink.layers == PLAIN else compression)
    layers = {layer.diff_digest for image in images for layer in image.layers}
    read: dict[str, int] = {}

    def add(event: Event) -> None:
        if progress is not None and isinstance(event, BlobProgress) and event.digest in layers:
            read[event.digest] = event.done
            progress(sum(read.values()))

    sink.take_all([StoreSource(store, image) for image in images], wanted, add)


def size_of_save(images: Sequence[StoredImage]) -> int:
    """Count the uncompressed bytes in the layers of images, each layer once."""
    return sum({layer.diff_digest: layer.diff_size for image in images for layer in image.layers}.values())


def check_save(store: Store, request: SaveRequest) -> list[StoredImage]:
    """Find the images, and mistakes, before anything is written.

    Raises:
        CstoreError: as `save`.
    """
    if request.format not in FORMATS:
        raise UsageMistake(f"there is no format {request.format!r}", hint=f"choose one of: {', '.join(FORMATS)}")
    if not request.refs:
        raise UsageMistake("no image is named", hint="see cstore images")
    return distinct([take_apart(store, ref) for ref in request.refs])
