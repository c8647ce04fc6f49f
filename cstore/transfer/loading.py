"""An archive of images into the store: every byte held to its digest, and all of it or nothing (docker 16, 19).

What comes of it is what skopeo and Podman would have made: the same layer IDs, records, data items, digests and names.
Layers come first, bottom up; then the images, with their manifests; and names last, when everything else is there. If
anything goes wrong, what this run made is removed again.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress

from cstore.archive.streams import CountingReader, FileReader
from cstore.errors import (
    ArchiveError,
    CstoreError,
    IDTaken,
    ImageArchiveError,
    InvalidOption,
    SystemFailure,
    TopLayerDiffers,
)
from cstore.oci.schema2 import digest_of, made_up_manifest
from cstore.store import NewImage, NewLayer
from cstore.transfer.formats import Wanted, check, read_plans
from cstore.transfer.members import Catalogue, DirectoryMembers, get_part, read_stream, scan_tar
from cstore.transfer.names import DOCKER, LOCAL, parse_name
from cstore.transfer.oci_layout import check_size
from cstore.transfer.verifying import Delivery, uncompressed, verify
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.archive.streams import ReadInto
    from cstore.records.model import Image, Layer
    from cstore.store import Store
    from cstore.transfer.members import Members
    from cstore.transfer.plan import ImagePlan, LayerPlan

METADATA = "{}"
"""What images without signatures have as metadata."""

_MOST_GUESSES = 8


class LoadRequest(Wanted):
    """What a caller asks for: which images (see `Wanted`), and `tag`, the name that the one image gets instead."""

    tag: str = ""


class LoadedImage(Value):
    """An image that was taken in. `new_layers` are those of its layers that were not in the store before."""

    id: str
    digest: str
    names: tuple[str, ...]
    layers: tuple[str, ...]
    new_layers: tuple[str, ...]


class LoadResult(Value):
    """What was taken in, and what was odd about it."""

    images: tuple[LoadedImage, ...]
    warnings: tuple[str, ...]


def load(
    store: Store,
    source: int,
    request: LoadRequest,
    progress: Callable[[int], None] | None = None,
    *,
    shown: str = "the archive",
) -> LoadResult:
    """Take images in.

    Args:
        store: where they go.
        source: a descriptor of an archive, compressed or not, in a file or a stream; or of a directory with a layout.
        request: which images, and how.
        progress: called now and then with the bytes done so far.
        shown: what to call the source in messages.

    Raises:
        ArchiveError: the archive is not what it says; the store is as it was.
        InvalidOption, InvalidName: the request makes no sense for this archive.
        IDTaken, TopLayerDiffers: the store has something else under an ID that this archive gives.
    """
    check(request)
    if request.tag:
        parse_name(request.tag)
    loading = _Loading(store, request, progress)
    try:
        with _opened(store, source, shown, loading) as members:
            return loading.run(members)
    except BaseException:
        loading.undo()
        raise


@contextmanager
def _opened(store: Store, source: int, shown: str, loading: _Loading) -> Iterator[Members]:
    """Find a way to the members: in a directory, in a plain file, or while the stream goes by."""
    try:
        mode = os.fstat(source).st_mode
    except OSError as error:
        raise SystemFailure("read", shown, error) from error
    if stat.S_ISDIR(mode):
        yield DirectoryMembers(source, shown)
        return
    if stat.S_ISREG(mode):
        start = os.lseek(source, 0, os.SEEK_CUR)
        if not _is_compressed(source, start):
            yield scan_tar(source, shown)
            return
    with _spool(store) as spool:
        counted = CountingReader(FileReader(source, shown), None)
        yield read_stream(uncompressed(_Telling(counted, loading.tell)), spool, shown, loading)


def _is_compressed(source: int, start: int) -> bool:
    from cstore.archive.compression import LONGEST_MAGIC, sniff

    return bool(sniff(os.pread(source, LONGEST_MAGIC, start)))


@contextmanager
def _spool(store: Store) -> Iterator[int]:
    """An unnamed file on the store's disk, where what is not yet known to be of use waits."""
    from tempfile import TemporaryFile

    from cstore.store.session import make_roots

    make_roots(store.context.layout)
    try:
        file = TemporaryFile(dir=store.config.graph_root, buffering=0)  # noqa: SIM115  - only making it may fail here
    except OSError as error:
        raise SystemFailure("make a file in", store.config.graph_root, error) from error
    with file:
        yield file.fileno()


class _Telling:
    """Tells how much has been read."""

    def __init__(self, source: CountingReader, tell: Callable[[int], None]) -> None:
        self._source = source
        self._tell = tell

    def readinto(self, buffer: memoryview, /) -> int:
        """Pass one read through."""
        count = self._source.readinto(buffer)
        self._tell(self._source.count)
        return count


class _Loading:
    """One run. It also takes layers from a stream as they arrive, if the documents have come before them."""

    def __init__(self, store: Store, request: LoadRequest, progress: Callable[[int], None] | None) -> None:
        self._store = store
        self._request = request
        self._progress = progress
        self._streaming = False
        self._done = 0
        self._plans: list[ImagePlan] | None = None
        self._guesses = 0
        self._verified: set[tuple[str, str]] = set()
        self._layers: list[str] = []
        self._images: list[str] = []

    def run(self, members: Members) -> LoadResult:
        """Take everything in."""
        warnings: list[str] = []
        plans = self._named(read_plans(members, self._request, warnings))
        for plan in plans:
            self._check_image(plan)
        for plan in plans:
            self._bring_layers(members, plan, warnings)
        images = [self._bring_image(plan) for plan in plans]
        self._drop_unused(plans)
        for plan in plans:
            if plan.names:
                self._store.add_names(plan.config.id, plan.names)
        return LoadResult(tuple(images), tuple(dict.fromkeys(warnings)))

    def undo(self) -> None:
        """Remove what this run made. What somebody else has begun to use stays."""
        for image in self._images:
            with suppress(CstoreError):
                self._store.images.delete(image)
        for layer in reversed(self._layers):
            with suppress(CstoreError):
                self._store.layers.delete(layer)

    def tell(self, done: int) -> None:
        """Pass on how much of a stream has been read."""
        self._streaming = True
        if self._progress is not None:
            self._progress(done)

    # ── layers ──

    def _bring_layers(self, members: Members, plan: ImagePlan, warnings: list[str]) -> None:
        below = ""
        for layer, layer_id in zip(plan.layers, plan.config.rootfs.layer_ids, strict=True):
            if self._known(layer_id, layer) is not None and (layer.member, layer.diff_id) in self._verified:
                below = layer_id
                continue
            part = get_part(members, layer.member, plan.member)
            check_size(layer.member, layer.size, part.size)
            with part.opened() as reader:
                self._bring_layer(layer, layer_id, below, reader, warnings)
            self._done += part.size
            self._advance(0)
            below = layer_id

    def _bring_layer(self, layer: LayerPlan, layer_id: str, below: str, source: ReadInto, warnings: list[str]) -> None:
        """Make a layer, or see that what the archive has in its place is what the store has."""
        delivery = Delivery(source, layer)
        try:
            if self._known(layer_id, layer) is not None:
                verify(source, layer)
            else:
                request = NewLayer(id=layer_id, parent=below)
                made = self._store.layers.put(request, delivery.source, self._advance, delivery.accept)
                self._layers.append(made.id)
                warnings += filter(None, [delivery.oddity])
        except ImageArchiveError:
            raise
        except ArchiveError as error:
            raise ImageArchiveError(layer.member, error.message, hint=error.hint, peer=error.peer) from error
        self._verified.add((layer.member, layer.diff_id))

    def _known(self, layer_id: str, layer: LayerPlan) -> Layer | None:
        """Find a layer that the store has already.

        Raises:
            IDTaken: what has its ID has other contents.
        """
        found = self._store.layers.find(layer_id)
        if found is None or found.id != layer_id:
            return None
        if found.diff_digest != layer.diff_id:
            raise IDTaken("layer", layer_id)
        return found

    def _advance(self, done: int) -> None:
        if self._progress is not None and not self._streaming:
            self._progress(self._done + done)

    def _drop_unused(self, plans: list[ImagePlan]) -> None:
        """Remove layers that were taken from the stream and turned out to be of no use."""
        used = {layer for plan in plans for layer in plan.config.rootfs.layer_ids}
        for layer in [layer for layer in reversed(self._layers) if layer not in used]:
            self._store.layers.delete(layer)
            self._layers.remove(layer)

    # ── layers from a stream ──

    def arrived(self, members: Catalogue, name: str, body: ReadInto) -> bool:
        """Take a layer out of the stream if it is known what it is for (see `members.Arrivals`)."""
        found = self._use_of(members, name)
        if found is None:
            return False
        layer, layer_id, below = found
        self._bring_layer(layer, layer_id, below, body, [])
        return True

    def _use_of(self, members: Catalogue, name: str) -> tuple[LayerPlan, str, str] | None:
        """Find the one layer that a member is, its ID, and the layer below, if that is in the store by now."""
        if self._plans is None:
            self._guess(members)
        uses = {}
        for plan in self._plans or ():
            below = ""
            for layer, layer_id in zip(plan.layers, plan.config.rootfs.layer_ids, strict=True):
                if layer.member == name:
                    uses[layer_id] = (layer, layer_id, below)
                below = layer_id
        if len(uses) != 1:  # of several, only one could have it now
            return None
        layer, layer_id, below = next(iter(uses.values()))
        found = self._store.layers.find(below) if below else None
        ready = not below or (found is not None and found.id == below)
        return (layer, layer_id, below) if ready else None

    def _guess(self, members: Catalogue) -> None:
        """Try to read the documents, if all of them have come. Whatever is wrong with them is told at the end."""
        if self._guesses == _MOST_GUESSES or not (members.find("manifest.json") or members.find("index.json")):
            return
        self._guesses += 1
        with suppress(ArchiveError, InvalidOption):
            self._plans = read_plans(members, self._request, [])

    # ── images ──

    def _named(self, plans: list[ImagePlan]) -> list[ImagePlan]:
        """Give the one image the name that was asked for."""
        tag = self._request.tag
        if not tag:
            return plans
        if len(plans) > 1:
            raise InvalidOption(
                f"{len(plans)} images cannot all have the name {tag!r}", hint="choose one of them with --name"
            )
        home = LOCAL if self._request.podman_names else DOCKER
        return [plans[0].with_(names=(str(parse_name(tag, home=home)),))]

    def _check_image(self, plan: ImagePlan) -> Image | None:
        """Find an image of that ID, which must have the same layers."""
        found = self._store.images.find(plan.config.id)
        if found is None or found.id != plan.config.id:
            return None
        top = (plan.config.rootfs.layer_ids or ("",))[-1]
        if found.layer != top:
            raise TopLayerDiffers(found.id, found.layer)
        return found

    def _bring_image(self, plan: ImagePlan) -> LoadedImage:
        """Make the image's record and data, or add to those there are."""
        config = plan.config
        layers = config.rootfs.layer_ids
        data = self._data(plan)
        digest = digest_of(plan.index or data["manifest"])
        if self._check_image(plan) is None:
            request = NewImage(
                id=config.id,
                layer=layers[-1] if layers else "",
                metadata=METADATA,
                digest=digest,
                created=recorded_time(config.created),
                data=data,
            )
            self._store.images.create(request)
            self._images.append(config.id)
        else:
            for key, value in data.items():
                self._store.images.set_data(config.id, key, value)
        new = tuple(layer for layer in layers if layer in self._layers)
        return LoadedImage(config.id, digest_of(data["manifest"]), plan.names, layers, new)

    def _data(self, plan: ImagePlan) -> dict[str, bytes]:
        """Put together the data items, in the order in which they are stored (docker 16)."""
        config = plan.config
        sizes = [self._store.layers.get(layer).diff_size for layer in config.rootfs.layer_ids]
        manifest = plan.manifest or made_up_manifest(config.raw, zip(config.rootfs.diff_ids, sizes, strict=True))
        data = {config.digest: config.raw}
        if plan.index:
            data[f"manifest-{digest_of(plan.index)}"] = plan.index
        return {**data, f"manifest-{digest_of(manifest)}": manifest, "manifest": manifest}


def recorded_time(text: str) -> str:
    """Write a config's time as records hold it: no zeros at the end of a fraction, at most nine digits of it."""
    head, dot, rest = text.upper().partition(".")
    if not dot:
        return head
    end = next((place for place, char in enumerate(rest) if not char.isdigit()), len(rest))
    fraction = rest[:end][:9].rstrip("0")
    return f"{head}{f'.{fraction}' if fraction else ''}{rest[end:]}"
