"""The images of an archive, each as a source; and `load`, which takes them into a store (docker 16, 19).

    opening: members, by name ─► formats: image plans ─► `ArchiveSource`, one an image ─► a sink

See `contract.ImageSource`, `contract.PlannedSource` and `contract.SeveralImages`.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress

from cstore.archive.compression import LONGEST_MAGIC, Compression, sniff
from cstore.archive.streams import PeekingReader
from cstore.arguments import checked
from cstore.digests import digest_from, digest_of, new_hash
from cstore.errors import CstoreError, ImageArchiveError
from cstore.store.ends import as_reader, opened_source
from cstore.transfer import media
from cstore.transfer.docker_archive import MANIFEST
from cstore.transfer.formats import LoadRequest, check, read_plans, settled
from cstore.transfer.manifests import Descriptor, make_manifest
from cstore.transfer.members import get_part
from cstore.transfer.oci_layout import INDEX
from cstore.transfer.opening import open_members
from cstore.transfer.store_sink import StoreSink
from cstore.transfer.verifying import drained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.archive.streams import ReadInto
    from cstore.store import Store
    from cstore.store.ends import Source
    from cstore.transfer.contract import Arrivals
    from cstore.transfer.manifests import Manifest
    from cstore.transfer.members import Catalogue, Members, Part
    from cstore.transfer.plan import ImagePlan, LayerPlan
    from cstore.transfer.store_sink import LoadResult

_MOST_GUESSES = 8


class ArchiveSource:
    """One image of an archive. If the archive has no manifest for it, makes one that describes the layers as stored."""

    original: Manifest | None = None

    def __init__(self, members: Members, plan: ImagePlan) -> None:
        """`plan` is what the archive says of the image."""
        self.shown = members.shown
        self.name = plan.names[0] if plan.names else ""
        self.plan = plan
        self._members = members
        self._parts: dict[str, Part] = {}
        self._raw = plan.manifest

    def manifest(self, digest: str = "") -> bytes:
        """See `ImageSource.manifest`. Compressed layers that no manifest describes are read for their digests."""
        if not self._raw:
            layers = [self._described(layer) for layer in self.plan.layers]
            self._raw = make_manifest(self.plan.config.raw, layers, docker=True)
        if digest and digest != digest_of(self._raw):
            raise ImageArchiveError(digest, "there is no such manifest in the archive")
        return self._raw

    def _described(self, layer: LayerPlan) -> Descriptor:
        part = get_part(self._members, layer.member, self.plan.member)
        with part.opened() as opened:
            reader = PeekingReader(opened)
            compression = sniff(reader.peek(LONGEST_MAGIC))
            digest = layer.diff_id
            if compression is not Compression.NONE:
                hashed = new_hash()
                for piece in drained(reader):
                    hashed.update(piece)
                digest = digest_from(hashed)
        self._parts[digest] = part
        return Descriptor(media.layer_type(compression, docker=True), digest, part.size)

    def find(self, name: str) -> Part | None:
        """Look up a member (see `Members.find`)."""
        return self._members.find(name)

    def planned(self, store: Store) -> ImagePlan:  # noqa: ARG002  - it is the same for every store
        """Return what a store is to take in (see `contract.PlannedSource`), with the sizes of the members."""
        parts = [self.find(layer.member) if layer.size == -1 else None for layer in self.plan.layers]
        return self.plan.with_(
            layers=tuple(
                layer if part is None else layer.with_(size=part.size)
                for layer, part in zip(self.plan.layers, parts, strict=True)
            )
        )

    @contextmanager
    def open(self, blob: Descriptor, offset: int = 0) -> Iterator[ReadInto]:
        """See `ImageSource.open`."""
        from cstore.transfer.sources import opened_at

        if blob.digest == self.plan.config.digest:
            yield as_reader(self.plan.config.raw[offset:], blob.digest)
            return
        if blob.digest not in self._parts:
            members = [layer.member for layer in self.plan.layers if layer.digest == blob.digest]
            if not members:
                raise ImageArchiveError(self.shown, f"it has no layer {blob.digest}")
            self._parts[blob.digest] = get_part(self._members, members[0], self.plan.member)
        with opened_at(self._parts[blob.digest], offset) as reader:
            yield reader


class ArchiveImages:
    """Those images of an archive that are wanted (see `contract.SeveralImages`)."""

    def __init__(self, source: int | ReadInto, shown: str, wanted: LoadRequest) -> None:
        """Take note of what to read.

        Args:
            source: a descriptor of a directory, a file, or a stream; or something that reads.
            shown: what to call the archive in messages.
            wanted: which images, and how they are read (see `formats.check`).
        """
        self.shown = shown
        self.warnings: list[str] = []
        self._source, self._wanted = source, wanted

    @contextmanager
    def opened(self, store: Store, taker: Arrivals, tell: Callable[[int], None]) -> Iterator[list[ArchiveSource]]:
        """See `contract.SeveralImages.opened`."""
        plans: list[ImagePlan] = []
        tries = 0

        def offer(members: Catalogue, name: str, body: ReadInto) -> bool:
            """Offer a member to the sink, once the documents can be read (see `opening.open_members`)."""
            nonlocal plans, tries
            if not plans and tries < _MOST_GUESSES and any(map(members.has, (MANIFEST, INDEX))):
                tries += 1
                with suppress(CstoreError):  # reading the whole archive reports it
                    plans = read_plans(members, self._wanted, [], complete=False)
            return bool(plans) and taker.arrived(plans, name, body)

        with open_members(store, self._source, self.shown, offer, tell) as opened, ExitStack() as entered:
            members = settled(opened, entered)
            yield [ArchiveSource(members, plan) for plan in read_plans(members, self._wanted, self.warnings)]


@checked
def load(
    store: Store,
    source: Source,
    request: LoadRequest | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    shown: str = "the archive",
) -> LoadResult:
    """Load the images of an archive, all of them or none.

    Args:
        store: where they go.
        source: an archive, compressed or not: a path, bytes, a descriptor, a file; or the path of an OCI layout.
        request: which images, and how; by default all of them, for this machine, under their own names.
        progress: called now and then with the bytes done so far.
        shown: name of the source in messages.

    Raises:
        ArchiveError: the archive is damaged, or is no archive of images; the store is as it was.
        InvalidOption, InvalidName: the request makes no sense for this archive.
        IDTaken, TopLayerDiffers: the store has something else under an ID of this archive.
    """
    request = request or LoadRequest()
    check(request)
    with opened_source(source, shown) as opened:
        return StoreSink(store).take_all(ArchiveImages(opened, shown, request), progress)
