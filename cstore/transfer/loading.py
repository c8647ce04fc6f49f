"""An archive of images into the store: every byte held to its digest, and all of it or nothing (docker 16, 19).

What comes of it is what skopeo and Podman would have made: the same layer IDs, records, data items, digests and names.
Layers come first, bottom up; then the images, with their manifests; and names last, when everything else is there. If
anything goes wrong, what this run made is removed again; if it is killed, the next writer sees to that.
"""

from __future__ import annotations

from contextlib import ExitStack

from cstore.arguments import checked
from cstore.digests import digest_of
from cstore.errors import IDTaken, InvalidOption, TopLayerDiffers
from cstore.oci.media_types import made_up_manifest
from cstore.oci.names import DOCKER, LOCAL, parse_name
from cstore.store import NewImage
from cstore.store.ends import opened_source
from cstore.transfer.formats import Wanted, check, read_plans, settled
from cstore.transfer.layer_intake import LayerIntake
from cstore.transfer.opening import open_members
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.records.model import Image
    from cstore.store import Store
    from cstore.store.ends import Source
    from cstore.store.intents import Intent
    from cstore.transfer.members import Members
    from cstore.transfer.plan import ImagePlan

METADATA = "{}"
"""What images without signatures have as metadata."""


class LoadRequest(Wanted):
    """What a caller asks for: which images, and how they are read (see `Wanted`)."""


class LoadedImage(Value):
    """An image that was taken in. `new_layers` are those of its layers that were not in the store before."""

    id: str
    digest: str
    names: tuple[str, ...]
    layers: tuple[str, ...]
    new_layers: tuple[str, ...]


class LoadResult(Value):
    """What was taken in, what was odd about it, and how many bytes of layers had to wait on the store's disk."""

    images: tuple[LoadedImage, ...]
    warnings: tuple[str, ...]
    waited: int = 0


@checked
def load(
    store: Store,
    source: Source,
    request: LoadRequest | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    shown: str = "the archive",
) -> LoadResult:
    """Take images in.

    Args:
        store: where they go.
        source: an archive, compressed or not: a path, bytes, a descriptor, a file; or the path of an OCI layout.
        request: which images, and how; by default all of them, for this machine, under their own names.
        progress: called now and then with the bytes done so far.
        shown: what to call the source in messages.

    Raises:
        ArchiveError: the archive is not what it says; the store is as it was.
        InvalidOption, InvalidName: the request makes no sense for this archive.
        IDTaken, TopLayerDiffers: the store has something else under an ID that this archive gives.
    """
    request = request or LoadRequest()
    check(request)
    if request.tag:
        parse_name(request.tag)
    with store.begin() as intent:
        layers = LayerIntake(store, request, progress, intent)
        loading = _Loading(store, request, layers, intent)
        with (
            opened_source(source, shown) as opened,
            open_members(store, opened, shown, layers, layers.tell) as members,
            ExitStack() as entered,
        ):
            return loading.run(settled(members, entered), layers.bring)


def load_members(
    store: Store,
    members: Members,
    request: LoadRequest,
    settle: Callable[[str], object] | None = None,
    plans: list[ImagePlan] | None = None,
    progress: Callable[[int], None] | None = None,
) -> LoadResult:
    """Take images in from what is an archive only for us: of layers that the store has, nothing is read.

    Args:
        store: where they go.
        members: the archive.
        request: which images, and how.
        settle: called with the digest of a layer before it is read; when it returns, the layer can be read, or somebody
            else has brought it.
        plans: the images, if somebody has chosen them already.
        progress: called now and then with the bytes of layers read so far.

    Raises:
        CstoreError: as `load`.
    """
    with store.begin() as intent:
        layers = LayerIntake(store, request, progress, intent)
        loading = _Loading(store, request, layers, intent, plans)
        return loading.run(members, layers.fetch, settle or _nothing_to_wait_for)


def _nothing_to_wait_for(_digest: str) -> None:
    """What is here already can be read at once."""


def plan_images(store: Store, members: Members, request: LoadRequest, warnings: list[str]) -> list[ImagePlan]:
    """Read what an archive has of what is wanted, under the names that it will get, and see that the store can take it.

    Raises:
        CstoreError: as `load`.
    """
    plans = read_plans(members, request, warnings)
    if request.tag:
        if len(plans) > 1:
            raise InvalidOption(
                f"{len(plans)} images cannot all have the name {request.tag!r}", hint="choose one of them with --name"
            )
        home = LOCAL if request.podman_names else DOCKER
        plans = [plans[0].with_(names=(str(parse_name(request.tag, home=home)),))]
    for plan in plans:
        check_image(store, plan)
    return plans


def check_image(store: Store, plan: ImagePlan) -> Image | None:
    """Find an image of that ID, which must have the same layers."""
    found = store.images.find(plan.config.id)
    if found is None or found.id != plan.config.id:
        return None
    top = (plan.layer_ids or ("",))[-1]
    if found.layer != top:
        raise TopLayerDiffers(found.id, found.layer)
    return found


class _Loading:
    """One run."""

    def __init__(
        self,
        store: Store,
        request: LoadRequest,
        layers: LayerIntake,
        intent: Intent,
        plans: list[ImagePlan] | None = None,
    ) -> None:
        self._store = store
        self._request = request
        self._layers = layers
        self._intent = intent
        self._plans = plans

    def run(self, members: Members, bring: Callable[..., object], *how: object) -> LoadResult:
        """Take everything in, the layers by `bring`."""
        warnings: list[str] = []
        plans = self._plans or plan_images(self._store, members, self._request, warnings)
        bring(members, plans, *how)
        images = [self._bring_image(plan) for plan in plans]
        self._layers.drop_unused(plans)
        for plan in plans:
            self._intent.note(of=plan.config.id, names=list(plan.names[::-1]))
        self._intent.note(complete=True)
        for plan in plans:
            if plan.names:
                # Others add one name after the other, and so the last one stands first.
                self._store.add_names(plan.config.id, plan.names[::-1])
        oddities = tuple(dict.fromkeys((*warnings, *self._layers.oddities)))
        return LoadResult(tuple(images), oddities, self._layers.waited)

    def _bring_image(self, plan: ImagePlan) -> LoadedImage:
        """Make the image's record and data, or add to those there are."""
        config = plan.config
        layers = plan.layer_ids
        data = self._data(plan)
        request = NewImage(
            id=config.id,
            layer=layers[-1] if layers else "",
            metadata=METADATA,
            digest=digest_of(plan.index or data["manifest"]),
            created=recorded_time(config.created),
            data=data,
        )
        if not self._made(plan, request) and not plan.spares:
            for key, value in data.items():
                self._store.images.set_data(config.id, key, value)
        new = tuple(layer for layer in layers if layer in self._layers.made)
        return LoadedImage(config.id, digest_of(data["manifest"]), plan.names, layers, new)

    def _made(self, plan: ImagePlan, request: NewImage) -> bool:
        """Make an image; False if it is there, or somebody else has made it meanwhile."""
        if check_image(self._store, plan) is not None:
            return False
        self._intent.note(image=request.id)
        try:
            self._store.images.create(request)
        except IDTaken:
            if check_image(self._store, plan) is None:
                raise
            return False
        return True

    def _data(self, plan: ImagePlan) -> dict[str, bytes]:
        """Put together the data items, in the order in which they are stored (docker 16)."""
        config = plan.config
        manifest = plan.manifest or made_up_manifest(config.raw, self._sizes(plan))
        data = {config.digest: config.raw}
        if plan.index:
            data[f"manifest-{digest_of(plan.index)}"] = plan.index
        return {**data, f"manifest-{digest_of(manifest)}": manifest, "manifest": manifest}

    def _sizes(self, plan: ImagePlan) -> Iterator[tuple[str, int]]:
        """The DiffID and size of each layer, for a manifest.

        Of a link, skopeo and Podman write down its own size, which is none. The digest must be the one that they get.
        """
        for layer, identifier in zip(plan.layers, plan.layer_ids, strict=True):
            yield layer.diff_id, 0 if layer.linked else self._store.layers.get(identifier).diff_size


def recorded_time(text: str) -> str:
    """Write a config's time as records hold it: no zeros at the end of a fraction, at most nine digits of it."""
    head, dot, rest = text.upper().partition(".")
    if not dot:
        return head
    end = next((place for place, char in enumerate(rest) if not char.isdigit()), len(rest))
    fraction = rest[:end][:9].rstrip("0")
    return f"{head}{f'.{fraction}' if fraction else ''}{rest[end:]}"
