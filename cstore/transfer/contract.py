"""The contracts for the sources and sinks of images, and the events of a copy.

    with open_source(...) as source, open_sink(...) as sink:      # cstore.transfer.copying does this for spelled places
        sink.take(source, CopyRequest(), tell)

A program may implement either. A source provides documents and blobs as they are; a sink requests those it lacks.
`BlobSink` in `cstore.transfer.blob_sink` is the base of sinks that store blobs by digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cstore.archive.decoder_memory import USUAL_WINDOW
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from cstore.archive.compression import Compression
    from cstore.archive.streams import ReadInto, Sink
    from cstore.errors import CstoreError
    from cstore.store import Store
    from cstore.transfer.archive_images import ArchiveSource
    from cstore.transfer.manifests import Descriptor, Manifest
    from cstore.transfer.members import Part
    from cstore.transfer.plan import ImagePlan

MEMORY = 64 << 20
"""Limit of blob bytes in memory, over all blobs that are fetched concurrently."""
JOBS = 3
"""Number of blobs that are fetched concurrently."""


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Planned(Value):
    """The plan of a copy, reported before it moves anything.

    Attributes:
        fetch: the blobs to move: digest, size in bytes, and bytes kept from an earlier run.
        present: digests of the blobs that are there already.
        needs: bytes that the destination needs on its disk at least; 0 if unknown.
        free: bytes free on that disk; -1 if unknown.
    """

    fetch: tuple[tuple[str, int, int], ...]
    present: tuple[str, ...]
    needs: int = 0
    free: int = -1

    @property
    def size(self) -> int:
        """Bytes to be moved."""
        return sum(max(size, 0) - kept for _, size, kept in self.fetch)


class BlobProgress(Value):
    """`done` of `size` bytes of a blob (-1 if unknown) have been moved, `begun` of them by an earlier run."""

    digest: str
    done: int
    size: int
    begun: int = 0


class BlobDone(Value):
    """A blob has been moved and verified."""

    digest: str
    size: int


class BlobPresent(Value):
    """A blob is not moved: the destination has it, or got it from another process meanwhile."""

    digest: str
    size: int


class Retried(Value):
    """A failed operation is retried.

    Attributes:
        digest: digest of the blob; "" if it was another operation.
        action: what failed, such as `fetch blob DIGEST`.
        attempt: number of the next attempt, counted from 1; 1 for the first at the next mirror.
        wait: seconds until then.
        reason: the reason of the failure, as a sentence.
    """

    digest: str
    action: str
    attempt: int
    wait: float
    reason: str


if TYPE_CHECKING:
    Event: TypeAlias = Planned | BlobProgress | BlobDone | BlobPresent | Retried
    Tell: TypeAlias = Callable[[Event], None]


# ── what is asked for and what comes of it ────────────────────────────────────────────────────────────────────────────


class CopyRequest(Value):
    """How an image is to be copied.

    Attributes:
        platform: OS/ARCHITECTURE[/VARIANT]; "" takes the one for this machine from an index.
        all_platforms: the index, and every image of it.
        compression: of the layers at the destination; None leaves them as they are where that is possible.
        dry_run: tell the plan (`Planned`), and change nothing.
        jobs: blobs that are moved over a network side by side.
        memory: bytes of blobs that may be in memory at once.
        limit_rate: bytes a second that are moved over a network at most; 0 for no limit.
    """

    platform: str = ""
    all_platforms: bool = False
    compression: Compression | None = None
    dry_run: bool = False
    jobs: int = JOBS
    memory: int = MEMORY
    limit_rate: int = 0


class CopiedImage(Value):
    """The result of a copy, or with `dry_run` its plan.

    Attributes:
        source: where it came from, for messages.
        destination: where it is now.
        id: the image's ID, the digest of its config without the algorithm; "" for an index.
        digest: digest of its manifest or index at the destination.
        names: its names at the destination.
        copied: digests of the blobs that were moved.
        present: digests of the blobs that were there before.
        size: bytes that were moved.
        warnings: what was odd.
    """

    source: str
    destination: str
    id: str
    digest: str
    names: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    size: int = 0
    warnings: tuple[str, ...] = ()


# ── the contracts ─────────────────────────────────────────────────────────────────────────────────────────────────────


class ImageSource(Protocol):
    """One image to read, or one index of images for several platforms.

    Sinks do not trust it: they verify the digest and size of every document and blob.
    """

    @property
    def shown(self) -> str:
        """Its name in messages."""

    @property
    def name(self) -> str:
        """The image's full name there; "" if it has none."""

    def manifest(self, digest: str = "") -> bytes:
        """Return the image's manifest or index, byte for byte; with `digest`, a manifest that its index names.

        Raises:
            CstoreError: it cannot be read.
        """

    def open(self, blob: Descriptor, offset: int = 0) -> AbstractContextManager[ReadInto]:
        """Open a blob that a manifest names, for reading from an offset.

        Raises:
            CstoreError: it cannot be read; the reader raises it too.
        """


@runtime_checkable
class RemoteSource(Protocol):
    """A source whose blobs come over a network: they are fetched concurrently, and kept if the connection is cut."""

    def forked(self) -> None:
        """Called in a forked process, which must not use its parent's connections."""


def window_for(source: object, request: CopyRequest) -> int:
    """Bytes that the window of a layer's decoder may take; 0 for what this system can give.

    A stream says itself how much that is. An archive at hand is trusted with it; what comes over a network is not.
    """
    return max(USUAL_WINDOW, request.memory) if isinstance(source, RemoteSource) else 0


@runtime_checkable
class TriesAgain(Protocol):
    """A source that retries failed requests."""

    def hear(self, tell: Tell) -> None:
        """Report every retry (`Retried`) from now on, possibly from another thread."""


@runtime_checkable
class Remembers(Protocol):
    """A source that generates its layers uncompressed: a store, a docker-archive, a Docker root.

    A sink that wants compressed layers compresses these. If it has the original compressed blobs, the image keeps its
    original form.
    """

    @property
    def original(self) -> Manifest | None:
        """The image's original manifest, whose compressed layers this source does not have; None if unknown."""


@runtime_checkable
class WritesBlobs(Protocol):
    """A source that can write a blob to a sink, which saves a thread and a copy."""

    def write(self, blob: Descriptor, sink: Sink) -> None:
        """Write a blob that a manifest names, all of it.

        Raises:
            CstoreError: it cannot be read.
        """

    def damaged(self, blob: Descriptor) -> CstoreError:
        """Return the error for a written blob that is not the one in the manifest."""


@runtime_checkable
class PlannedSource(Protocol):
    """A source that has no manifest: a store takes its config and layers, and generates one."""

    def planned(self, store: Store) -> ImagePlan:
        """Return what the store is to take in, under the names that the image has here."""

    def find(self, name: str) -> Part | None:
        """Look up the member that the plan names for a layer (see `members.Members`)."""


class Arrivals(Protocol):
    """A sink that can use a layer the moment it arrives in a stream, before the archive has been read to its end."""

    def arrived(self, plans: Sequence[ImagePlan], name: str, body: ReadInto) -> bool:
        """Take the member `name`: read all of `body` and return True, or touch nothing of it and return False.

        `plans` are what the archive has said of its images so far. They may be incomplete.
        """


class SeveralImages(Protocol):
    """Images that are read together and that a sink takes together: those of an archive, which may be a stream."""

    @property
    def warnings(self) -> Sequence[str]:
        """Warnings for the user, complete once the images are open."""

    def opened(
        self, store: Store, taker: Arrivals, tell: Callable[[int], None]
    ) -> AbstractContextManager[Sequence[ArchiveSource]]:
        """Open them for a store, each as a source.

        Args:
            store: where they go; what must wait, waits in its directory.
            taker: offered the layers of a stream as they arrive.
            tell: called with the bytes of a stream that have been read.

        Raises:
            CstoreError: they cannot be read, or are not what they say.
        """


class ImageSink(Protocol):
    """Somewhere an image can go."""

    @property
    def shown(self) -> str:
        """Its name in messages."""

    def take(self, source: ImageSource, request: CopyRequest, tell: Tell) -> CopiedImage:
        """Store an image: all of it or, if anything fails, nothing that could be mistaken for an image.

        Raises:
            CstoreError: it cannot be read, fails verification, or cannot be stored.
        """
