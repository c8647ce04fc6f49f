"""Images into a store, from whatever is a source: the source presents itself as a layout to the loader of archives.

One that has no manifest, as images of docker-archives and Docker roots have none, says itself what is to be taken in.
So there is one way into the store: every byte held to its digest, layers from the bottom up, names last, all or
nothing. Of layers that the store has, nothing is read.
"""

from __future__ import annotations

from cstore import gojson
from cstore.digests import digest_of
from cstore.errors import CstoreError, ImageArchiveError
from cstore.oci.names import DOCKER, parse_name
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
from cstore.transfer.formats import check
from cstore.transfer.layer_intake import needs_of
from cstore.transfer.loading import LoadRequest, check_image, load_members, plan_images
from cstore.transfer.manifests import Descriptor, Index, Manifest
from cstore.transfer.members import Part
from cstore.transfer.oci_layout import INDEX, LAYOUT, NAME_KEYS, VERSION, blob_name
from cstore.transfer.room import require_room
from cstore.transfer.sources import StoreSource, read_blob, read_document
from cstore.transfer.telling import LayerPart
from cstore.values import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.store import Store
    from cstore.transfer.contract import CopyRequest, ImageSource, Tell
    from cstore.transfer.fetching import Fetching
    from cstore.transfer.layer_intake import Need
    from cstore.transfer.members import Members
    from cstore.transfer.plan import ImagePlan
    from cstore.transfer.telling import Opener


class StoreSink:
    """A store as the place where an image goes."""

    def __init__(self, store: Store, name: str, *, home: str = DOCKER) -> None:
        """`name` is the one that the image gets, "" for none; `home` completes one without a domain.

        Raises:
            InvalidName: it is none.
        """
        self._store = store
        self._name = str(parse_name(name, home=home)) if name else ""
        self.shown = self._name or store.config.graph_root

    def take(self, source: ImageSource, request: CopyRequest, tell: Tell) -> CopiedImage:
        """Take an image (see `contract.ImageSink`)."""
        if isinstance(source, StoreSource):
            return self._cloned(source, request, tell)
        if isinstance(source, TriesAgain):
            source.hear(tell)
        several = request.all_platforms
        name = self._name or source.name
        tag = "" if several else name
        window = window_for(source, request)
        wanted = LoadRequest(platform=request.platform, all_platforms=several, tag=tag, window=window)
        check(wanted)
        warnings: list[str] = []
        if isinstance(source, PlannedSource):
            members = cast("Members", source)
            planned = source.planned(self._store)
            plans = [planned.with_(names=(self._name,) if self._name else planned.names)]
            check_image(self._store, plans[0])
        else:
            members = SourceMembers(source, name)
            plans = plan_images(self._store, members, wanted, warnings)
        needs = needs_of(self._store, plans)
        plan = self._planned(source, needs)
        tell(plan)
        if not request.dry_run:
            warnings += self._load(source, members, wanted, plans, needs, plan, request, tell)
        first = plans[0]
        fetch = tuple(digest for digest, _, _ in plan.fetch)
        digest = digest_of(first.index or first.manifest) if first.manifest else ""
        if not request.dry_run and not digest:
            digest = self._store.images.get(first.config.id).digest
        about = first.config.id, digest, first.names
        return CopiedImage(
            source.shown, self.shown, *about, fetch, plan.present, plan.size, tuple(dict.fromkeys(warnings))
        )

    def _cloned(self, source: StoreSource, request: CopyRequest, tell: Tell) -> CopiedImage:
        """Take an image of another store, as it is there; or name one of this store anew."""
        from cstore.transfer.cloning import clone

        names = tuple(filter(None, (self._name or source.name,)))
        record = source.store.images.get(source.image.id)
        done = clone(source.store, record, self._store, names, request, tell)
        return done.with_(source=source.shown, destination=self.shown)

    def _planned(self, source: ImageSource, needs: Sequence[Need]) -> Planned:
        """Find out what will be moved.

        Raises:
            DoesNotFit: it cannot.
        """
        missing = {need.digest: need for need in needs if not need.present}
        blobs = PartialBlobs(self._store.context).list() if isinstance(source, RemoteSource) and missing else ()
        kept = {blob.digest: blob.size for blob in blobs}
        fetch = tuple(
            (digest, need.size, max(0, min(kept.get(digest, 0), need.size))) for digest, need in missing.items()
        )
        needed, root = sum(max(size, 0) for _, size, _ in fetch), self._store.config.graph_root
        free = require_room(source.shown, root, needed)
        present = tuple(dict.fromkeys(need.digest for need in needs if need.digest not in missing))
        return Planned(fetch, present, needed, free)

    def _load(
        self,
        source: ImageSource,
        members: Members,
        wanted: LoadRequest,
        plans: list[ImagePlan],
        needs: Sequence[Need],
        plan: Planned,
        request: CopyRequest,
        tell: Tell,
    ) -> tuple[str, ...]:
        sizes = {need.digest: need.size for need in needs}
        for digest in plan.present:
            tell(BlobPresent(digest, sizes[digest]))
        if not (plan.fetch and isinstance(source, RemoteSource) and isinstance(members, SourceMembers)):
            if isinstance(members, SourceMembers):
                members.tell_of(tell)
                return load_members(self._store, members, wanted, plans=plans).warnings
            oddities = load_members(self._store, members, wanted, plans=plans).warnings
            for digest, size, _ in plan.fetch:
                tell(BlobDone(digest, size))
            return oddities
        from cstore.transfer.fetching import Fetching as Fetch

        missing = [need for need in needs if not need.present]
        for more in range(len(missing), -1, -1):
            fetching = Fetch(self._store, source, missing, request, tell)
            try:
                return self._fetched(fetching, members, wanted, plans)
            except CstoreError:
                # What an earlier run had left of a blob was wrong, and is gone: once more, from its beginning. It may
                # be so with each of them.
                if not fetching.spoiled or not more:
                    raise
        raise AssertionError

    def _fetched(
        self, fetching: Fetching, members: SourceMembers, wanted: LoadRequest, plans: list[ImagePlan]
    ) -> tuple[str, ...]:
        with fetching:
            members.fetch_by(fetching.opened)
            return load_members(self._store, members, wanted, fetching.settle, plans).warnings


# ── a source as an archive ────────────────────────────────────────────────────────────────────────────────────────────


class _Document(Part):
    """A document that is in memory, as a member."""

    data: bytes = b""

    def read(self, limit: int) -> bytes:
        """Give everything (see `Part.read`)."""
        if self.size > limit:
            raise ImageArchiveError(self.name, f"it has {self.size} bytes, more than the allowed {limit}")
        return self.data


class SourceMembers:
    """One image of a source as the members of an OCI layout, made up as they are asked for."""

    def __init__(self, source: ImageSource, name: str) -> None:
        """`name` is the one that the image has in the layout, "" for none."""
        self.shown = source.shown
        self._source = source
        self._give: Opener = source.open
        self._tell: Tell | None = None
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
        """Take layers from somebody who fetches them ahead."""
        self._give = give

    def tell_of(self, tell: Tell) -> None:
        """Tell how far the layers are as they are read."""
        self._tell = tell

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
        """Take down a document, and what it names."""
        self._documents[blob_name(digest_of(document.raw))] = document.raw
        if isinstance(document, Index):
            self._manifests |= {blob_name(entry.digest): entry for entry in document.manifests}
        else:
            self._configs[blob_name(document.config.digest)] = document.config
            self._layers |= {blob_name(layer.digest): layer for layer in document.layers}
