"""Brings the layers of images into the store: verifies each against its digests, and writes only those it lacks.

Layers go in from the bottom up. A layer of a stream goes in as it arrives, if the documents came before it and the
store has the layer below it. All others go in when the whole archive has been read.
"""

from __future__ import annotations

from cstore.errors import ArchiveError, IDTaken, ImageArchiveError, MemberMissing
from cstore.store import NewLayer
from cstore.transfer.members import get_part
from cstore.transfer.oci_layout import check_size
from cstore.transfer.verifying import Delivery, verify
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.archive.streams import ReadInto
    from cstore.records.model import Layer
    from cstore.store import Store
    from cstore.store.intents import Intent
    from cstore.transfer.members import Members, Part
    from cstore.transfer.plan import ImagePlan, LayerPlan


class _Use(Value):
    """A use of a member: the layer with this ID, on top of the layer `below`, or of nothing."""

    layer: LayerPlan
    id: str
    below: str


def _uses(plan: ImagePlan) -> list[_Use]:
    ids = plan.layer_ids
    return [_Use(*parts) for parts in zip(plan.layers, ids, ("", *ids), strict=False)]


class Need(Value):
    """A layer that an image needs: the digest (its DiffID, if unknown) and size of its blob, and whether it is present.

    `ids` are the layer's present or future IDs in the store: one for each parent.
    """

    digest: str
    size: int
    present: bool
    ids: tuple[str, ...]


def exact_layer(store: Store, identifier: str) -> Layer | None:
    """Find a layer by its whole ID, not by a name or a prefix."""
    found = store.layers.find(identifier)
    return found if found is not None and found.id == identifier else None


def needs_of(store: Store, plans: Sequence[ImagePlan]) -> list[Need]:
    """Find out which layers images need, each blob once, bottom up, and which of them the store has."""
    found: dict[str, Need] = {}
    for use in (use for plan in plans for use in _uses(plan)):
        present = exact_layer(store, use.id) is not None
        digest = use.layer.digest or use.layer.diff_id
        before = found.get(digest, Need(digest, use.layer.size, True, ()))
        found[digest] = before.with_(present=before.present and present, ids=(*before.ids, use.id))
    return list(found.values())


class LayerIntake:
    """Takes layers in for one run.

    Attributes:
        made: the IDs of the layers that this run has made, in that order.
        oddities: warnings about the layers.
        waited: bytes of layers that were written to a file before they could be used.
    """

    def __init__(self, store: Store, progress: Callable[[int], None] | None, intent: Intent, window: int = 0) -> None:
        """`window`: see `ApplyOptions`."""
        self.made: list[str] = []
        self.oddities: list[str] = []
        self.waited = 0
        self._store = store
        self._progress = progress
        self._intent = intent
        self._window = window
        self._streaming = False
        self._read = 0
        self._done = 0
        self._verified: set[tuple[str, str]] = set()

    def bring(self, images: Sequence[tuple[Members, ImagePlan]]) -> None:
        """Bring the layers of images into the store, bottom up, and verify those that the store has already.

        Frees the disk space of a spooled layer after its last use.

        Raises:
            ArchiveError: a layer is missing, or is not the one that was described.
            IDTaken: the store has another layer under its ID.
        """
        self._streaming = False
        wanted: list[tuple[_Use, Part | None]] = []
        for members, plan in images:
            for use in _uses(plan):
                layer = use.layer
                part = members.find(layer.member)  # in any case: it may have come a second time since it was taken
                elsewhere = part is None and bool(layer.urls)
                if ((layer.member, layer.diff_id) in self._verified or elsewhere) and self._known(use) is not None:
                    part = None  # it is not needed, or has been taken out of the stream
                elif elsewhere:
                    raise MemberMissing(
                        layer.member,
                        f"this layer is not distributed with the image, but at {', '.join(layer.urls)}",
                        hint="podman pull and skopeo copy fetch such layers from there",
                    )
                elif part is None:
                    part = get_part(members, layer.member, plan.member)
                wanted.append((use, part))
        last = {part.offset: place for place, (_, part) in enumerate(wanted) if part is not None}
        for place, (use, part) in enumerate(wanted):
            if part is None:
                continue
            if (use.layer.member, use.layer.diff_id) not in self._verified or self._known(use) is None:
                self._take_part(use, part)
                self._advance(0)
            if last[part.offset] == place and part.waiting:
                self.waited += part.size
                part.release()

    def fetch(
        self, members: Members, plans: Sequence[ImagePlan], settle: Callable[[str], object] | None = None
    ) -> None:
        """Bring the layers that the store lacks, bottom up, and read nothing of the others.

        `settle` is called with the digest of each missing layer before it is read.

        Raises:
            ArchiveError: a layer is missing, or is not the one that was described.
            IDTaken: the store has another layer under its ID.
        """
        for plan in plans:
            for use in _uses(plan):
                layer = use.layer
                known = self._known(use)
                if known is None and settle is not None:
                    settle(layer.digest or layer.diff_id)
                    known = self._known(use)
                if known is None:
                    self._take_part(use, get_part(members, layer.member, plan.member))
                    continue
                if layer.digest and known.compressed_digest == layer.digest and known.compressed_size > 0:
                    check_size(layer.member, layer.size, known.compressed_size)
                self._intent.note(uses=use.id)

    def drop_unused(self, plans: Sequence[ImagePlan]) -> None:
        """Remove layers that were taken from a stream and that no image uses."""
        used = {layer for plan in plans for layer in plan.layer_ids}
        for layer in [layer for layer in reversed(self.made) if layer not in used]:
            self._store.layers.delete(layer)
            self.made.remove(layer)

    def _take_part(self, use: _Use, part: Part) -> None:
        check_size(use.layer.member, use.layer.size, part.size)
        with part.opened() as reader:
            self._take(use, reader)
        self._done += max(part.size, 0)

    def _take(self, use: _Use, source: ReadInto) -> None:
        """Make a layer, or see that what the archive has in its place is what the store has."""
        layer, delivery = use.layer, Delivery(source, use.layer)
        if self._known(use) is not None:
            self._intent.note(uses=use.id)
        try:
            if self._known(use) is not None or not self._made(use, delivery):
                verify(source, layer, self._window)
        except ImageArchiveError:
            raise
        except ArchiveError as error:
            if layer.changed is not None:
                raise
            raise ImageArchiveError(layer.member, error.message, hint=error.hint, go_text=error.go_text) from error
        self._verified.add((layer.member, layer.diff_id))

    def _made(self, use: _Use, delivery: Delivery) -> bool:
        """Make a layer, or find that somebody else has just made it; False if nothing of the archive was read then."""
        request = NewLayer(id=use.id, parent=use.below, window=self._window)
        self._intent.note(layers=[use.id])
        try:
            made = self._store.layers.put(request, delivery.source, self._advance, delivery.accept)
        except IDTaken:
            if self._known(use) is None:
                raise
            if not delivery.accepted:
                return False
        else:
            self.made.append(made.id)
        self.oddities += filter(None, [delivery.oddity])
        return True

    def _known(self, use: _Use) -> Layer | None:
        """Find a layer that the store has already.

        Raises:
            IDTaken: what has its ID has other contents.
        """
        found = exact_layer(self._store, use.id)
        if found is not None and found.diff_digest != use.layer.diff_id:
            raise IDTaken("layer", use.id)
        return found

    # ── progress ──

    def tell(self, done: int) -> None:
        """Pass on how much of a stream has been read."""
        self._streaming, self._read = True, done
        if self._progress is not None:
            self._progress(done)

    def _advance(self, done: int) -> None:
        if self._progress is not None and not self._streaming:
            self._progress(self._read + self._done + done)

    # ── layers from a stream ──

    def arrived(self, plans: Sequence[ImagePlan], name: str, body: ReadInto) -> bool:
        """Take a layer out of a stream, if it is clear which layer it is (see `contract.Arrivals`)."""
        every = [use for plan in plans for use in _uses(plan)]
        wanted = {use.layer.diff_id for use in every if use.layer.member == name}
        # Under any name: a link to the member may still come. Of several uses, only one could take it now.
        uses = {use.id: use for use in every if use.layer.diff_id in wanted}
        if len(uses) != 1:
            return False
        (use,) = uses.values()
        if use.layer.member != name:
            return False
        if use.below and exact_layer(self._store, use.below) is None:
            return False
        self._take(use, body)
        return True
