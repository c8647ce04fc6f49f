"""Images of the store into an archive or a layout: the same bytes on every run, the layers as they were imported."""

from __future__ import annotations

from cstore.archive.compression import Compression
from cstore.archive.streams import compressed
from cstore.errors import InvalidOption
from cstore.transfer.docker_writer import write_docker
from cstore.transfer.oci_writer import write_oci
from cstore.transfer.packing import TarPackage, new_directory
from cstore.transfer.stored import distinct, take_apart
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.archive.streams import Sink
    from cstore.store import Store
    from cstore.transfer.stored import StoredImage

DOCKER_ARCHIVE, OCI_ARCHIVE, OCI_DIRECTORY = "docker-archive", "oci-archive", "oci-dir"
FORMATS = (DOCKER_ARCHIVE, OCI_ARCHIVE, OCI_DIRECTORY)
COMPRESSIONS = {"none": Compression.NONE, "gzip": Compression.GZIP, "zstd": Compression.ZSTD}


class SaveRequest(Value):
    """What a caller asks for.

    Attributes:
        words: images by name, ID or unique prefix of that; a name is written with the image, an ID gives it none.
        format: one of `FORMATS`.
        compression: of each layer in an OCI format, where None means gzip; of a docker-archive as a whole, where None
            means none.
        scratch: a directory for what must wait; "" takes the usual one.
    """

    words: Sequence[str]
    format: str = DOCKER_ARCHIVE
    compression: Compression | None = None
    scratch: str = ""


def save(store: Store, request: SaveRequest, sink: Sink) -> None:
    """Write images into an archive.

    Raises:
        ImageUnknown: there is no such image.
        ImageInvalid: it has no config, or its layers are not those of its config.
        ContentDamaged: a layer has changed since it was imported; what was written so far is not to be used.
        InvalidOption: the format is no archive's.
    """
    images = check(store, request)
    if request.format == DOCKER_ARCHIVE:
        with compressed(sink, request.compression or Compression.NONE) as outer:
            package = TarPackage(outer)
            write_docker(store, images, package)
            package.close()
    elif request.format == OCI_ARCHIVE:
        package = TarPackage(sink)
        write_oci(store, images, package, _of_layers(request), request.scratch)
        package.close()
    else:
        raise InvalidOption(f"{request.format} is a directory", hint="say which, with --output")


def save_directory(store: Store, request: SaveRequest, path: str) -> None:
    """Write images into a new directory, which has its name only when all is in it.

    Raises:
        InvalidOption: there is something of that name.
        CstoreError: as `save`.
    """
    images = check(store, request)
    with new_directory(path, sync=store.config.sync) as package:
        write_oci(store, images, package, _of_layers(request), request.scratch)


def check(store: Store, request: SaveRequest) -> list[StoredImage]:
    """Find the images, and mistakes, before anything is written.

    Raises:
        CstoreError: as `save`.
    """
    if request.format not in FORMATS:
        raise InvalidOption(f"there is no format {request.format!r}", hint=f"choose one of: {', '.join(FORMATS)}")
    if not request.words:
        raise InvalidOption("no image is named", hint="see cstore images")
    return distinct([take_apart(store, word) for word in request.words])


def _of_layers(request: SaveRequest) -> Compression:
    return Compression.GZIP if request.compression is None else request.compression
