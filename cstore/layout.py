"""The paths of a store, each defined once.

    GRAPH/                                  0700  persistent
    ├── storage.lock                        0644  graph lock; its token is written by a shutdown only
    ├── userns.lock                         0644  choice of ID ranges; always empty
    ├── DRIVER/                             0700  the driver's home; the driver lays it out
    ├── DRIVER-layers/                      0700
    │   ├── layers.lock                     0644  protects all below, and the driver's trees
    │   ├── layers.json                     0600  stable records
    │   ├── volatile-layers.json            0600  records of volatile containers' layers
    │   ├── container.json                  0600  journal of a container that is being created or removed
    │   ├── <layer>.tar-split.gz            0600  tar-split, to rebuild the imported tar
    │   ├── <layer>/                        0700  big data
    │   └── tmp/                            0700  staging, see fs/staging.py
    ├── cstore-staging/DRIVER/              0700  trees being created or removed (in IMAGES, too)
    ├── cstore-quarantine/                  0700  files that repairs removed, with journals; other tools ignore it
    ├── cstore-reserve/                     0700  reserved space for deletions on a full disk
    ├── cstore-intents/                     0700  journals of operations of several steps
    ├── cstore-partial/                     0700  incomplete downloads of blobs, named by their digests
    ├── DRIVER-images/                      0700  images.lock, images.json, <image>/
    └── DRIVER-containers/                  0700  the same, and volatile-containers.json

    RUN/                                          lost at a reboot
    ├── DRIVER-layers/mountpoints.{json,lock}     mount counts
    ├── DRIVER-containers/<container>/userdata/
    ├── DRIVER-images/<image>/userdata/
    └── DRIVER-locks/

With a separate image store, `IMAGES/DRIVER-images/` and `IMAGES/DRIVER-layers/layers.{json,lock}` have the images and
read-only layers. In a transient store, containers and volatile layers are recorded under RUN. (store-format 1)
"""

from __future__ import annotations

from os.path import join

COMPOSEFS_IMAGE = "composefs-data/composefs.blob"
"""The tree of a composefs layer, in its directory; the contents of its files are beside it in `diff`."""


def is_blob(path: str) -> bool:
    """Return whether a layer's own tree, at this path, is a composefs image."""
    return path.endswith("/" + COMPOSEFS_IMAGE)


def check_neighbour(text: str) -> str:
    """See `ids.check_neighbour`, which is imported late because only the paths of single items need it."""
    from cstore.ids import check_neighbour as check

    return check(text)


class Layout:
    """The paths of one store.

    `driver` is the driver's reported name, the prefix of the record directories; `home_name` is the name of its home if
    that differs, because overlay was once called overlay2.
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
        """The root directories of the store."""
        names = (home_name or driver, driver, f"{driver}-layers", f"{driver}-images", f"{driver}-containers")
        self.tops = (*self.roots, *(join(root, name) for root in self.roots for name in names))
        """The directories that an administrator may replace by links: the roots, and the driver's directories there."""

        # ── the driver's homes, and cstore's own directories in the graph root ──

        self.storage_lock = join(graph_root, "storage.lock")
        """The graph lock."""
        self.userns_lock = join(graph_root, "userns.lock")
        """The lock for choosing ID ranges."""
        self.driver_home = join(graph_root, home_name or driver)
        """The driver's home, with its trees."""
        self.driver_run_home = join(run_root, home_name or driver)
        """The driver's directory below the run root."""
        self.image_home = join(image_store, driver) if image_store else ""
        """The driver's home in the image store, which always has the driver's reported name; "" without image store."""
        self.homes = (self.driver_home, self.image_home) if image_store else (self.driver_home,)
        """All homes of the driver."""
        self.quarantine = join(graph_root, "cstore-quarantine")
        """The directory of files that repairs removed from the store."""
        self.reserve = join(graph_root, "cstore-reserve")
        """The directory of reserved space for deletions on a full disk."""
        self.intents = join(graph_root, "cstore-intents")
        """The directory of journals of operations of several steps."""
        self.partial = join(graph_root, "cstore-partial")
        """The directory of incomplete downloads of blobs."""

        # ── the record directories, and the files and locks in them ──

        ends = "layers", "images", "containers"
        self.run_layers, self._run_images, self.run_containers = (join(run_root, f"{driver}-{end}") for end in ends)
        """The directories below the run root for layers, images and containers."""
        self.layers, images, self.containers = (join(graph_root, f"{driver}-{end}") for end in ends)
        self.images = join(image_store, f"{driver}-images") if image_store else images
        """The directories of records, and of the files of each item."""
        self.layers_lock = join(self.layers, "layers.lock")
        """The lock of the layer records and the driver's trees."""
        self.stable_layers = join(self.layers, "layers.json")
        """Records of ordinary layers."""
        self.volatile_layers = join(self.run_layers if transient else self.layers, "volatile-layers.json")
        """Records of layers that a reboot may destroy."""
        self.layers_staging = join(self.layers, "tmp")
        """The staging directory for files of layer records."""
        self.container_journal = join(self.layers, "container.json")
        """The journal of a container that is being created or removed with its layer; it exists only meanwhile."""
        in_image_store = join(image_store, f"{driver}-layers")
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
        containers = self.run_containers if transient else self.containers
        self.containers_lock = join(containers, "containers.lock")
        """The lock of the container records."""
        self.volatile_containers = join(containers, "volatile-containers.json")
        """Records of containers that a reboot may destroy."""
        self.mountpoints = join(self.run_layers, "mountpoints.json")
        """The mount counts."""
        self.mountpoints_lock = join(self.run_layers, "mountpoints.lock")
        """The lock of the mount counts."""

    # ── paths of one item ──

    def tar_split(self, layer: str) -> str:
        """Return the tar-split file of `layer`. Raises UnsafeID, like all methods that build a path from an ID."""
        return join(self.layers, f"{check_neighbour(layer)}.tar-split.gz")

    def layer_data(self, layer: str) -> str:
        """Return the big data directory of `layer`."""
        return join(self.layers, check_neighbour(layer))

    def image_data(self, image: str) -> str:
        """Return the directory of all files of `image` except its record."""
        return join(self.images, check_neighbour(image))

    def image_directory(self, image: str) -> str:
        """Return the directory of `image` for container engines."""
        return join(self.image_data(image), "userdata")

    def image_run_data(self, image: str) -> str:
        """Return the directory below the run root of all files of `image`."""
        return join(self._run_images, check_neighbour(image))

    def image_run_directory(self, image: str) -> str:
        """Return the directory of `image` for container engines, below the run root."""
        return join(self.image_run_data(image), "userdata")

    def container_data(self, container: str) -> str:
        """Return the directory of all files of `container` except its record."""
        return join(self.containers, check_neighbour(container))

    def container_directory(self, container: str) -> str:
        """Return the directory of `container` for container engines."""
        return join(self.container_data(container), "userdata")

    def container_run_data(self, container: str) -> str:
        """Return the directory below the run root of all files of `container`."""
        return join(self.run_containers, check_neighbour(container))

    def container_run_directory(self, container: str) -> str:
        """Return the directory of `container` for container engines, below the run root."""
        return join(self.container_run_data(container), "userdata")

    def digest_lock(self, digest: str) -> str:
        """Return the lock file of a blob, which programs hold while they fetch or use it."""
        return join(self.run_root, f"{self.driver}-locks", digest)
