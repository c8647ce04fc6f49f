"""A Docker data root as an object: its layers, images and containers, and their contents."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.docker.root.containers import find_container, read_containers
from cstore.docker.root.imagedb import find_image, read_images
from cstore.docker.root.layerdb import orphans, read_layers, read_mounts
from cstore.docker.root.place import find_place, uses_containerd
from cstore.errors import ChainUnknown, ContainerUnknown, ImageUnknown, LayerNotVerified, Unsupported
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
        from cstore.kernel.mountinfo import read_mounts as mount_table

        inside = os.path.realpath(self._place.root).rstrip("/") + "/"
        found, mounts = [], []
        with suppress(OSError):
            mounts = mount_table()
        mounted = next((one.mount_point for one in mounts if one.mount_point.startswith(inside)), "")
        if mounted:
            found.append(
                f"a Docker daemon seems to use {self.path} ({mounted} is mounted); the data may change meanwhile"
            )
        if uses_containerd(self._place.root):
            found.append(f"the Docker daemon of {self.path} also stores images in containerd; these are not shown")
        return found

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
        """Write the archive that a layer was registered from, byte for byte, and verify it.

        Raises:
            ContentDamaged, TarSplitDamaged: a file or the tar-split has changed; the sink has received something else.
            LayerNotVerified: the archive has another digest.
            Unsupported: the driver's trees cannot be read.
        """
        from cstore.archive.names import scoped_name
        from cstore.archive.rebuild import rebuild
        from cstore.archive.streams import HashingSink

        line = self.line(chain_id)
        with opened_sink(sink) as opened:
            layer, hashed = line[-1], HashingSink(opened)
            # A file unpacked through a link of a lower layer is in the link's target, in a layer further down.
            needed = reversed(line) if self._place.is_union else [layer]
            trees = [self._place.tree(one.cache_id) for one in needed]
            rebuild(layer.tar_split, trees, hashed, layer.chain_id, clean=scoped_name)
            if hashed.digest != layer.diff_id:
                raise LayerNotVerified(layer.chain_id, layer.diff_id)

    def layer_length(self, chain_id: str) -> int:
        """Return the number of bytes that `write_layer` will write."""
        from cstore.archive.tarsplit import Segment, read_lines

        lines = read_lines(self.line(chain_id)[-1].tar_split)
        return sum(len(line.payload) if isinstance(line, Segment) else line.size for line in lines)

    def write_container(self, container: DockerContainer, sink: Target) -> None:
        """Write the changes of a container as a tar.

        Raises:
            ContainerUnknown: it has no writable layer.
            Unsupported: the driver's trees cannot be read.
        """
        if container.mount is None:
            raise ContainerUnknown(container.id)
        mount, place, line = container.mount, self._place, self.line(container.mount.parent)
        with opened_sink(sink) as opened:
            upper, below = place.tree(mount.mount_id), self._below(mount, line)
            if not place.is_union:
                from cstore.archive.changes import compare_trees
                from cstore.archive.pack import pack_changes

                base = below[0] if below else None
                pack_changes(upper, base, compare_trees(upper, base), opened, place.id_map)
                return
            from cstore.drivers.overlay.diff import changes_in

            changes = changes_in(upper, below)
            if changes is None:
                raise Unsupported(
                    f"container {mount.mount_id} was written with redirect_dir or metacopy: its directory alone does "
                    "not tell what it changed",
                    hint="export it with Docker",
                )
            changes.write(opened, place.id_map)

    def container_size(self, container: DockerContainer) -> int:
        """Return the bytes of files that a container added or modified; 0 if it has no writable layer."""
        if container.mount is None:
            return 0
        line = self.line(container.mount.parent)
        upper = self._place.tree(container.mount.mount_id)
        if self._place.is_union:
            from cstore.fs.tree import usage

            return usage(upper).bytes
        from cstore.archive.changes import changes_size, compare_trees

        below = self._below(container.mount, line)
        return changes_size(upper, compare_trees(upper, below[0] if below else None))

    def _below(self, mount: DockerMount, line: Sequence[DockerLayer]) -> list[str]:
        """Return the trees below a writable layer, nearest first."""
        names = [*([mount.init_id] if mount.init_id else []), *(layer.cache_id for layer in reversed(line))]
        return [self._place.tree(name) for name in names]
