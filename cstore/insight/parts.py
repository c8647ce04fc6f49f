"""Identification of store paths by their location and the records alone, one directory at a time.

The kinds of paths:

    layer       a layer's tree
    data        data items of an image, container or layer; a layer's tar-split
    records     record files and their locks
    driver      the storage driver's own files
    staging     trees and files that are being created or removed
    quarantine  objects that repairs moved there
    cstore      cstore's notes and its reserve of space
    orphan      created by a tool, but without a record
    unknown     without a record, but the records are damaged
    foreign     not part of a store
    directory   contains paths of other kinds
"""

from __future__ import annotations

import os

from cstore import presence
from cstore.drivers.inspection import open_inspector
from cstore.drivers.registry import facts_of
from cstore.drivers.staging import OWN
from cstore.errors import RecordsDamaged
from cstore.fs.atomic import TEMPORARY_PREFIX
from cstore.ids import belongs_to_records, belongs_to_the_driver, is_generated
from cstore.store.lost_records import TAR_SPLIT, hidden_containers, transient_layers
from cstore.values import Value, cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.drivers.inspection import Inspector
    from cstore.store.context import Context
    from cstore.store.lookup import Tables

_FOREIGN_DRIVERS = frozenset({"aufs", "devicemapper"})
_PODMANS: Mapping[str, str] = {
    "libpod": "Podman's database",
    "db.sql": "Podman's database",
    "volumes": "Podman's volumes",
    "networks": "Podman's networks",
    "secrets": "Podman's secrets",
    "artifacts": "Podman's artifacts",
    "cache": "a cache of the locations of image layers",
    "defaultNetworkBackend": "Podman's choice of a network program",
    "tmp": "Podman's temporary files",
    "mounts": "mount points of other tools",
    "lost+found": "the file system's own",
}
"""The files of other tools in the same graph root."""


class Part(Value):
    """A path of the store with its kind (see above), its owner, and the evidence for them.

    Attributes:
        owner: `layer`, `image`, `container`, or "" for the store.
        id: the owner's ID.
    """

    path: str
    kind: str
    owner: str = ""
    id: str = ""
    how: str = ""

    @property
    def leads_on(self) -> bool:
        """Whether the entries of this directory have other owners."""
        return self.kind == "directory"


class Parts:
    """Identifies the paths of one store. `tables` are its records.

    Attributes:
        leading: the directories that contain all other parts.
    """

    def __init__(self, context: Context, tables: Tables) -> None:
        self._context, self._tables = context, tables
        layout = context.layout
        homes = layout.homes
        inner = os.path.relpath(os.path.dirname(context.driver.path_of("0" * 64)), layout.driver_home)
        inner = "" if inner in {"..", "."} else inner
        self._tree_folders = {os.path.normpath(os.path.join(home, inner)) for home in homes}
        self._homes = {*homes, layout.driver_run_home}
        own = [extra.layout for extra in context.additional if extra.images_only]
        self._image_folders = {each.images for each in (layout, *own)}
        self._image_folders.add(os.path.join(layout.run_root, f"{layout.driver}-images"))
        self._container_folders = {layout.containers, layout.run_containers}
        self._layer_folders = {each.layers for each in (layout, *own)} | {layout.run_layers}
        if layout.image_store:
            self._layer_folders.add(os.path.dirname(layout.image_store_layers))
        self.leading = {
            *layout.roots, *self._homes, *self._tree_folders,
            *self._image_folders, *self._container_folders, *self._layer_folders,
        }  # fmt: skip

    @cached_property
    def _inspector(self) -> Inspector:
        return open_inspector(self._context.driver, self._context.driver_place)

    @cached_property
    def _hidden_layers(self) -> set[str]:
        try:
            return transient_layers(self._context.layout)
        except RecordsDamaged:
            return set()

    @cached_property
    def _hidden_containers(self) -> set[str]:
        try:
            return {container.id for container in hidden_containers(self._context.layout)}
        except RecordsDamaged:
            return set()

    @cached_property
    def _short_names(self) -> dict[str, str]:
        """The layers whose directory name is only the last component of the ID, as the Go vfs driver creates it."""
        return {layer.rpartition("/")[2]: layer for layer, _ in self._tables.layers.heads() if "/" in layer}

    def roots(self) -> list[str]:
        """Return the directories of the store without the run root; none is inside another."""
        layout = self._context.layout
        inside = layout.image_store.startswith(layout.graph_root.rstrip("/") + "/")
        return [layout.graph_root] if inside or not layout.image_store else [layout.graph_root, layout.image_store]

    def at(self, path: str) -> Part:
        """Identify a root, or a path directly in one of the `leading` directories."""
        if path in self.leading:
            return Part(path, "directory", how="it is a directory of the store")
        folder, name = os.path.split(path)
        if folder in self._tree_folders:
            return self._in_home(path, name)
        if folder in self._homes:  # these keep their trees in a subdirectory
            if name in {"staging", "tempdirs", OWN}:
                return Part(path, "staging", how="trees are created and removed there")
            return Part(path, "driver", how="it is the storage driver's own")
        if folder in self._layer_folders:
            if name.startswith("mountpoints."):
                return Part(path, "records", how="it counts the mounts")
            if name == "tmp":
                return Part(path, "staging", how="files of layers are created and removed there")
            layer = name.removesuffix(TAR_SPLIT)
            if layer in self._tables.layers or layer in self._hidden_layers:
                what = "it is the layer's tar-split" if layer != name else "it holds the layer's data items"
                return Part(path, "data", "layer", layer, what)
            return self._without_record(path, name, "layer", split=layer != name)
        if folder in self._image_folders:
            return self._of_items(path, name, "image")
        if folder in self._container_folders:
            return self._of_items(path, name, "container")
        return self._in_root(path, name)

    def _in_root(self, path: str, name: str) -> Part:
        layout = self._context.layout
        if path in {layout.storage_lock, layout.userns_lock} or name == f"{layout.driver}-locks":
            return Part(path, "records", how="it is a lock of the store")
        if name == OWN:
            return Part(path, "staging", how="cstore creates and removes trees there")
        if path == layout.quarantine or path.startswith(f"{layout.quarantine}.aside-"):
            return Part(path, "quarantine", how="it holds what repairs removed from the store")
        if path == layout.partial:
            return Part(path, "cstore", how="it holds partial downloads")
        if path in {layout.reserve, layout.intents}:
            return Part(path, "cstore", how="cstore keeps its journals and its reserved space there")
        driver = name.removesuffix("-layers").removesuffix("-images").removesuffix("-containers")
        if driver in _FOREIGN_DRIVERS or facts_of(driver) is not None:
            return Part(path, "foreign", how=f"a store of the {driver} driver keeps it there")
        known = next((what for start, what in _PODMANS.items() if name == start or name.startswith(f"{start}-")), "")
        return Part(path, "foreign", how=known or "no tool creates this name")

    def _in_home(self, path: str, name: str) -> Part:
        if name in {"staging", "tempdirs", OWN}:
            return Part(path, "staging", how="trees are created and removed there")
        if name.startswith(TEMPORARY_PREFIX):
            return Part(path, "orphan", how="a killed process never renamed it into place")
        if belongs_to_the_driver(name) or not presence.is_directory(path, follow=False):
            return Part(path, "driver", how="it is the storage driver's own")
        layer = name if name in self._tables.layers else self._short_names.get(name, name)
        if layer in self._tables.layers or layer in self._hidden_layers:
            return Part(path, "layer", "layer", layer, "its name is the layer's ID")
        if self._tables.layers.flaws:
            return Part(path, "unknown", how="no readable record has that ID, but the layer records are damaged")
        if is_generated(name) or self._inspector.bears_marks(name):
            return Part(path, "orphan", how="no record has that ID, so `cstore gc` would remove it")
        return Part(path, "foreign", how="no record has that ID, and no tool creates this name")

    def _of_items(self, path: str, name: str, owner: str) -> Part:
        table = self._tables.images if owner == "image" else self._tables.containers
        older = () if owner != "image" else self._tables.additional
        known = name in table or any(extra.images_only and name in extra.images for extra in older)
        if known or (owner == "container" and name in self._hidden_containers):
            return Part(path, "data", owner, name, f"its name is the {owner}'s ID")
        return self._without_record(path, name, owner)

    def _without_record(self, path: str, name: str, owner: str, *, split: bool = False) -> Part:
        tables = self._tables
        flaws = {"layer": tables.layers.flaws, "image": tables.images.flaws}.get(owner, tables.containers.flaws)
        if name.startswith(TEMPORARY_PREFIX):
            return Part(path, "orphan", how="a killed process never renamed it into place")
        if belongs_to_records(name) and not split:
            return Part(path, "records", how=f"it belongs to the {owner} records")
        if flaws:
            return Part(path, "unknown", how=f"no readable record has that ID, but the {owner} records are damaged")
        if split or is_generated(name):
            return Part(path, "orphan", how=f"no {owner} has that ID, so `cstore gc` would remove it")
        return Part(path, "foreign", how=f"no {owner} has that ID, and no tool creates this name")
