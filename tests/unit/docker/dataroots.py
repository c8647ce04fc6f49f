"""Docker data roots made by hand: every file is as the daemon writes it, so each can be spoilt."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from cstore.config import Overrides, load_config
from cstore.docker import LayerStore
from cstore.store import open_store

if TYPE_CHECKING:
    from pathlib import Path


class DataRoot:
    """A data root of one driver in the making. `chains` are the ChainIDs of its layers, in the order of `layer`."""

    def __init__(self, top: Path, driver: str) -> None:
        self.path = str(top / "docker")
        self.driver = driver
        self.chains: list[str] = []
        self._top = top
        for folder in ("layerdb/sha256", "layerdb/mounts", "layerdb/tmp", "imagedb/content/sha256"):
            os.makedirs(self.inside("image", driver, folder))
        os.makedirs(self.inside("containers"))
        os.makedirs(self.inside(*(("overlay2", "l") if driver == "overlay2" else ("vfs", "dir"))))

    def inside(self, *parts: str) -> str:
        """A path in the root."""
        return os.path.join(self.path, *parts)

    def record(self, chain: str, name: str = "") -> str:
        """A record of a layer."""
        return self.inside("image", self.driver, "layerdb/sha256", chain.removeprefix("sha256:"), name).rstrip("/")

    def cache_id(self, chain: str) -> str:
        """The driver's name for a layer."""
        return hashlib.sha256(f"cache {chain}".encode()).hexdigest()

    def tree(self, name: str) -> str:
        """The tree that the driver calls so."""
        return self.inside("overlay2", name, "diff") if self.driver == "overlay2" else self.inside("vfs/dir", name)

    def layer(self, archive: bytes, parent: str = "") -> str:
        """Add a layer; the trees come from a store of ours, which unpacks archives as Docker does."""
        store = open_store(
            load_config(
                Overrides(
                    graph_root=str(self._top / "maker"),
                    run_root=str(self._top / "maker-run"),
                    driver="overlay" if self.driver == "overlay2" else "vfs",
                ),
                environ={"HOME": str(self._top)},
            )
        )
        (self._top / "archive").write_bytes(archive)
        with (self._top / "archive").open("rb") as source:
            made = LayerStore(store).register(source.fileno(), parent)
        below = made.parent
        self._write_record(made.chain_id, made.diff_id, "" if below is None else below.chain_id, made.diff_size())
        graph, name = store.config.graph_root, store.driver_name
        shutil.copy(
            os.path.join(graph, f"{name}-layers", f"{made.layer}.tar-split.gz"),
            self.record(made.chain_id, "tar-split.json.gz"),
        )
        source_tree = (
            os.path.join(graph, "overlay", made.layer, "diff")
            if name == "overlay"
            else os.path.join(graph, "vfs/dir", made.layer)
        )
        self.copy_tree(source_tree, self.cache_id(made.chain_id))
        self.chains.append(made.chain_id)
        return made.chain_id

    def copy_tree(self, source: str, name: str) -> None:
        """Copy a tree, attributes and all, to where the driver looks for it."""
        os.makedirs(os.path.dirname(self.tree(name)), exist_ok=True)
        subprocess.run(["cp", "-a", source, self.tree(name)], check=True)

    def _write_record(self, chain: str, diff_id: str, parent: str, size: int) -> None:
        os.makedirs(self.record(chain))
        texts = {"diff": diff_id, "size": str(size), "cache-id": self.cache_id(chain), "parent": parent}
        for name, text in texts.items():
            if text:
                write(self.record(chain, name), text)

    def image(self, *diff_ids: str, names: tuple[str, ...] = (), **fields: object) -> str:
        """Add an image; return its ID without `sha256:`."""
        rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
        raw = json.dumps({"os": "linux", "created": "2026-11-20T19:42:46Z", "rootfs": rootfs, **fields}).encode()
        identifier = hashlib.sha256(raw).hexdigest()
        with open(self.content(identifier), "wb") as file:
            file.write(raw)
        path = self.inside("image", self.driver, "repositories.json")
        known = json.loads(read(path)) if os.path.exists(path) else {"Repositories": {}}
        for name in names:
            known["Repositories"].setdefault(name.rpartition(":")[0], {})[name] = f"sha256:{identifier}"
        write(path, json.dumps(known))
        return identifier

    def content(self, image: str) -> str:
        """The file of an image's config."""
        return self.inside("image", self.driver, "imagedb/content/sha256", image)

    def note(self, image: str, key: str, text: str) -> None:
        """Add one of Docker's notes on an image."""
        folder = self.inside("image", self.driver, "imagedb/metadata/sha256", image)
        os.makedirs(folder, exist_ok=True)
        write(os.path.join(folder, key), text)

    def container(self, name: str, parent: str, image: str) -> str:
        """Add a container whose own layer adds one file of five bytes and removes `one.txt`."""
        identifier = hashlib.sha256(name.encode()).hexdigest()
        mount_id = hashlib.sha256(f"mount {name}".encode()).hexdigest()
        folder = self.inside("image", self.driver, "layerdb/mounts", identifier)
        os.makedirs(folder)
        for key, text in (("mount-id", mount_id), ("init-id", f"{mount_id}-init"), ("parent", parent)):
            write(os.path.join(folder, key), text)
        self._writable(mount_id, parent)
        os.makedirs(self.inside("containers", identifier))
        document = {"ID": identifier, "Name": f"/{name}", "Image": f"sha256:{image}", "Driver": self.driver}
        state = {"Running": False, "StartedAt": "2026-11-20T19:42:46Z"}
        write(
            self.inside("containers", identifier, "config.v2.json"),
            json.dumps({**document, "Created": "2026-11-20T19:42:46Z", "State": state}),
        )
        return identifier

    def _writable(self, mount_id: str, parent: str) -> None:
        if self.driver == "vfs":
            for name in (f"{mount_id}-init", mount_id):
                self.copy_tree(self.tree(self.cache_id(parent)), name)
            os.unlink(os.path.join(self.tree(mount_id), "one.txt"))
        else:
            for name in (f"{mount_id}-init", mount_id):
                os.makedirs(self.tree(name))
            os.mknod(os.path.join(self.tree(mount_id), "one.txt"), 0o020000, 0)
        write(os.path.join(self.tree(mount_id), "new"), "fresh")


def write(path: str, text: str) -> None:
    """Write a file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path: str) -> str:
    """Read a file."""
    with open(path, encoding="utf-8") as file:
        return file.read()
