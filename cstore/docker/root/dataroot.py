"""A Docker data root as an object: its layers, images and containers, and what is in them."""

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
    """The data of one driver in a Docker data root. Everything is read once, when it is first needed.

    There is no lock to take: a running daemon may change things meanwhile. Files that vanish are left out; what was
    read halfway is found by its digest.
    """

    def __init__(self, path: str, driver: str = "") -> None:
        """`path` is the data root; `driver` need only be named if several have kept layers there.

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
        """Warnings: that a daemon is running, or keeps more images elsewhere."""
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

    # ── what is there ──

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
        """Damaged items, which are left out."""
        return [*self._layers.flaws, *self._images[1], *self._containers[1]]

    @property
    def orphans(self) -> Sequence[str]:
        """Paths that belong to nothing: what interrupted operations of the daemon left."""
        return orphans(self._place, self._layers, self._mounts)

    def image(self, ref: str) -> DockerImage:
        """The image of that name or ID, or beginning of an ID.

        Raises:
            ImageUnknown: there is no such image, or several IDs have that prefix.
        """
        found = find_image(self.images, ref)
        if found is None:
            error = ImageUnknown(ref)
            error.hint = f"see cstore docker-images {self.path}"
            raise error
        return found

    def container(self, ref: str) -> DockerContainer:
        """The container of that name or ID, or beginning of an ID.

        Raises:
            ContainerUnknown: there is no such container, or several match.
        """
        found = find_container(self._containers[0], ref)
        if found is None:
            error = ContainerUnknown(ref)
            error.hint = f"see cstore docker-containers {self.path}"
            raise error
        return found

    def line(self, chain_id: str) -> Sequence[DockerLayer]:
        """The layers of a chain, bottom first; none of "".

        Raises:
            ChainUnknown: it is not there.
        """
        try:
            return self._layers.line(chain_id)
        except KeyError:
            raise ChainUnknown(chain_id) from None

    # ── what is in it ──

    def write_layer(self, chain_id: str, sink: Target) -> None:
        """Write the archive that a layer came from, verified; see `contents.write_layer`."""
        line = self.line(chain_id)
        with opened_sink(sink) as opened:
            contents.write_layer(self._place, line, opened)

    def layer_length(self, chain_id: str) -> int:
        """How many bytes `write_layer` will write."""
        return contents.layer_length(self.line(chain_id)[-1])

    def write_container(self, container: DockerContainer, sink: Target) -> None:
        """Write as a tar what a container changed; see `contents.write_container`.

        Raises:
            ContainerUnknown: it has no writable layer.
        """
        mount, below = self._mount_of(container), self._below(container)
        with opened_sink(sink) as opened:
            contents.write_container(self._place, mount, below, opened)

    def container_size(self, container: DockerContainer) -> int:
        """Bytes that a container added or modified; 0 if it has no writable layer."""
        if container.mount is None:
            return 0
        return contents.container_size(self._place, container.mount, self._below(container))

    def _mount_of(self, container: DockerContainer) -> DockerMount:
        if container.mount is None:
            raise ContainerUnknown(container.id)
        return container.mount

    def _below(self, container: DockerContainer) -> Sequence[DockerLayer]:
        return self.line(container.mount.parent) if container.mount else ()
