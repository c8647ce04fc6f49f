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

from cstore.values import Value

COMPOSEFS_IMAGE = "composefs-data/composefs.blob"
"""The tree of a composefs layer, in its directory; the contents of its files are beside it in `diff`."""


def is_blob(path: str) -> bool:
    """Whether a layer's own tree, of this path, is an image."""
    return path.endswith("/" + COMPOSEFS_IMAGE)


def check_neighbour(text: str) -> str:
    """See `ids.check_neighbour`: only the paths of single items need it."""
    from cstore.ids import check_neighbour as check

    return check(text)


class Layout(Value):
    """The paths of one store.

    `driver` is the driver's reported name, which prefixes the record directories; `home_name` that of its home, if it
    is another: overlay was called overlay2 once.
    """

    graph_root: str
    run_root: str
    driver: str
    image_store: str = ""
    transient: bool = False
    home_name: str = ""

    @property
    def roots(self) -> tuple[str, ...]:
        """The directories that all of the store is in."""
        return (self.graph_root, self.run_root, *filter(None, (self.image_store,)))

    @property
    def tops(self) -> tuple[str, ...]:
        """The directories that an administrator may have made links: the roots, and the driver's own in them."""
        ends = ("", "-layers", "-images", "-containers")
        names = (self.home_name or self.driver, *(self.driver + end for end in ends))
        return (*self.roots, *(join(root, name) for root in self.roots for name in names))

    # ── graph root ──

    @property
    def storage_lock(self) -> str:
        """The graph lock."""
        return join(self.graph_root, "storage.lock")

    @property
    def userns_lock(self) -> str:
        """The lock for choosing ID ranges."""
        return join(self.graph_root, "userns.lock")

    @property
    def driver_home(self) -> str:
        """Where the driver keeps its trees."""
        return join(self.graph_root, self.home_name or self.driver)

    @property
    def driver_run_home(self) -> str:
        """Where it keeps what ends with the next boot."""
        return join(self.run_root, self.home_name or self.driver)

    @property
    def image_home(self) -> str:
        """Where it keeps trees in the image store, "" without one; there the home has the driver's own name."""
        return join(self.image_store, self.driver) if self.image_store else ""

    @property
    def homes(self) -> tuple[str, ...]:
        """All that the driver keeps trees in."""
        return (self.driver_home, self.image_home) if self.image_store else (self.driver_home,)

    @property
    def quarantine(self) -> str:
        """Where what repair takes out of the store is kept."""
        return join(self.graph_root, "cstore-quarantine")

    @property
    def reserve(self) -> str:
        """Where space is kept back for deletions on a full disk."""
        return join(self.graph_root, "cstore-reserve")

    @property
    def intents(self) -> str:
        """Where work of several steps is noted before it begins."""
        return join(self.graph_root, "cstore-intents")

    @property
    def partial(self) -> str:
        """Where blobs are kept that have not come whole yet."""
        return join(self.graph_root, "cstore-partial")

    # ── layers ──

    @property
    def layers(self) -> str:
        """The directory of layer records."""
        return join(self.graph_root, f"{self.driver}-layers")

    @property
    def layers_lock(self) -> str:
        """The lock of the layer records and the driver's trees."""
        return join(self.layers, "layers.lock")

    @property
    def stable_layers(self) -> str:
        """Records of ordinary layers."""
        return join(self.layers, "layers.json")

    @property
    def volatile_layers(self) -> str:
        """Records of layers that a reboot may take."""
        return join(self.run_layers if self.transient else self.layers, "volatile-layers.json")

    @property
    def layers_staging(self) -> str:
        """Where records' files are made and removed."""
        return join(self.layers, "tmp")

    def tar_split(self, layer: str) -> str:
        """What rebuilds the tar of `layer`. Raises UnsafeID, like the other paths that are made from an ID."""
        return join(self.layers, f"{check_neighbour(layer)}.tar-split.gz")

    def layer_data(self, layer: str) -> str:
        """The big data directory of `layer`."""
        return join(self.layers, check_neighbour(layer))

    @property
    def container_journal(self) -> str:
        """Which container is being made or removed with its layer; there only meanwhile."""
        return join(self.layers, "container.json")

    # ── the separate image store ──

    @property
    def image_store_layers_lock(self) -> str:
        """The lock of read-only layers' records; only with an image store."""
        return join(self.image_store, f"{self.driver}-layers", "layers.lock")

    @property
    def image_store_layers(self) -> str:
        """Records of read-only layers; only with an image store."""
        return join(self.image_store, f"{self.driver}-layers", "layers.json")

    # ── images ──

    @property
    def images(self) -> str:
        """The directory of image records and data."""
        return join(self.image_store or self.graph_root, f"{self.driver}-images")

    @property
    def images_lock(self) -> str:
        """The lock of the image records."""
        return join(self.images, "images.lock")

    @property
    def stable_images(self) -> str:
        """The image records."""
        return join(self.images, "images.json")

    def image_data(self, image: str) -> str:
        """The directory of everything that `image` has besides its record."""
        return join(self.images, check_neighbour(image))

    def image_directory(self, image: str) -> str:
        """The directory that `image` has for whoever asks for one."""
        return join(self.image_data(image), "userdata")

    def image_run_data(self, image: str) -> str:
        """What `image` has besides its record, as far as a reboot forgets it."""
        return join(self.run_root, f"{self.driver}-images", check_neighbour(image))

    def image_run_directory(self, image: str) -> str:
        """The directory that `image` has for whoever asks for one that a reboot forgets."""
        return join(self.image_run_data(image), "userdata")

    # ── containers ──

    @property
    def containers(self) -> str:
        """The directory of container records and data."""
        return join(self.graph_root, f"{self.driver}-containers")

    @property
    def containers_lock(self) -> str:
        """The lock of the container records."""
        return join(self.run_containers if self.transient else self.containers, "containers.lock")

    @property
    def stable_containers(self) -> str:
        """Records of ordinary containers."""
        return join(self.containers, "containers.json")

    @property
    def volatile_containers(self) -> str:
        """Records of containers that a reboot may take."""
        return join(self.run_containers if self.transient else self.containers, "volatile-containers.json")

    def container_data(self, container: str) -> str:
        """The directory of everything that `container` has besides its record."""
        return join(self.containers, check_neighbour(container))

    def container_directory(self, container: str) -> str:
        """The directory that `container` has for whoever asks for one."""
        return join(self.container_data(container), "userdata")

    def container_run_data(self, container: str) -> str:
        """What `container` has besides its record, as far as a reboot forgets it."""
        return join(self.run_containers, check_neighbour(container))

    def container_run_directory(self, container: str) -> str:
        """The directory that `container` has for whoever asks for one that a reboot forgets."""
        return join(self.container_run_data(container), "userdata")

    # ── run root ──

    @property
    def run_layers(self) -> str:
        """Layer state that a reboot forgets."""
        return join(self.run_root, f"{self.driver}-layers")

    @property
    def run_containers(self) -> str:
        """Container state that a reboot forgets."""
        return join(self.run_root, f"{self.driver}-containers")

    @property
    def mountpoints(self) -> str:
        """The mount counts."""
        return join(self.run_layers, "mountpoints.json")

    def digest_lock(self, digest: str) -> str:
        """The lock of a blob, for whoever works on it; the store itself takes none."""
        return join(self.run_root, f"{self.driver}-locks", digest)

    @property
    def mountpoints_lock(self) -> str:
        """The lock of the mount counts."""
        return join(self.run_layers, "mountpoints.lock")
