"""A small store with something of everything, made once a driver and copied for each experiment; and a close look."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cstore.check import CheckOptions, Report, check_store
from cstore.config import Overrides, load_config
from cstore.store import NewLayer, Store, open_store
from cstore.store.container_creation import NewContainer
from cstore.store.image_creation import NewImage
from tests.builders import directory, hardlink, make_tar, paths_below, regular, symlink, whiteout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BASE, MIDDLE, TOP = "a" * 64, "b" * 64, "c" * 64
IMAGE, CONTAINER = "d" * 64, "e" * 64
OTHER_IMAGE = "f" * 64
ORPHAN = "0" * 63 + "a"

BASE_TAR = make_tar(
    directory("./"), directory("etc"), directory("bin"), regular("etc/hosts", b"127.0.0.1 localhost\n"),
    regular("etc/empty"), regular("bin/tool", b"tool" * 500, mode=0o755), hardlink("bin/same", "bin/tool", mode=0o755),
    symlink("sbin", "bin"), regular("etc/gone", b"soon"), directory("old"), regular("old/file", b"old"),
)  # fmt: skip
MIDDLE_TAR = make_tar(directory("etc"), whiteout("etc/gone"), regular("etc/more", b"more" * 200), directory("new"))
TOP_TAR = make_tar(
    directory("old"), regular("old/.wh..wh..opq"), regular("new/top", b"top"), regular("etc/hosts", b"::1\n")
)  # fmt: skip


@dataclass(frozen=True)
class Specimen:
    """One store, and shorthands for its paths."""

    driver: str
    root: str
    stores: tuple[str, ...] = ()
    lock_policy: float = 20
    more: Mapping[str, Any] = field(default_factory=dict)

    def repair_view(self, seconds: float) -> Specimen:
        """The same store, for somebody who waits that long for a lock."""
        return replace(self, lock_policy=seconds)

    @property
    def graph(self) -> str:
        """The graph root."""
        return os.path.join(self.root, "graph")

    @property
    def run(self) -> str:
        """The run root."""
        return os.path.join(self.root, "run")

    def open(self) -> Store:
        """Open it, as another process would."""
        overrides = Overrides(
            graph_root=self.graph,
            run_root=self.run,
            driver=self.driver,
            driver_options=tuple(f"{self.driver}.imagestore={path}" for path in self.stores),
            lock_timeout=self.lock_policy,
            sync=False,
            **self.more,
        )
        return open_store(load_config(overrides, environ={"HOME": self.root}), degraded=True)

    def check(self, **options: Any) -> Report:
        """Check it."""
        return check_store(self.open().context, CheckOptions(workers=1, **options))

    def records(self, kind: str = "layers") -> str:
        """A record file."""
        return os.path.join(self.graph, f"{self.driver}-{kind}", f"{kind}.json")

    def edit(self, kind: str, change: Any) -> None:
        """Change the parsed records of one kind and write them back."""
        path = self.records(kind)
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)
        changed = change(rows)
        rows = rows if changed is None else changed
        with open(path, "w", encoding="utf-8") as file:
            json.dump(rows, file, separators=(",", ":"))

    def beside(self, kind: str, *parts: str) -> str:
        """A path in the directory of one kind's records."""
        return os.path.join(self.graph, f"{self.driver}-{kind}", *parts)

    def home(self, *parts: str) -> str:
        """A path in the driver's home."""
        return os.path.join(self.graph, self.driver, *parts)

    def tree(self, layer: str, *parts: str) -> str:
        """A path in what a layer has on disk: its own changes with overlay, everything with vfs."""
        inside = (layer, "diff") if self.driver == "overlay" else ("dir", layer)
        return self.home(*inside, *parts)

    def tar_split(self, layer: str) -> str:
        """A layer's tar-split file."""
        return self.beside("layers", f"{layer}.tar-split.gz")


def make(driver: str, root: str) -> Specimen:
    """Make the store: three layers, an image on them, another on the lowest, and a container."""
    specimen = Specimen(driver, root)
    store = specimen.open()
    for layer, parent, archive in ((BASE, "", BASE_TAR), (MIDDLE, BASE, MIDDLE_TAR), (TOP, MIDDLE, TOP_TAR)):
        put(store, NewLayer(id=layer, parent=parent, names=(f"layer-{layer[0]}",)), archive, root)
    store.images.create(_image(IMAGE, TOP, [BASE_TAR, MIDDLE_TAR, TOP_TAR]))
    store.images.create(_image(OTHER_IMAGE, BASE, [BASE_TAR]))
    store.layers.set_data(BASE, "notes", b"about the layer")
    store.containers.create(NewContainer(id=CONTAINER, image=IMAGE, names=("box",), data={"config": b"{}"}))
    return specimen


def put(store: Store, request: NewLayer, archive: bytes, root: str, name: str = "archive") -> None:
    """Import an archive, by way of a file in `root`."""
    path = os.path.join(root, name)
    with open(path, "wb") as file:
        file.write(archive)
    fd = os.open(path, os.O_RDONLY)
    try:
        store.layers.put(request, fd)
    finally:
        os.close(fd)
        os.unlink(path)


def _image(identifier: str, layer: str, archives: list[bytes]) -> NewImage:
    diff_ids = [f"sha256:{sha256(archive).hexdigest()}" for archive in archives]
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config = json.dumps(document).encode()
    digest = f"sha256:{sha256(config).hexdigest()}"
    kind = "application/vnd.oci.image.config.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": kind, "digest": digest, "size": len(config)},
        "layers": [],
    }
    data = {"manifest": json.dumps(manifest).encode(), digest: config}
    return NewImage(id=identifier, layer=layer, names=(f"localhost/{identifier[0]}:1",), data=data)


def copy(original: Specimen, folder: Path) -> Specimen:
    """Copy a store with everything that belongs to its files."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", original.graph, original.run, str(folder)], check=True)
    return Specimen(original.driver, str(folder))


Look = tuple[int, ...]


def look(*roots: str) -> dict[bytes, Look]:
    """Everything about every path below some roots that changes when anything is done to it."""
    found: dict[bytes, Look] = {}
    for root in map(os.fsencode, roots):
        for path in [root, *paths_below(root)]:
            status = os.lstat(path)
            found[path] = (
                status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_size,
                status.st_mtime_ns, status.st_ctime_ns,
            )  # fmt: skip
    return found
