"""The store as a sink: images come in from any source, all of them or nothing (docker 16).

The result is what skopeo and Podman would have made: the same layer IDs, records, data items, digests and names. Layers
come first, from the bottom up; then the images with their manifests; and names last, when everything else is there. If
anything goes wrong, the run removes what it made; if it is killed, the next writer does.

    archive_images ─► take_all, which `load` uses
    a source ─► take: store_copy makes the plan and fetches ─► take_planned
    a Docker data root's image ─► take_planned, which `docker-import` uses
"""

from __future__ import annotations

from cstore.digests import digest_of
from cstore.errors import IDTaken, TopLayerDiffers
from cstore.oci.media_types import made_up_manifest
from cstore.oci.names import DOCKER, parse_name
from cstore.store import NewImage
from cstore.transfer.layer_intake import LayerIntake
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.records.model import Image
    from cstore.store import Store
    from cstore.store.intents import Intent
    from cstore.transfer.contract import CopiedImage, CopyRequest, ImageSource, SeveralImages, Tell
    from cstore.transfer.members import Members
    from cstore.transfer.plan import ImagePlan

METADATA = "{}"
"""The metadata of images without signatures."""


class LoadedImage(Value):
    """An image that was taken in. `new_layers` are those of its layers that were not in the store before."""

    id: str
    digest: str
    names: tuple[str, ...]
    layers: tuple[str, ...]
    new_layers: tuple[str, ...]


class LoadResult(Value):
    """The images that were taken in, warnings about them, and the bytes of layers that had to wait on the disk."""

    images: tuple[LoadedImage, ...]
    warnings: tuple[str, ...]
    waited: int = 0


class StoreSink:
    """A store as the destination of images (see `contract.ImageSink`)."""

    def __init__(self, store: Store, name: str = "", *, home: str = DOCKER) -> None:
        """`name` is the image's name in the store, "" to keep its own; `home` completes a name without a domain.

        Raises:
            InvalidName: the name is not valid.
        """
        self.store = store
        self.name = str(parse_name(name, home=home)) if name else ""
        self.shown = self.name or store.config.graph_root

    def take(self, source: ImageSource, request: CopyRequest, tell: Tell) -> CopiedImage:
        """Store an image (see `contract.ImageSink`)."""
        from cstore.transfer.store_copy import StoreCopy

        return StoreCopy(self, source, request, tell).run()

    def take_all(self, images: SeveralImages, progress: Callable[[int], None] | None = None) -> LoadResult:
        """Take several images together. Verifies all of their layers, those that the store has already too.

        Args:
            images: where they come from.
            progress: called now and then with the bytes read so far.

        Raises:
            CstoreError: see `contract.ImageSink`; the store is as it was.
        """
        with self.store.begin() as intent:
            layers = LayerIntake(self.store, progress, intent)
            with images.opened(self.store, layers, layers.tell) as sources:
                planned = [(source, source.planned(self.store)) for source in sources]
                for _, plan in planned:
                    check_image(self.store, plan)
                layers.bring(planned)
                return self._finish([plan for _, plan in planned], layers, intent, images.warnings)

    def take_planned(
        self,
        members: Members,
        plans: Sequence[ImagePlan],
        settle: Callable[[str], object] | None = None,
        progress: Callable[[int], None] | None = None,
        window: int = 0,
    ) -> LoadResult:
        """Take images whose plans are known. Reads nothing of layers that the store has.

        Args:
            members: where the plans find the layers.
            plans: the images.
            settle: called with the digest of a layer before it is read; when it returns, the layer can be read, or
                another process has put it into the store.
            progress: called now and then with the bytes of layers read so far.
            window: bytes of memory that the window of a layer's decoder may take; 0 for what this system can give.

        Raises:
            CstoreError: see `contract.ImageSink`; the store is as it was.
        """
        with self.store.begin() as intent:
            layers = LayerIntake(self.store, progress, intent, window)
            layers.fetch(members, plans, settle)
            return self._finish(plans, layers, intent)

    def _finish(
        self, plans: Sequence[ImagePlan], layers: LayerIntake, intent: Intent, warnings: Sequence[str] = ()
    ) -> LoadResult:
        """Make the images, when their layers are there, and then name them."""
        images = [self._bring_image(plan, layers, intent) for plan in plans]
        layers.drop_unused(plans)
        for plan in plans:
            intent.note(of=plan.config.id, names=list(plan.names[::-1]))
        intent.note(complete=True)
        for plan in plans:
            if plan.names:
                # The Go tools add one name after the other, and so the last one stands first.
                self.store.add_names(plan.config.id, plan.names[::-1])
        oddities = tuple(dict.fromkeys((*warnings, *layers.oddities)))
        return LoadResult(tuple(images), oddities, layers.waited)

    def _bring_image(self, plan: ImagePlan, intake: LayerIntake, intent: Intent) -> LoadedImage:
        """Make the image's record and data, or add to those of an image that is there."""
        config, layers = plan.config, plan.layer_ids
        # For a link, skopeo and Podman record the link's own size, 0. The digest must be the one of their manifest.
        sizes = (
            (layer.diff_id, 0 if layer.linked else self.store.layers.get(identifier).diff_size)
            for layer, identifier in zip(plan.layers, layers, strict=True)
        )
        manifest = plan.manifest or made_up_manifest(config.raw, sizes)
        # The order is the one in which they are stored (docker 16).
        data = {config.digest: config.raw}
        if plan.index:
            data[f"manifest-{digest_of(plan.index)}"] = plan.index
        data |= {f"manifest-{digest_of(manifest)}": manifest, "manifest": manifest}
        request = NewImage(
            id=config.id,
            layer=layers[-1] if layers else "",
            metadata=METADATA,
            digest=digest_of(plan.index or manifest),
            created=recorded_time(config.created),
            data=data,
        )
        is_new = check_image(self.store, plan) is None
        if is_new:
            intent.note(image=config.id)
            try:
                self.store.images.create(request)
            except IDTaken:
                if check_image(self.store, plan) is None:
                    raise
                is_new = False  # another process has just made it
        if not is_new and not plan.spares:
            for key, value in data.items():
                self.store.images.set_data(config.id, key, value)
        new = tuple(layer for layer in layers if layer in intake.made)
        return LoadedImage(config.id, digest_of(manifest), plan.names, layers, new)


def check_image(store: Store, plan: ImagePlan) -> Image | None:
    """Find the image of a plan's ID in the store.

    Raises:
        TopLayerDiffers: it has other layers.
    """
    found = store.images.find(plan.config.id)
    if found is None or found.id != plan.config.id:
        return None
    top = (plan.layer_ids or ("",))[-1]
    if found.layer != top:
        raise TopLayerDiffers(found.id, found.layer)
    return found


def recorded_time(text: str) -> str:
    """Write a config's time as records have it: at most nine digits of a fraction, without zeros at its end."""
    head, dot, rest = text.upper().partition(".")
    if not dot:
        return head
    end = next((place for place, char in enumerate(rest) if not char.isdigit()), len(rest))
    fraction = rest[:end][:9].rstrip("0")
    return f"{head}{f'.{fraction}' if fraction else ''}{rest[end:]}"
