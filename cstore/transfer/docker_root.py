"""An image of a Docker data root as a source. Its daemon need not run, and nothing there is written."""

from __future__ import annotations

from contextlib import contextmanager

from cstore.archive.compression import Compression
from cstore.archive.pulling import PulledStream
from cstore.docker.root import DockerRoot
from cstore.errors import ImageArchiveError, UsageMistake
from cstore.store.ends import as_reader
from cstore.transfer import media
from cstore.transfer.manifests import Descriptor, make_manifest
from cstore.transfer.sources import full_name, skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.streams import ReadInto
    from cstore.transfer.manifests import Manifest


class DockerRootSource:
    """One image of a Docker data root, its layers as they were before they were compressed."""

    original: Manifest | None = None

    def __init__(self, path: str, ref: str) -> None:
        """`ref` is a name, an ID or the beginning of one; "" if there is only one image.

        Raises:
            ImageUnknown: there is no such image.
            UsageMistake: there are several, and none is named.
            CstoreError: it is no data root.
        """
        self.root = DockerRoot(path)
        images = list(self.root.images.values())
        if not ref and len(images) != 1:
            called = ", ".join(name for image in images for name in image.names) or "none has a name"
            raise UsageMistake(f"{path} has {len(images)} images", hint=f"name one of them: {called}")
        self.image = self.root.image(ref.removeprefix("@")) if ref else images[0]
        self.shown = f"docker-root:{path}:{ref or self.image.id}"
        self.name = full_name(ref) if ref in self.image.names else next(map(full_name, self.image.names), "")
        self._line = {layer.diff_id: layer for layer in self.root.line(self.image.config.rootfs.chain_id)}

    def manifest(self, digest: str = "") -> bytes:
        """See `ImageSource.manifest`."""
        if digest:
            raise ImageArchiveError(digest, f"{self.shown} is one image, and no index names it")
        plain = media.layer_type(Compression.NONE, docker=True)
        layers = [
            Descriptor(plain, diff_id, self.root.layer_length(self._line[diff_id].chain_id))
            for diff_id in self.image.config.rootfs.diff_ids
        ]
        return make_manifest(self.image.config.raw, layers, docker=True)

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
