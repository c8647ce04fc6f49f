"""The base of sinks that store manifests and blobs by digest: a layout, a directory, a registry.

Does not read what the destination has already. Recompresses layers where the destination or the caller needs that; the
config stays the same, byte for byte, and with it the image's ID. The manifest comes last.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cstore.errors import Unsupported, UsageMistake
from cstore.transfer.contract import BlobDone
from cstore.transfer.scratch import scratch_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cstore.archive.compression import Compression
    from cstore.archive.streams import ReadInto, Sink
    from cstore.transfer.contract import CopiedImage, CopyRequest, ImageSource, Tell
    from cstore.transfer.manifests import Descriptor

KEPT, COMPRESSED, PLAIN = "kept", "compressed", "plain"
"""How a destination wants layers: as they are, compressed in some way unless they come as they are, not compressed."""


class BlobSink(ABC):
    """The base class of sinks that store blobs by digest. A subclass implements the storage.

    Attributes:
        shown: what to call it in messages.
        layers: the form in which it wants layers: `KEPT`; `COMPRESSED`, if the source generates them; or `PLAIN`.
        docker: whether it accepts Docker manifests; otherwise they are converted to OCI manifests.
        several: whether it accepts an index.
        parallel: whether it accepts several blobs at a time, each in its own thread.
        room: the directory on this machine that it writes to; "" if it writes to none.
        scratch: a directory for temporary files; "" for the default one.
    """

    shown = ""
    layers = KEPT
    docker = True
    several = True
    parallel = False
    room = ""
    scratch = ""

    def begin(self, source: ImageSource) -> None:  # noqa: B027  - most have nothing to do
        """Note the next image."""

    @abstractmethod
    def has(self, blob: Descriptor) -> bool:
        """Whether a blob is there already, whole."""

    @abstractmethod
    def put(self, blob: Descriptor, source: ReadInto) -> None:
        """Store a blob. `source` raises at its end if the bytes are wrong; the blob must not be visible before that."""

    @abstractmethod
    def put_manifest(self, raw: bytes, described: Descriptor, *, instance: bool) -> None:
        """Store a manifest or index, after all of its parts; an `instance` belongs to an index that comes later."""

    def finish(self) -> tuple[str, ...]:
        """Make the image of the last manifest visible; return its names."""
        return ()

    @contextmanager
    def spool(self) -> Iterator[int]:
        """Open a temporary file for recompressing a layer, whose digest must be known before it is stored."""
        with scratch_file(self.scratch) as file:
            yield file.fileno()

    def promised(self, blob: Descriptor, write: Callable[[Sink], object]) -> bool:  # noqa: ARG002  - most take none
        """Whether the sink will let a blob be written later, before it is finished: it knows only then what is first.

        `write` raises if that is not the blob.
        """
        return False

    def give_up(self) -> None:  # noqa: B027  - most have nothing to do
        """Remove everything that could be mistaken for an image."""

    # ── the same for all ──

    def take(self, source: ImageSource, request: CopyRequest, tell: Tell) -> CopiedImage:
        """Store an image (see `contract.ImageSink`)."""
        return self.take_all([source], request, tell)[0]

    def take_all(self, sources: Sequence[ImageSource], request: CopyRequest, tell: Tell) -> list[CopiedImage]:
        """Take several images together: all of them or none. The names are those that the sink has got in all.

        Raises:
            CstoreError: see `contract.ImageSink`.
        """
        if request.all_platforms and not self.several:
            raise Unsupported(f"{self.shown} accepts one image, not an index of several", hint="omit --all")
        if request.platform and request.all_platforms:
            raise UsageMistake("one platform and all platforms exclude each other", hint="omit --platform or --all")
        from cstore.transfer.copy_loop import ImageCopy

        try:
            forms: dict[tuple[str, Compression], Descriptor] = {}
            promised: list[Descriptor] = []
            done = [ImageCopy(self, source, request, tell, forms, promised).run() for source in sources]
            names = () if request.dry_run else self.finish()
            for blob in promised:
                tell(BlobDone(blob.digest, blob.size))
        except BaseException:
            self.give_up()
            raise
        return [one.with_(names=names) for one in done]
