"""An image of a Docker data root as a source, imported into a store or exported as a docker-archive.

The daemon need not run, and nothing in the data root is written.
"""

from __future__ import annotations

from contextlib import contextmanager

from cstore.archive.compression import Compression
from cstore.archive.pulling import PulledStream
from cstore.docker.layerstore import LayerStore
from cstore.docker.root import DockerRoot
from cstore.docker.root.names import full_name as docker_name
from cstore.errors import ImageArchiveError, LayerNotVerified, UsageMistake
from cstore.store.ends import as_reader, opened_sink
from cstore.transfer import media
from cstore.transfer.contract import CopyRequest
from cstore.transfer.manifests import Descriptor, make_manifest
from cstore.transfer.plan import ImagePlan, LayerPlan
from cstore.transfer.sinks import DockerArchiveSink
from cstore.transfer.sources import full_name, skip
from cstore.transfer.store_sink import StoreSink
from cstore.transfer.telling import LayerPart
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cstore.archive.streams import ReadInto, Sink
    from cstore.docker.root import DockerImage
    from cstore.errors import CstoreError
    from cstore.store import Store
    from cstore.store.ends import Target
    from cstore.transfer.manifests import Manifest
    from cstore.transfer.members import Part


class Imported(Value):
    """The result of an import: the image's ID and names in the store, and the IDs of its new layers."""

    id: str
    names: tuple[str, ...]
    new_layers: tuple[str, ...]


def import_docker_image(
    root: DockerRoot,
    image: DockerImage,
    store: Store,
    *,
    names: Sequence[str] | None = None,
    podman_names: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Bring one image of a data root into a store. It looks like one that skopeo or Podman took from the daemon.

    Layers that the store has already are used as they are. Names move here from other images. Docker's notes on the
    image, and digest references, whose manifests a data root does not hold, are not taken over.

    Args:
        root: where it comes from; nothing is written there.
        image: one of its images.
        store: where it goes.
        names: those of its names that it gets; None for all.
        podman_names: complete short names with `localhost/`, as Podman does, instead of `docker.io/library/`.
        progress: told the bytes of this image's layers that have been read.

    Raises:
        ContentDamaged, TarSplitDamaged, LayerNotVerified: a layer is not what it was; nothing is imported.
        ArchiveError: a layer holds what no layer here may hold.
        TopLayerDiffers: the store has an image of that ID with other layers.
    """
    source = DockerRootSource(root, image)
    full = tuple(docker_name(name, podman=podman_names) for name in (image.names if names is None else names))
    plan = source.planned(store).with_(names=full)
    (done,) = StoreSink(store).take_planned(source, [plan], progress=progress).images
    return Imported(done.id, full, done.new_layers)


def export_docker_image(root: DockerRoot, image: DockerImage, sink: Target) -> None:
    """Write one image of a data root as a docker-archive, under all of its names, each layer verified.

    The bytes are those of `save`, and the same on every run.

    Raises:
        ContentDamaged, TarSplitDamaged, LayerNotVerified: a layer has changed; what was written is no archive.
    """
    source = DockerRootSource(root, image)
    source.names = tuple(map(docker_name, image.names))
    with opened_sink(sink) as opened:
        DockerArchiveSink(opened, None).take(source, CopyRequest(), lambda _: None)


class DockerRootSource:
    """One image of a Docker data root, its layers as they were before they were compressed."""

    original: Manifest | None = None

    def __init__(self, root: DockerRoot, image: DockerImage, ref: str = "") -> None:
        """`ref` is the reference of the request, if there was one."""
        self.root, self.image = root, image
        self.shown = f"docker-root:{root.path}:{ref or image.id}"
        self.name = full_name(ref) if ref in image.names else next(map(full_name, image.names), "")
        self.names = tuple(filter(None, [self.name]))
        self._sizes: dict[str, int] = {}
        self._line = {layer.diff_id: layer for layer in root.line(image.config.rootfs.chain_id)}

    def manifest(self, digest: str = "") -> bytes:
        """See `ImageSource.manifest`."""
        if digest:
            raise ImageArchiveError(digest, f"{self.shown} is one image, and no index names it")
        layers = [self._described(diff_id) for diff_id in self.image.config.rootfs.diff_ids]
        return make_manifest(self.image.config.raw, layers, docker=True)

    def _described(self, diff_id: str) -> Descriptor:
        plain = media.layer_type(Compression.NONE, docker=True)
        if diff_id not in self._sizes:
            self._sizes[diff_id] = self.root.layer_length(self._line[diff_id].chain_id)
        return Descriptor(plain, diff_id, self._sizes[diff_id])

    @contextmanager
    def open(self, blob: Descriptor, offset: int = 0) -> Iterator[ReadInto]:
        """See `ImageSource.open`."""
        if blob.digest == self.image.config.digest:
            yield as_reader(self.image.config.raw[offset:], blob.digest)
            return
        if blob.digest not in self._line:
            raise ImageArchiveError(self.shown, f"it has no layer {blob.digest}")
        chain = self._line[blob.digest].chain_id
        with PulledStream(lambda sink: self.root.write_layer(chain, sink)) as stream:
            skip(stream, offset)
            yield stream

    def write(self, blob: Descriptor, sink: Sink) -> None:
        """See `contract.WritesBlobs.write`."""
        if blob.digest == self.image.config.digest:
            sink.write(self.image.config.raw)
            return
        if blob.digest not in self._line:
            raise ImageArchiveError(self.shown, f"it has no layer {blob.digest}")
        self.root.write_layer(self._line[blob.digest].chain_id, sink)

    def damaged(self, blob: Descriptor) -> CstoreError:
        """See `contract.WritesBlobs.damaged`."""
        return LayerNotVerified(self._line[blob.digest].chain_id, blob.digest)

    # ── for a store ──

    def find(self, name: str) -> Part | None:
        """Look up a layer by its DiffID (see `Members.find`)."""
        if name not in self._line:
            return None
        blob = self._described(name)
        return LayerPart(name, blob.size, blob=blob, give=self.open)

    def planned(self, store: Store) -> ImagePlan:
        """Return what a store is to take in (see `contract.PlannedSource`). Uses layers that it has under any ID."""
        present = LayerStore(store).present()
        rootfs, layers = self.image.config.rootfs, []
        line = [self._line[diff_id] for diff_id in rootfs.diff_ids]
        for layer in line:
            changed: CstoreError = LayerNotVerified(layer.chain_id, layer.diff_id)
            size = -1 if layer.chain_id in present else self._described(layer.diff_id).size
            layers.append(LayerPlan(layer.diff_id, layer.diff_id, size=size, changed=changed))
        ids = tuple(present.get(layer.chain_id, own) for layer, own in zip(line, rootfs.layer_ids, strict=True))
        names = tuple(map(docker_name, self.image.names))
        return ImagePlan(self.image.id, self.image.config, tuple(layers), names, ids=ids, spares=True)


def find_docker_image(path: str, ref: str) -> DockerRootSource:
    """Find an image by name, ID or ID prefix; with "" the only one.

    Raises:
        ImageUnknown: there is no such image.
        UsageMistake: there are several, and no name was given.
        CstoreError: it is not a data root.
    """
    root = DockerRoot(path)
    images = list(root.images.values())
    if not ref and len(images) != 1:
        called = ", ".join(name for image in images for name in image.names) or "none has a name"
        raise UsageMistake(f"{path} has {len(images)} images", hint=f"name one of them: {called}")
    return DockerRootSource(root, root.image(ref.removeprefix("@")) if ref else images[0], ref)
