"""One image of a source into a store: finds out what the store lacks, and fetches only that.

A source that has a manifest is read as an OCI layout of one image. A source that has none, such as an image of a Docker
root, makes the plan itself. An image of another store is cloned.
"""

from __future__ import annotations

from cstore import gojson
from cstore.digests import digest_of
from cstore.errors import CstoreError, ImageArchiveError
from cstore.store.partial import PartialBlobs
from cstore.transfer.contract import (
    BlobDone,
    BlobPresent,
    CopiedImage,
    Planned,
    PlannedSource,
    RemoteSource,
    TriesAgain,
    window_for,
)
from cstore.transfer.formats import LoadRequest, check, read_plans
from cstore.transfer.layer_intake import needs_of
from cstore.transfer.manifests import Descriptor, Index, Manifest
from cstore.transfer.members import Part
from cstore.transfer.oci_layout import INDEX, LAYOUT, NAME_KEYS, VERSION, blob_name
from cstore.transfer.room import require_room
from cstore.transfer.sources import StoreSource, read_blob, read_document
from cstore.transfer.store_sink import check_image
from cstore.transfer.telling import LayerPart
from cstore.values import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.transfer.contract import CopyRequest, ImageSource, Tell
    from cstore.transfer.layer_intake import Need
    from cstore.transfer.members import Members
    from cstore.transfer.plan import ImagePlan
    from cstore.transfer.store_sink import StoreSink
    from cstore.transfer.telling import Opener


class StoreCopy:
    """One image on its way into a store."""

    def __init__(self, sink: StoreSink, source: ImageSource, request: CopyRequest, tell: Tell) -> None:
        self._sink, self._source, self._request, self._tell = sink, source, request, tell
        self._store = sink.store
        self._window = window_for(source, request)
        if isinstance(source, TriesAgain):
            source.hear(tell)

    def run(self) -> CopiedImage:
        """Tell the plan, and unless this is a dry run carry it out.

        Raises:
            CstoreError: see `contract.ImageSink`.
        """
        source, sink = self._source, self._sink
        if isinstance(source, StoreSource):
            return self._cloned(source)
        warnings: list[str] = []
        members, plans = self._plans(warnings)
        for each in plans:
            check_image(self._store, each)
        needs = needs_of(self._store, plans)
        planned = self._planned(needs)
        self._tell(planned)
        if not self._request.dry_run:
            warnings += self._bring(members, plans, needs, planned)
        first = plans[0]
        digest = digest_of(first.index or first.manifest) if first.manifest else ""
        if not self._request.dry_run and not digest:
            digest = self._store.images.get(first.config.id).digest
        return CopiedImage(
            source.shown,
            sink.shown,
            first.config.id,
            digest,
            first.names,
            copied=tuple(digest for digest, _, _ in planned.fetch),
            present=planned.present,
            size=planned.size,
            warnings=tuple(dict.fromkeys(warnings)),
        )

    def _cloned(self, source: StoreSource) -> CopiedImage:
        """Take an image of another store as it is there; or give an image of this store another name."""
        from cstore.transfer.cloning import clone

        names = tuple(filter(None, (self._sink.name or source.name,)))
        record = source.store.images.get(source.image.id)
        done = clone(source.store, record, self._store, names, self._request, self._tell)
        return done.with_(source=source.shown, destination=self._sink.shown)

    def _plans(self, warnings: list[str]) -> tuple[Members, list[ImagePlan]]:
        """Find out what to take in, and where its layers are."""
        source, several = self._source, self._request.all_platforms
        name = self._sink.name or source.name
        wanted = LoadRequest(platform=self._request.platform, all_platforms=several, tag="" if several else name)
        check(wanted)
        if isinstance(source, PlannedSource):
            plan = source.planned(self._store)
            names = (self._sink.name,) if self._sink.name else plan.names
            return cast("Members", source), [plan.with_(names=names)]
        members = SourceMembers(source, name, self._tell)
        return members, read_plans(members, wanted, warnings)

    def _planned(self, needs: Sequence[Need]) -> Planned:
        """Find out what will be moved.

        Raises:
            DoesNotFit: the store's file system has no room for it.
        """
        missing = {need.digest: need for need in needs if not need.present}
        remote = isinstance(self._source, RemoteSource)
        blobs = PartialBlobs(self._store.context).list() if remote and missing else ()
        kept = {blob.digest: blob.size for blob in blobs}
        fetch = tuple(
            (digest, need.size, max(0, min(kept.get(digest, 0), need.size))) for digest, need in missing.items()
        )
        needed, root = sum(max(size, 0) for _, size, _ in fetch), self._store.config.graph_root
        free = require_room(self._source.shown, root, needed)
        present = tuple(dict.fromkeys(need.digest for need in needs if need.digest not in missing))
        return Planned(fetch, present, needed, free)

    def _bring(
        self, members: Members, plans: Sequence[ImagePlan], needs: Sequence[Need], planned: Planned
    ) -> tuple[str, ...]:
        """Carry out the plan; return what was odd."""
        sizes = {need.digest: need.size for need in needs}
        for digest in planned.present:
            self._tell(BlobPresent(digest, sizes[digest]))
        missing = [need for need in needs if not need.present]
        if not missing or not isinstance(self._source, RemoteSource) or not isinstance(members, SourceMembers):
            warnings = self._sink.take_planned(members, plans, window=self._window).warnings
            if not isinstance(members, SourceMembers):  # those tell themselves
                for digest, size, _ in planned.fetch:
                    self._tell(BlobDone(digest, size))
            return warnings
        # Over a network: several blobs side by side, ahead of the layer that is being unpacked.
        from cstore.transfer.fetching import Fetching

        for more in range(len(missing), -1, -1):
            fetching = Fetching(self._store, self._source, missing, self._request, self._tell)
            try:
                with fetching:
                    members.fetch_by(fetching.opened)
                    return self._sink.take_planned(members, plans, fetching.settle, window=self._window).warnings
            except CstoreError:
                # What an earlier run had left of a blob was wrong, and has been removed: try again, with that blob from
                # its beginning. This may happen once for each blob.
                if not fetching.spoiled or not more:
                    raise
        raise AssertionError


# ── a source as an archive ────────────────────────────────────────────────────────────────────────────────────────────


class _Document(Part):
    """A document that is in memory, as a member."""

    data: bytes = b""

    def read(self, limit: int) -> bytes:
        """Return everything (see `Part.read`)."""
        if self.size > limit:
            raise ImageArchiveError(self.name, f"it has {self.size} bytes, more than the allowed {limit}")
        return self.data


class SourceMembers:
    """One image of a source as the members of an OCI layout, made up as they are asked for."""

    def __init__(self, source: ImageSource, name: str, tell: Tell) -> None:
        """`name` is the one that the image has in the layout, "" for none. `tell` hears of layers as they are read."""
        self.shown = source.shown
        self._source = source
        self._give: Opener = source.open
        self._tell: Tell | None = tell
        top = read_document(source)
        entry: dict[str, object] = {
            "mediaType": top.media_type,
            "digest": digest_of(top.raw),
            "size": len(top.raw),
            "annotations": {NAME_KEYS[1]: name} if name else {},
        }
        self._documents = {
            LAYOUT: gojson.encode({VERSION: "1.0.0"}),
            INDEX: gojson.encode({"schemaVersion": 2, "manifests": [entry]}),
        }
        self._manifests: dict[str, Descriptor] = {}
        self._configs: dict[str, Descriptor] = {}
        self._layers: dict[str, Descriptor] = {}
        self._note(top)

    def fetch_by(self, give: Opener) -> None:
        """Take layers from `give`, which fetches, verifies and reports them."""
        self._give, self._tell = give, None

    def find(self, name: str) -> Part | None:
        """See `Members.find`."""
        if name in self._layers:
            blob = self._layers[name]
            return LayerPart(name, max(blob.size, 0), blob=blob, give=self._give, tell=self._tell)
        if name not in self._documents:
            if name in self._configs:
                self._documents[name] = read_blob(self._source, self._configs[name])
            elif name in self._manifests:
                self._note(read_document(self._source, self._manifests[name], artifacts=True))
            else:
                return None
        data = self._documents[name]
        return _Document(name, len(data), data=data)

    def _note(self, document: Manifest | Index) -> None:
        """Record a document, and what it names."""
        self._documents[blob_name(digest_of(document.raw))] = document.raw
        if isinstance(document, Index):
            self._manifests |= {blob_name(entry.digest): entry for entry in document.manifests}
        else:
            self._configs[blob_name(document.config.digest)] = document.config
            self._layers |= {blob_name(layer.digest): layer for layer in document.layers}
