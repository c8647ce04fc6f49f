"""Every path of a store, named once.

    GRAPH/                                  0700  persistent
    ├── storage.lock                        0644  graph lock; its token is written by a shutdown only
    ├── userns.lock                         0644  choice of ID ranges; always empty
    ├── DRIVER/                             0700  the driver's home; the driver lays it out
    ├── DRIVER-layers/                      0700
    │   ├── layers.lock                     0644  protects all below, and the driver's trees
    │   ├── layers.json                     0600  stable records
    │   ├── volatile-layers.json            0600  records of volatile containers' layers
    │   ├── container.json                  0600  which container comes or goes just now, with its layer
    │   ├── <layer>.tar-split.gz            0600  what rebuilds the imported tar
    │   ├── <layer>/                        0700  big data
    │   └── tmp/                            0700  being made or removed, see fs/staging.py
    ├── cstore-staging/DRIVER/              0700  trees being made or removed (in IMAGES, too)
    ├── cstore-quarantine/                  0700  what repair took out, with a journal; no other tool looks at it
    ├── cstore-reserve/                     0700  space kept back for deletions on a full disk
    ├── cstore-intents/                     0700  what is being made or removed in several steps
    ├── cstore-partial/                     0700  blobs whose download was cut, called by their digests
    ├── DRIVER-images/                      0700  images.lock, images.json, <image>/
    └── DRIVER-containers/                  0700  the same, and volatile-containers.json

    RUN/                                          gone after a reboot
    ├── DRIVER-layers/mountpoints.{json,lock}     mount counts
    ├── DRIVER-containers/<container>/userdata/
    ├── DRIVER-images/<image>/userdata/
    └── DRIVER-locks/

With a separate image store, `IMAGES/DRIVER-images/` and `IMAGES/DRIVER-layers/layers.{json,lock}` hold what was created
read-only. In a transient store, containers and volatile layers live under RUN. (store-format 1)
"""

from __future__ import annotations

from os.path import join

COMPOSEFS_IMAGE = "composefs-data/composefs.blob"
"""The tree of a composefs layer, in its directory; the contents of its files are beside it in `diff`."""


def is_blob(path: str) -> bool:
    """Whether a layer's own tree, of this path, is an image."""
    return path.endswith("/" + COMPOSEFS_IMAGE)


def check_neighbour(text: str) -> str:
    """See `ids.check_neighbour`: only the paths of single items need it."""
    from cstore.ids import check_neighbour as check

    return check(text)


class Layout:
    """The paths of one store, made once.

    `driver` is the driver's reported name, which prefixes the record directories; `home_name` that of its home, if it
    is another: overlay was called overlay2 once.
    """

    def __init__(
        self,
        graph_root: str,
        run_root: str,
        driver: str,
        image_store: str = "",
        transient: bool = False,
        home_name: str = "",
    ) -> None:
        self.graph_root, self.run_root, self.image_store = graph_root, run_root, image_store
        self.driver, self.transient, self.home_name = driver, transient, home_name
        self.roots = (graph_root, run_root, image_store) if image_store else (graph_root, run_root)
        """The directories that all of the store is in."""
        names = (home_name or driver, driver, f"{driver}-layers", f"{driver}-images", f"{driver}-containers")
        self.tops = (*self.roots, *(join(root, name) for root in self.roots for name in names))
        """The directories that an administrator may have made links: the roots, and the driver's own in them."""
        self._name_the_stores_own()
        self._name_records()

    def _name_the_stores_own(self) -> None:
        """Name what is there once: the driver's homes, and the places of work in the graph root."""
        self.storage_lock = join(self.graph_root, "storage.lock")
        """The graph lock."""
        self.userns_lock = join(self.graph_root, "userns.lock")
        """The lock for choosing ID ranges."""
        self.driver_home = join(self.graph_root, self.home_name or self.driver)
        """Where the driver keeps its trees."""
        self.driver_run_home = join(self.run_root, self.home_name or self.driver)
        """Where it keeps what ends with the next boot."""
        self.image_home = join(self.image_store, self.driver) if self.image_store else ""
        """Where it keeps trees in the image store, "" without one; there the home has the driver's own name."""
        self.homes = (self.driver_home, self.image_home) if self.image_store else (self.driver_home,)
        """All that the driver keeps trees in."""
        self.quarantine = join(self.graph_root, "cstore-quarantine")
        """Where what repair takes out of the store is kept."""
        self.reserve = join(self.graph_root, "cstore-reserve")
        """Where space is kept back for deletions on a full disk."""
        self.intents = join(self.graph_root, "cstore-intents")
        """Where work of several steps is noted before it begins."""
        self.partial = join(self.graph_root, "cstore-partial")
        """Where blobs are kept that have not come whole yet."""

    def _name_records(self) -> None:
        """Name the directories of records, and the files and locks in them."""
        ends = "layers", "images", "containers"
        self.run_layers, self._run_images, self.run_containers = (
            join(self.run_root, f"{self.driver}-{end}") for end in ends
        )
        """The directory of layers' and containers' volatile data."""
        self.layers, images, self.containers = (join(self.graph_root, f"{self.driver}-{end}") for end in ends)
        self.images = join(self.image_store, f"{self.driver}-images") if self.image_store else images
        """The directories of records, and of what belongs to each item."""
        self.layers_lock = join(self.layers, "layers.lock")
        """The lock of the layer records and the driver's trees."""
        self.stable_layers = join(self.layers, "layers.json")
        """Records of ordinary layers."""
        self.volatile_layers = join(self.run_layers if self.transient else self.layers, "volatile-layers.json")
        """Records of layers that a reboot may take."""
        self.layers_staging = join(self.layers, "tmp")
        """Where records' files are made and removed."""
        self.container_journal = join(self.layers, "container.json")
        """Which container is being made or removed with its layer; there only meanwhile."""
        in_image_store = join(self.image_store, f"{self.driver}-layers")
        self.image_store_layers_lock = join(in_image_store, "layers.lock")
        """The lock of read-only layers' records; only with an image store."""
        self.image_store_layers = join(in_image_store, "layers.json")
        """Records of read-only layers; only with an image store."""
        self.images_lock = join(self.images, "images.lock")
        """The lock of the image records."""
        self.stable_images = join(self.images, "images.json")
        """The image records."""
        self.stable_containers = join(self.containers, "containers.json")
        """Records of ordinary containers."""
        containers = self.run_containers if self.transient else self.containers
        self.containers_lock = join(containers, "containers.lock")
        """The lock of the container records."""
        self.volatile_containers = join(containers, "volatile-containers.json")
        """Records of containers that a reboot may take."""
        self.mountpoints = join(self.run_layers, "mountpoints.json")
        """The mount counts."""
        self.mountpoints_lock = join(self.run_layers, "mountpoints.lock")
        """The lock of the mount counts."""

    # ── of one item ──

    def tar_split(self, layer: str) -> str:
        """The tar-split of `layer`, which rebuilds its tar. Raises UnsafeID, as do all paths made from an ID."""
        return join(self.layers, f"{check_neighbour(layer)}.tar-split.gz")

    def layer_data(self, layer: str) -> str:
        """The big data directory of `layer`."""
        return join(self.layers, check_neighbour(layer))

    def image_data(self, image: str) -> str:
        """The directory of everything that `image` has besides its record."""
        return join(self.images, check_neighbour(image))

    def image_directory(self, image: str) -> str:
        """The own directory of `image`."""
        return join(self.image_data(image), "userdata")

    def image_run_data(self, image: str) -> str:
        """The volatile data of `image`."""
        return join(self._run_images, check_neighbour(image))

    def image_run_directory(self, image: str) -> str:
        """The run-time directory of `image`."""
        return join(self.image_run_data(image), "userdata")

    def container_data(self, container: str) -> str:
        """The directory of everything that `container` has besides its record."""
        return join(self.containers, check_neighbour(container))

    def container_directory(self, container: str) -> str:
        """The own directory of `container`."""
        return join(self.container_data(container), "userdata")

    def container_run_data(self, container: str) -> str:
        """The volatile data of `container`."""
        return join(self.run_containers, check_neighbour(container))

    def container_run_directory(self, container: str) -> str:
        """The run-time directory of `container`."""
        return join(self.container_run_data(container), "userdata")

    def digest_lock(self, digest: str) -> str:
        """The lock of a blob, for the process that works on it; the store itself does not take it."""
        return join(self.run_root, f"{self.driver}-locks", digest)
