"""A Docker data root as an object: its layers, images and containers, and their contents."""

from __future__ import annotations

from cstore.docker.root import contents
from cstore.docker.root.containers import find_container, read_containers
from cstore.docker.root.imagedb import find_image, read_images
from cstore.docker.root.layerdb import orphans, read_layers, read_mounts
from cstore.docker.root.place import find_place, uses_containerd
from cstore.errors import ChainUnknown, ContainerUnknown, ImageUnknown
from cstore.store.ends import opened_sink
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cstore.docker.root.containers import DockerContainer
    from cstore.docker.root.imagedb import DockerImage
    from cstore.docker.root.layerdb import DockerLayer, DockerMount, Layers
    from cstore.errors import DockerRootDamaged
    from cstore.store.ends import Target


class DockerRoot:
    """One driver's data in a Docker data root. Everything is read once, on first access.

    There is no lock: a running daemon may change the data meanwhile. Files that vanish are left out; incomplete reads
    are detected by digests.
    """

    def __init__(self, path: str, driver: str = "") -> None:
        """Open the data root `path`; `driver` is required only if several drivers have data there.

        Raises:
            InvalidOption, Unsupported, SystemFailure: see `place.find_place`.
        """
        self.path = path
        self._place = find_place(path, driver)

    @property
    def driver(self) -> str:
        """Docker's name of the driver."""
        return self._place.driver

    @property
    def warnings(self) -> list[str]:
        """Warnings for users: a daemon is running, or it stores other images in containerd."""
        found = []
        mounted = self._mounted()
        if mounted:
            found.append(
                f"a Docker daemon seems to use {self.path} ({mounted} is mounted); the data may change meanwhile"
            )
        if uses_containerd(self._place.root):
            found.append(f"the Docker daemon of {self.path} also stores images in containerd; these are not shown")
        return found

    def _mounted(self) -> str:
        import os

        from cstore.kernel.mountinfo import read_mounts as mount_table

        inside = os.path.realpath(self._place.root).rstrip("/") + "/"
        try:
            mounts = mount_table()
        except OSError:
            return ""
        return next((one.mount_point for one in mounts if one.mount_point.startswith(inside)), "")

    # ── layers, images and containers ──

    @cached_property
    def _layers(self) -> Layers:
        return read_layers(self._place)

    @cached_property
    def _images(self) -> tuple[Mapping[str, DockerImage], Sequence[DockerRootDamaged]]:
        return read_images(self._place, self._layers)

    @cached_property
    def _mounts(self) -> Mapping[str, DockerMount]:
        return read_mounts(self._place)

    @cached_property
    def _containers(self) -> tuple[list[DockerContainer], list[DockerRootDamaged]]:
        return read_containers(self._place, self._mounts)

    @property
    def layers(self) -> Mapping[str, DockerLayer]:
        """The layers by ChainID."""
        return self._layers.by_chain

    @property
    def images(self) -> Mapping[str, DockerImage]:
        """The images by ID, without `sha256:`."""
        return self._images[0]

    @property
    def containers(self) -> Sequence[DockerContainer]:
        """The containers."""
        return self._containers[0]

    @property
    def flaws(self) -> list[DockerRootDamaged]:
        """The errors of damaged items, which are left out."""
        return [*self._layers.flaws, *self._images[1], *self._containers[1]]

    @property
    def orphans(self) -> Sequence[str]:
        """Paths without a record, which interrupted operations of the daemon left behind."""
        return orphans(self._place, self._layers, self._mounts)

    def image(self, ref: str) -> DockerImage:
        """Return the image with that name, ID, or prefix of an ID.

        Raises:
            ImageUnknown: there is no such image.
            AmbiguousImageID: several IDs have that prefix.
        """
        found = find_image(self.images, ref)
        if found is None:
            error = ImageUnknown(ref)
            error.hint = f"see cstore docker-images {self.path}"
            raise error
        return found

    def container(self, ref: str) -> DockerContainer:
        """Return the container with that name, ID, or prefix of an ID.

        Raises:
            ContainerUnknown: there is no such container, or several.
        """
        found = find_container(self._containers[0], ref)
        if found is None:
            error = ContainerUnknown(ref)
            error.hint = f"see cstore docker-containers {self.path}"
            raise error
        return found

    def line(self, chain_id: str) -> Sequence[DockerLayer]:
        """Return the layers of a chain, bottom first; none for "".

        Raises:
            ChainUnknown: there is no such chain.
        """
        try:
            return self._layers.line(chain_id)
        except KeyError:
            raise ChainUnknown(chain_id) from None

    # ── contents ──

    def write_layer(self, chain_id: str, sink: Target) -> None:
        """Write the archive that a layer was registered from, and verify it; see `contents.write_layer`."""
        line = self.line(chain_id)
        with opened_sink(sink) as opened:
            contents.write_layer(self._place, line, opened)

    def layer_length(self, chain_id: str) -> int:
        """Return the number of bytes that `write_layer` will write."""
        return contents.layer_length(self.line(chain_id)[-1])

    def write_container(self, container: DockerContainer, sink: Target) -> None:
        """Write the changes of a container as a tar; see `contents.write_container`.

        Raises:
            ContainerUnknown: it has no writable layer.
        """
        mount, below = self._mount_of(container), self._below(container)
        with opened_sink(sink) as opened:
            contents.write_container(self._place, mount, below, opened)

    def container_size(self, container: DockerContainer) -> int:
        """Return the bytes of files that a container added or modified; 0 if it has no writable layer."""
        if container.mount is None:
            return 0
        return contents.container_size(self._place, container.mount, self._below(container))

    def _mount_of(self, container: DockerContainer) -> DockerMount:
        if container.mount is None:
            raise ContainerUnknown(container.id)
        return container.mount

    def _below(self, container: DockerContainer) -> Sequence[DockerLayer]:
        return self.line(container.mount.parent) if container.mount else ()
